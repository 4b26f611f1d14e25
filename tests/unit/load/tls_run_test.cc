// Whole runs over TLS, against a server on loopback that sends each event to all streams.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../temporary_folder.h"
#include "certificates.h"
#include "loopback_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 6;
constexpr std::uint64_t kEvents = 8;
constexpr Time kNow{0, tls::test::kNowMs};

/// What the server proves itself with, and what a client trusts.
class Site {
 public:
  Site() {
    const tls::test::Authority authority;
    const tls::test::Issued issued = authority.issue();
    authority_file_ = folder_.write("authority.pem", authority.certificate_pem());
    auto loaded = tls::Context::load({{folder_.write("certificate.pem", issued.certificate_pem()),
                                       folder_.write("key.pem", issued.key_pem())}},
                                     std::make_shared<tls::TicketKeys>(kNow), kNow);
    context_ = loaded.value().context;
  }

  [[nodiscard]] std::shared_ptr<const tls::Context> context() const { return context_; }
  [[nodiscard]] tls::ClientOptions trusting() const {
    return {.server_name = "example.com", .ca_file = authority_file_};
  }

 private:
  ringcast::test::TemporaryFolder folder_;
  std::string authority_file_;
  std::shared_ptr<const tls::Context> context_;
};

const Site& site() {
  static const Site one;
  return one;
}

class EchoServer : public LoopbackServer {
 public:
  enum class Habit : std::uint8_t {
    plain,
    ends_once,   ///< closes all streams after the second event, as TLS wants it
    breaks_off,  ///< sends a record that does not open after the second event
  };
  explicit EchoServer(LoopbackTls tls, Habit habit = Habit::plain)
      : LoopbackServer(std::move(tls)), habit_(habit) {
    begin();
  }
  ~EchoServer() override { end(); }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

 private:
  void on_stream(int connection, const std::string& request) override {
    write_head(connection);
    const std::string id = header(request, "Last-Event-ID");
    const std::size_t first = id.empty() ? 0 : std::stoul(id);
    for (std::size_t i = first; i < events_.size(); ++i) write(connection, events_[i]);
    streams_.push_back(connection);
  }

  void on_event(const std::string& /*head*/, const std::string& data,
                const std::string& /*topic*/) override {
    events_.push_back("id: " + std::to_string(events_.size() + 1) + "\ndata: " + data + "\n\n");
    for (const int stream : streams_) write(stream, events_.back());
    if (events_.size() != 2 || habit_ == Habit::plain) return;
    for (const int stream : streams_) {
      if (habit_ == Habit::ends_once) {
        finish(stream);
      } else {
        send_bytes(stream, std::string{23, 3, 3, 0, 17} + std::string(17, 'x'));
      }
    }
    streams_.clear();
  }

  const Habit habit_;
  std::vector<std::string> events_;
  std::vector<int> streams_;
};

Plan plan_for(const EchoServer& server, const tls::ClientOptions& options) {
  Plan plan = small_plan(server.base(), kStreams);
  for (Url* url : {&plan.events[0], &plan.publish}) {
    url->tls = tls::ClientContext::create(options, kNow).value();
  }
  plan.publishers = 2;
  plan.publications = kEvents;
  return plan;
}

void expect_exact(const Report& report) {
  EXPECT_EQ(report.failure, "");
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, kStreams * kEvents);
}

TEST(TlsRun, EachEventArrivesOnceUnderBothVersions) {
  for (const tls::Version version : {tls::Version::tls_1_2, tls::Version::tls_1_3}) {
    const EchoServer server{{.context = site().context()}};
    auto options = site().trusting();
    options.version = version;
    const Report report = run_quickly(plan_for(server, options));
    expect_exact(report);
    ASSERT_TRUE(report.tls);
    EXPECT_EQ(report.tls->handshakes, kStreams);
    EXPECT_EQ(report.tls->handshake.count(), kStreams);
    EXPECT_GT(report.tls->handshake.quantile(0.5), 0U);
    EXPECT_EQ(report.tls->resumed, 0U);
    EXPECT_EQ(report.tls->failed(), 0U);
    EXPECT_EQ(report.tls->taken_over, version == tls::Version::tls_1_3 ? kStreams : 0);
    EXPECT_EQ(report.tls->version, version == tls::Version::tls_1_3 ? "TLSv1.3" : "TLSv1.2");
  }
}

