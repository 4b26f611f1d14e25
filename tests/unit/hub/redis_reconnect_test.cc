#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "log_capture.h"
#include "redis_connection.h"
#include "redis_loop.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::LogCapture;
using test::RedisClient;
using test::RedisServer;

// ── Losing it ───────────────────────────────────────────────────────────────────────────────────

TEST(RedisReconnectTest, CommandsWithoutAReplyAreToldBeforeItsOwnerIs) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"}, 1);
  loop.turn(milliseconds(0));
  loop.send({"PING"}, 2);
  server.kill();
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }));
  EXPECT_EQ(loop.replies, (Words{"lost", "lost"}));
  EXPECT_EQ(loop.tags, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(loop.replies_at_loss, 2u);
  EXPECT_EQ(loop.connected.get(), 0u);
}

TEST(RedisReconnectTest, ComesBackByItselfWhenRedisDoes) {
  RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    server.kill();
    ASSERT_TRUE(loop.until_lost());
    EXPECT_FALSE(loop.until([&] { return loop.connection().ready(); }, milliseconds(100)));
    server.start();
    ASSERT_TRUE(loop.until_ready());
    EXPECT_EQ(loop.reconnects.get(), round);
    EXPECT_EQ(loop.ask({"PING"}), "PONG");
  }
  EXPECT_EQ(loop.readies, 4);
  EXPECT_EQ(loop.losses, 3);
  EXPECT_TRUE(log.says("no commands connection to 127.0.0.1:")) << log.text();
  EXPECT_TRUE(log.says("works again, after 0.")) << log.text();
  EXPECT_LE(log.count("Trying again"), 3u) << log.text();
}

