#include "ringcast/admin/admin_server.h"

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "http_client.h"

namespace ringcast::admin {
namespace {

using namespace std::chrono_literals;

class AdminServerTest : public testing::Test {
 protected:
  static AdminOptions options(std::uint16_t port = 0, bool ipv6 = false) {
    AdminOptions options;
    options.address = loopback(port, ipv6);
    return options;
  }

  std::unique_ptr<AdminServer> start(const AdminOptions& with = options(), Readiness ready = {}) {
    auto server = AdminServer::start(with, {{&shard_}, &hub_}, std::move(ready));
    if (!server) {
      ADD_FAILURE() << server.error().message;
      std::abort();
    }
    return std::move(server).value();
  }

  shard::Counters shard_;
  hub::Counters hub_;
};

TEST_F(AdminServerTest, TellsThePortThatItGot) {
  const auto server = start();
  EXPECT_NE(server->port(), 0);
  EXPECT_EQ(server->address(), "127.0.0.1:" + std::to_string(server->port()));
}

TEST_F(AdminServerTest, ServesOnIpv6) {
  const auto server = start(options(0, true));
  EXPECT_EQ(server->address(), "[::1]:" + std::to_string(server->port()));
  EXPECT_EQ(request(server->port(), "GET", "/healthz", true).status, 200);
}

TEST_F(AdminServerTest, APortInUseIsAnErrorThatNamesAddressAndReason) {
  const auto first = start();
  const auto second = AdminServer::start(options(first->port()), {}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(first->address()), std::string::npos);
  EXPECT_NE(second.error().message.find("Address already in use"), std::string::npos)
      << second.error().message;
}

TEST_F(AdminServerTest, AnAddressOfAnotherFamilyIsAnError) {
  AdminOptions unix_socket;
  unix_socket.address.ss_family = AF_UNIX;
  EXPECT_FALSE(AdminServer::start(unix_socket, {}, {}).ok());
}

TEST_F(AdminServerTest, TheSamePortCanBeUsedAgainAfterStop) {
  auto server = start();
  const std::uint16_t port = server->port();
  EXPECT_EQ(request(port, "GET", "/healthz").status, 200);
  server->stop();
  const auto next = start(options(port));
  EXPECT_EQ(request(port, "GET", "/healthz").status, 200);
}

TEST_F(AdminServerTest, HealthIsOkWhileNotReady) {
  const auto server = start(options(), [] { return std::string("starting"); });
  const TestResponse response = request(server->port(), "GET", "/healthz");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "ok");
}

TEST_F(AdminServerTest, ReadinessFollowsTheCallbackAndGivesItsReason) {
  std::atomic<bool> ready = false;
  const auto server = start(options(), [&] { return ready ? std::string() : "draining"; });
  const TestResponse before = request(server->port(), "GET", "/readyz");
  EXPECT_EQ(before.status, 503);
  EXPECT_EQ(before.body, "draining");
  ready = true;
  const TestResponse after = request(server->port(), "GET", "/readyz");
  EXPECT_EQ(after.status, 200);
  EXPECT_EQ(after.body, "ok");
}

TEST_F(AdminServerTest, WithoutACallbackTheServerIsReady) {
  EXPECT_EQ(request(start()->port(), "GET", "/readyz").status, 200);
}

TEST_F(AdminServerTest, MetricsShowACounterAsItIsNow) {
  const auto server = start();
  shard_.streams_opened.set(7);
  const TestResponse response = request(server->port(), "GET", "/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_NE(response.head.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            std::string::npos);
  EXPECT_NE(response.body.find("ringcast_streams_opened_total{shard=\"0\"} 7\n"),
            std::string::npos);
}

TEST_F(AdminServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  const auto server = start();
  const TestResponse get = request(server->port(), "GET", "/healthz");
  const TestResponse head = request(server->port(), "HEAD", "/healthz");
  EXPECT_EQ(head.head, get.head);
  EXPECT_NE(head.head.find("Content-Length: 2\r\n"), std::string::npos);
  EXPECT_EQ(head.body, "");
}

TEST_F(AdminServerTest, AQueryDoesNotChangeThePath) {
  EXPECT_EQ(request(start()->port(), "GET", "/healthz?verbose=1").status, 200);
}

TEST_F(AdminServerTest, AnUnknownPathIsAJsonError) {
  const auto server = start();
  for (const char* path : {"/", "/metricsx", "/metrics/", "/events", "*"}) {
    const TestResponse response = request(server->port(), "GET", path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(response.body, R"({"error":"not found"})");
    EXPECT_NE(response.head.find("Content-Type: application/json\r\n"), std::string::npos);
  }
}

TEST_F(AdminServerTest, OtherMethodsAreRefusedWithThoseAllowed) {
  const auto server = start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
    const TestResponse response = request(server->port(), method, "/metrics");
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_NE(response.head.find("Allow: GET, HEAD\r\n"), std::string::npos);
  }
}

TEST_F(AdminServerTest, TheAnswerToARequestWithABodyArrivesWhole) {
  const auto server = start();
  const TestClient client(server->port());
  client.send("POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
  client.send(std::string(60'000, 'x'));
  EXPECT_EQ(to_response(client.read_to_end()).status, 405);
}

TEST_F(AdminServerTest, WhatArrivesAfterTheAnswerDoesNotResetTheConnection) {
  AdminOptions patient = options();
  patient.linger_timeout = 10s;
  const auto server = start(patient);
  const TestClient client(server->port());
  client.send("POST /metrics HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
  EXPECT_EQ(to_response(client.read_to_end()).status, 405);
  client.send(std::string(1'000, 'x'));  // a closed socket would answer this with a reset
  client.send(std::string(1'000, 'x'));  // and this would fail
}

TEST_F(AdminServerTest, AClientThatNeverClosesIsCutAfterItsAnswer) {
  AdminOptions narrow = options();
  narrow.connections_max = 1;
  narrow.linger_timeout = 20ms;
  const auto server = start(narrow);
  const TestClient stays(server->port());
  stays.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_EQ(to_response(stays.read_to_end()).status, 200);
  EXPECT_EQ(request(server->port(), "GET", "/healthz").status, 200);
}

TEST_F(AdminServerTest, AHeadThatIsTooLargeIsRefused) {
  const auto server = start();
  const TestClient client(server->port());
  client.send("GET /healthz HTTP/1.1\r\nX: " + std::string(4'096, 'x'));
  EXPECT_EQ(to_response(client.read_to_end()).status, 431);
}

TEST_F(AdminServerTest, WhatIsNotHttpIsRefused) {
  const auto server = start();
  const TestClient client(server->port());
  client.send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_EQ(to_response(client.read_to_end()).status, 400);
}

TEST_F(AdminServerTest, AClientThatNeverFinishesItsRequestIsCut) {
  AdminOptions impatient = options();
  impatient.request_timeout = 20ms;
  const auto server = start(impatient);
  const TestClient client(server->port());
  client.send("GET /healthz HTTP/1.1\r\n");
  EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(AdminServerTest, MoreConnectionsThanAllowedWaitUntilOneEnds) {
  AdminOptions narrow = options();
  narrow.connections_max = 2;
  const auto server = start(narrow);
  auto first = std::make_unique<TestClient>(server->port());
  const TestClient second(server->port());
  const TestClient third(server->port());
  third.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(third.readable_within_ms(50));
  first.reset();
  EXPECT_EQ(to_response(third.read_to_end()).status, 200);
}

TEST_F(AdminServerTest, ManyRequestsLeaveNoConnectionBehind) {
  AdminOptions narrow = options();
  narrow.connections_max = 2;
  const auto server = start(narrow);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(request(server->port(), "GET", "/healthz").status, 200);
}

TEST_F(AdminServerTest, OpenConnectionsDoNotHoldUpTheEnd) {
  auto server = start();
  const TestClient idle(server->port());
  const TestClient half(server->port());
  half.send("GET /");
  EXPECT_EQ(request(server->port(), "GET", "/healthz").status, 200);
  server->stop();
  server.reset();
  EXPECT_TRUE(idle.readable_within_ms(5'000));
  EXPECT_TRUE(half.readable_within_ms(5'000));
}

TEST_F(AdminServerTest, TheCallersSignalMaskStaysAsItWas) {
  const auto server = start();
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
}

}  // namespace
}  // namespace ringcast::admin