TEST(TlsRun, RecordsInPartsAndOtherKeysMakeNoDifference) {
  for (const std::size_t piece_bytes : {std::size_t{1}, std::size_t{7}, std::size_t{3'000}}) {
    const EchoServer server{{.context = site().context(),
                             .limits = {.records_per_key = 3},
                             .piece_bytes = piece_bytes}};
    Plan plan = plan_for(server, site().trusting());
    plan.frame_bytes = piece_bytes > 100 ? 40'000 : 200;
    expect_exact(run_quickly(plan));
  }
}

TEST(TlsRun, AStormResumes) {
  for (const tls::Version version : {tls::Version::tls_1_2, tls::Version::tls_1_3}) {
    const EchoServer server{{.context = site().context()}};
    auto options = site().trusting();
    options.version = version;
    options.resume = true;
    Plan plan = plan_for(server, options);
    plan.storm_at = kEvents / 2;
    const Report report = run_quickly(plan);
    expect_exact(report);
    ASSERT_TRUE(report.tls);
    EXPECT_EQ(report.tls->handshakes, 2 * kStreams);
    // Of the first some may as well, once one has its ticket.
    EXPECT_GE(report.tls->resumed, kStreams);
  }
}

TEST(TlsRun, StreamsThatStallAreReadLater) {
  const EchoServer server{{.context = site().context(), .limits = {.records_per_key = 3}}};
  Plan plan = plan_for(server, site().trusting());
  plan.stalled = 3;
  plan.resume_stalled = true;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  ASSERT_TRUE(report.resumed);
  EXPECT_EQ(report.resumed->deliveries, 3 * kEvents);
}

TEST(TlsRun, AStreamThatIsClosedProperlyIsOpenedAgain) {
  for (const tls::Version version : {tls::Version::tls_1_2, tls::Version::tls_1_3}) {
    const EchoServer server{{.context = site().context()}, EchoServer::Habit::ends_once};
    auto options = site().trusting();
    options.version = version;
    Plan plan = plan_for(server, options);
    plan.reconnect = true;
    plan.publishers = 1;
    const Report report = run_quickly(plan);
    EXPECT_EQ(report.failure, "");
    EXPECT_EQ(report.deliveries, kStreams * kEvents) << report.text();
    EXPECT_EQ(report.missing, 0U);
    EXPECT_EQ(report.duplicates, 0U);
    EXPECT_EQ(report.reconnects, kStreams);
    EXPECT_EQ(report.tls->handshakes, 2 * kStreams);
    EXPECT_EQ(report.tls->failed(), 0U);
  }
}

TEST(TlsRun, ARecordThatDoesNotOpenFailsTheRun) {
  for (const tls::Version version : {tls::Version::tls_1_2, tls::Version::tls_1_3}) {
    const EchoServer server{{.context = site().context()}, EchoServer::Habit::breaks_off};
    auto options = site().trusting();
    options.version = version;
    const Report report = run_quickly(plan_for(server, options));
    EXPECT_FALSE(report.good());
    EXPECT_NE(report.failure.find("TLS with 127.0.0.1:"), std::string::npos) << report.failure;
    EXPECT_GE(report.tls->failed(), 1U);
  }
}

TEST(TlsRun, AServerThatIsNotTrustedFailsTheRunAtOnce) {
  const EchoServer server{{.context = site().context()}};
  auto options = site().trusting();
  options.server_name = "other.example";
  const Report report = run_quickly(plan_for(server, options));
  EXPECT_NE(report.failure.find("hostname mismatch"), std::string::npos) << report.failure;
  ASSERT_TRUE(report.tls);
  EXPECT_EQ(report.tls->handshakes, 0U);
  EXPECT_GE(report.tls->failures.begin()->second, 1U);
  EXPECT_LT(report.opens_failed, std::uint64_t{2} * kStreams);

  Plan publishing = plan_for(server, site().trusting());
  publishing.publish.tls = tls::ClientContext::create(options, kNow).value();
  const Report other = run_quickly(publishing);
  EXPECT_NE(other.failure.find("publishing to 127.0.0.1:"), std::string::npos) << other.failure;
  EXPECT_NE(other.failure.find("hostname mismatch"), std::string::npos) << other.failure;
}

TEST(TlsRun, IsInTheReport) {
  Report report;
  TlsReport some;
  some.handshakes = 3;
  some.resumed = 1;
  some.taken_over = 3;
  some.handshake.record(2'000'000);
  some.failures["a \"reason\""] = 2;
  some.version = "TLSv1.3";
  some.cipher = "TLS_AES_128_GCM_SHA256";
  report.tls.emplace();
  report.tls->merge(some);
  report.tls->merge(some);
  report.tls->merge(TlsReport{});
  EXPECT_NE(report.text().find("6 handshakes, 2 of them resumed, TLSv1.3, TLS_AES_128_GCM_SHA256; "
                               "4 failed"),
            std::string::npos)
      << report.text();
  const std::string json = report.json();
  for (const char* member :
       {R"("tls_version":"TLSv1.3",)", R"("tls_cipher":"TLS_AES_128_GCM_SHA256",)",
        R"("tls_handshakes":6,)", R"("tls_resumed":2,)", R"("tls_taken_over":6,)",
        R"("tls_failed":4,)", R"("tls_handshake_us":{"count":2,)",
        R"("tls_failures":{"a \"reason\"":4})"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
  EXPECT_EQ(Report{}.json().find("tls"), std::string::npos);
}

}  // namespace
}  // namespace ringcast::load