TEST(RedisReconnectTest, AServerThatIsAwayIsTriedMoreAndMoreSeldom) {
  SilentListener nobody;
  const std::string url = nobody.url();
  nobody.close();
  const LogCapture log;
  Loop loop(url);
  // How far the clock has to be put ahead for the next try.
  std::vector<std::uint64_t> waits_ms;
  for (int i = 0; i < 12; ++i) {
    const std::uint64_t at_ns = loop.now().mono_ns;
    std::uint64_t due_ns = loop.connection().turn(loop.now());
    // A connection attempt of 4 s at most, which ends at once here.
    ASSERT_TRUE(loop.until([&] {
      due_ns = loop.connection().turn(loop.now());
      return due_ns - loop.now().mono_ns < 3 * kNsPerSecond;
    }));
    waits_ms.push_back((due_ns - at_ns) / kNsPerMs);
    loop.put_ahead(milliseconds(waits_ms.back() + 1));
  }
  EXPECT_LE(waits_ms[0], 60u);
  EXPECT_GE(waits_ms[11], 950u);
  for (const std::uint64_t wait : waits_ms) EXPECT_LE(wait, 2'050u);
  EXPECT_EQ(log.count("Connection refused"), 1u) << log.text();
}

TEST(RedisReconnectTest, AFrozenServerIsNoticedWithinFiveSeconds) {
  RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  loop.put_ahead(milliseconds(3'900));
  EXPECT_FALSE(loop.until([&] { return loop.losses != 0; }, milliseconds(20)));
  loop.put_ahead(milliseconds(200));
  ASSERT_TRUE(loop.until([&] { return loop.losses != 0; }, milliseconds(500)));
  EXPECT_EQ(loop.replies, Words{"lost"});
  EXPECT_TRUE(log.says("no reply for 4 s")) << log.text();
  server.thaw();
  EXPECT_TRUE(loop.until_ready());
}

TEST(RedisReconnectTest, AServerThatConnectsAndSaysNothingIsGivenUp) {
  const SilentListener listener;
  const LogCapture log;
  Loop loop(listener.url());
  EXPECT_FALSE(loop.until([&] { return log.says("Trying again"); }, milliseconds(50)));
  loop.put_ahead(milliseconds(4'100));
  EXPECT_TRUE(loop.until([&] { return log.says("no reply for 4 s"); })) << log.text();
}

TEST(RedisReconnectTest, AnIdleConnectionWaitsForNoReply) {
  RedisServer server;
  Loop loop(server.url(), ConnectionRole::tail);
  ASSERT_TRUE(loop.until_ready());
  for (int i = 0; i < 60; ++i) {
    loop.put_ahead(milliseconds(1'000));
    loop.turn(milliseconds(0));
  }
  EXPECT_EQ(loop.losses, 0);
  // What is sent after a long silence has its whole time.
  server.freeze();
  loop.put_ahead(milliseconds(60'000));
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  for (int i = 0; i < 39; ++i) {
    loop.put_ahead(milliseconds(100));
    loop.turn(milliseconds(0));
  }
  EXPECT_EQ(loop.losses, 0);
  server.thaw();
  EXPECT_TRUE(loop.until_replies(1));
}

TEST(RedisReconnectTest, AThreadThatWasAwayItselfBlamesNobody) {
  RedisServer server;
  Loop loop(server.url(), ConnectionRole::tail);
  ASSERT_TRUE(loop.until_ready());
  loop.send({"PING"});
  // Written, and answered, while the loop does not run; it finds the answer before the clock's
  // verdict.
  (void)loop.connection().turn(loop.now());
  EXPECT_FALSE(test::eventually([] { return false; }, milliseconds(50)));
  loop.put_ahead(milliseconds(4'100));
  (void)loop.connection().turn(loop.now());
  EXPECT_EQ(loop.replies, Words{"PONG"});
  EXPECT_EQ(loop.losses, 0);

  server.freeze();
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  loop.put_ahead(milliseconds(20'000));
  loop.turn(milliseconds(0));
  EXPECT_EQ(loop.losses, 0);
  loop.put_ahead(milliseconds(1'100));
  EXPECT_TRUE(loop.until([&] { return loop.losses == 1; }, milliseconds(500)));
}

TEST(RedisReconnectTest, ABlockingReadIsNotOverdue) {
  const RedisServer server;
  Loop loop(server.url(), ConnectionRole::tail);
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.ask({"XREAD", "BLOCK", "1000", "STREAMS", "none", "$"}), "nil");
  EXPECT_EQ(loop.losses, 0);
}

TEST(RedisReconnectTest, GivenUpFromAReplyTheRestIsToldAndItBeginsAnew) {
  const RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.then = [&](const redisReply* reply) {
    if (reply == nullptr) return;
    loop.connection().fail("that was READONLY");
    EXPECT_FALSE(loop.connection().ready());
  };
  for (int i = 0; i < 3; ++i) loop.send({"PING"});
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }));
  EXPECT_EQ(loop.replies, (Words{"PONG", "lost", "lost"}));
  EXPECT_TRUE(log.says("that was READONLY"));
  EXPECT_TRUE(loop.until([&] { return loop.readies == 2; }));
}

TEST(RedisReconnectTest, GivenUpFromElsewhereItIsToldInTheNextTurn) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"});
  loop.connection().fail("enough");
  EXPECT_FALSE(loop.connection().ready());
  EXPECT_EQ(loop.losses, 0);
  loop.turn(milliseconds(0));
  EXPECT_EQ(loop.losses, 1);
  EXPECT_EQ(loop.replies, Words{"lost"});
  server.thaw();
  EXPECT_TRUE(loop.until_ready());
}

TEST(RedisReconnectTest, GivenUpBetweenTurnsItWakesTheLoop) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.turn(milliseconds(0));
  loop.connection().fail("enough");
  const auto start = std::chrono::steady_clock::now();
  loop.sleep(seconds(5));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(4));
}

TEST(RedisReconnectTest, ClosedForGoodItTellsNothingAndServerSeesTheEnd) {
  const RedisServer server;
  RedisClient client(server);
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.turn(milliseconds(0));  // the poll is armed, which would keep the socket open
  loop.send({"PING"});
  loop.connection().close();
  EXPECT_EQ(loop.connected.get(), 0u);
  EXPECT_FALSE(
      loop.until([&] { return !loop.replies.empty() || loop.losses != 0; }, milliseconds(50)));
  EXPECT_EQ(client({"CLIENT", "LIST"}).text.find("name=ringcast"), std::string::npos);
}

TEST(RedisReconnectTest, DestroyedAtAnyMomentItLeavesNothingBehind) {
  const RedisServer server;
  RedisClient client(server);
  for (int turns = 0; turns < 12; ++turns) {
    Loop loop(turns % 2 == 0 ? server.url() : "redis://localhost:" + std::to_string(server.port()));
    for (int i = 0; i < turns; ++i) loop.turn(milliseconds(turns % 3));
    if (loop.connection().ready()) loop.send({"PING"});
  }
  EXPECT_TRUE(test::eventually([&] {
    return client({"CLIENT", "LIST"}).text.find("name=ringcast") == std::string::npos;
  }));
}

TEST(RedisReconnectTest, ItsSocketIsNoDelayAndKeptAlive) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  int found = 0;
  for (int fd = 3; fd < 256; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
    if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != server.port()) continue;
    ++found;
    const auto option = [fd](int level, int name) {
      int value = 0;
      socklen_t bytes = sizeof value;
      ::getsockopt(fd, level, name, &value, &bytes);
      return value;
    };
    EXPECT_NE(option(IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_NE(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  }
  EXPECT_EQ(found, 1);
}

// ── After a restart of Redis ────────────────────────────────────────────────────────────────────

TEST(RedisReconnectTest, AfterARestartNobodyElseIsKilledForTheNumbersThatWereOurs) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  for (int i = 0; i < 5; ++i) {
    loop.connection().fail("test");
    ASSERT_TRUE(loop.until([&] { return loop.readies == i + 2; }));
  }
  const std::int64_t last = std::stoll(loop.ask({"CLIENT", "ID"}));
  server.kill();
  ASSERT_TRUE(loop.until_lost());
  server.start();
  // Client numbers begin anew: strangers have all that the lost connections had.
  std::vector<std::unique_ptr<RedisClient>> strangers;
  std::vector<std::int64_t> numbers;
  do {
    strangers.push_back(std::make_unique<RedisClient>(server));
    numbers.push_back((*strangers.back())({"CLIENT", "ID"}).number);
  } while (numbers.back() < last);
  ASSERT_LT(numbers.front(), last - 2);
  ASSERT_TRUE(loop.until_ready());
  for (std::size_t i = 0; i < strangers.size(); ++i) {
    EXPECT_EQ((*strangers[i])({"CLIENT", "ID"}).number, numbers[i]);
  }
}

}  // namespace
}  // namespace ringcast::hub
