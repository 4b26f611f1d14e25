// Whole runs with a storm, against a server on loopback that sends each event to all streams and
// remembers who asked for what, and when.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "loopback_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 6;
constexpr std::uint64_t kEvents = 4;
constexpr std::uint64_t kBefore = 2;

/// What came to the server, in its order.
struct Request {
  bool is_event = false;
  std::string id;  ///< Last-Event-ID
  std::string token;
  std::string extra;
};

class StormServer : public LoopbackServer {
 public:
  /// What a stream that comes back is answered with after its head; `events` are encoded, with the
  /// IDs 1, 2, ….
  using OnReturn =
      std::function<void(StormServer&, int connection, const std::vector<std::string>& events)>;

  explicit StormServer(OnReturn on_return) : on_return_(std::move(on_return)) { begin(); }
  ~StormServer() override { end(); }
  StormServer(const StormServer&) = delete;
  StormServer& operator=(const StormServer&) = delete;

  /// Valid while nothing is connected.
  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }

  /// The stream is open and gets the events from now on.
  void open(int connection) {
    write_head(connection);
    streams_.push_back(connection);
  }
  using LoopbackServer::finish;
  using LoopbackServer::write;

 private:
  void remember(bool is_event, const std::string& head) {
    requests_.push_back({.is_event = is_event,
                         .id = header(head, "Last-Event-ID"),
                         .token = header(head, "Authorization"),
                         .extra = header(head, "X-Extra")});
  }

  void on_stream(int connection, const std::string& request) override {
    remember(false, request);
    if (++opened_ <= kStreams) return open(connection);
    if (opened_ == kStreams + 1) streams_.clear();
    on_return_(*this, connection, events_);
  }

  void on_event(const std::string& head, const std::string& data,
                const std::string& /*topic*/) override {
    remember(true, head);
    events_.push_back("id: " + std::to_string(events_.size() + 1) + "\ndata: " + data + "\n\n");
    for (const int stream : streams_) write(stream, events_.back());
  }

  OnReturn on_return_;
  std::vector<Request> requests_;
  std::vector<std::string> events_;
  std::vector<int> streams_;  ///< open ones
  std::uint32_t opened_ = 0;  ///< requests for a stream
};

Plan plan_for(const StormServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.publications = kEvents;
  plan.storm_at = kBefore;
  return plan;
}

void open_again(StormServer& server, int connection, const std::vector<std::string>& /*events*/) {
  server.open(connection);
}

TEST(Storm, BringsEachStreamBackOnceWithItsIdAndItsToken) {
  StormServer server{open_again};
  Plan plan = plan_for(server);
  plan.tokens = {"a", "b", "c"};
  plan.token_prefix = "Authorization: Bearer ";
  plan.headers = {"X-Extra: value"};
  const Report report = run_quickly(plan);
  EXPECT_EQ(report.failure, "");
  EXPECT_TRUE(report.good());
  ASSERT_TRUE(report.storm);
  EXPECT_EQ(report.storm->closed, kStreams);
  EXPECT_EQ(report.storm->returned, kStreams);
  EXPECT_EQ(report.storm->opens_failed, 0U);
  EXPECT_GT(report.storm->streams_per_second(), 0);
  EXPECT_EQ(report.deliveries, kStreams * kEvents);
  EXPECT_EQ(report.dropped, 0U);
  EXPECT_EQ(report.reconnects, 0U);

  // Six streams, two events, the six again, two events: nothing is published meanwhile.
  ASSERT_EQ(server.requests().size(), 2 * kStreams + kEvents);
  std::vector<std::string> tokens_first;
  std::vector<std::string> tokens_again;
  for (std::size_t i = 0; i < server.requests().size(); ++i) {
    const Request& request = server.requests()[i];
    const bool again = i >= kStreams + kBefore;
    const std::size_t in_half = again ? i - kStreams - kBefore : i;
    EXPECT_EQ(request.is_event, in_half >= kStreams) << i;
    EXPECT_EQ(request.extra, "value");
    if (request.is_event) {
      EXPECT_EQ(request.token, "Bearer a");
      continue;
    }
    EXPECT_EQ(request.id, again ? "2" : "") << i;
    (again ? tokens_again : tokens_first).push_back(request.token);
  }
  const std::vector<std::string> everyone{"Bearer a", "Bearer a", "Bearer b",
                                          "Bearer b", "Bearer c", "Bearer c"};
  std::sort(tokens_first.begin(), tokens_first.end());
  std::sort(tokens_again.begin(), tokens_again.end());
  EXPECT_EQ(tokens_first, everyone);
  EXPECT_EQ(tokens_again, everyone);
}

TEST(Storm, IsNotPartOfTheLatencyAtARate) {
  StormServer server{open_again};
  Plan plan = plan_for(server);
  plan.rate = 200;
  const Report report = run_quickly(plan, {.settle_seconds = 0.5});
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.deliveries, kStreams * kEvents);
  // The pause lasts half a second at least.
  EXPECT_LT(report.latency.all.max(), 450'000'000U);
  EXPECT_LT(report.publish_seconds, 0.45);
}

TEST(Stretch, EventsThatWereDueInItAreToldApart) {
  const auto in_stretch = [](const Stretch& stretch) {
    StormServer server{open_again};
    Plan plan = plan_for(server);
    plan.stretch = &stretch;
    const Report report = run_quickly(plan);
    EXPECT_EQ(report.latency.all.count(), kStreams * kEvents);
    return report.latency.stretch.count();
  };
  Stretch all;
  all.begin(1);
  EXPECT_EQ(in_stretch(all), kStreams * kEvents);
  Stretch none;
  none.begin(1);
  none.end(2);
  EXPECT_EQ(in_stretch(none), 0U);
}

TEST(Storm, CanComeBeforeAnyEventAndAfterTheLast) {
  for (const std::uint64_t at : {std::uint64_t{0}, kEvents}) {
    StormServer server{open_again};
    Plan plan = plan_for(server);
    plan.storm_at = at;
    const Report report = run_quickly(plan);
    EXPECT_TRUE(report.good()) << report.text();
    EXPECT_EQ(report.storm->returned, kStreams);
    EXPECT_EQ(report.deliveries, kStreams * kEvents);
  }
}

TEST(Storm, AStreamThatIsRefusedTriesAgainAndIsCountedOnce) {
  std::uint32_t returns = 0;
  StormServer server{[&returns](StormServer& self, int connection, const auto&) {
    if (++returns == 1) {
      self.write(connection, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    } else {
      self.open(connection);
    }
  }};
  const Report report = run_quickly(plan_for(server));
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.storm->opens_failed, 1U);
  EXPECT_EQ(report.storm->closed, kStreams);
  EXPECT_EQ(report.storm->returned, kStreams);
  EXPECT_EQ(server.requests().size(), 2 * kStreams + kEvents + 1);
}

TEST(Storm, AnEventThatIsSentAgainFailsTheRun) {
  StormServer server{[](StormServer& self, int connection, const auto& events) {
    self.open(connection);
    if (events.size() == kBefore) self.write(connection, events.back());
  }};
  const Report report = run_quickly(plan_for(server));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.duplicates, kStreams);
  EXPECT_EQ(report.storm->returned, kStreams);
}

TEST(Storm, AStreamThatIsEndedAgainFailsTheRun) {
  std::uint32_t returns = 0;
  StormServer server{[&returns](StormServer& self, int connection, const auto&) {
    if (++returns == 1) {
      self.write(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
      self.finish(connection);
    } else {
      self.open(connection);
    }
  }};
  Plan plan = plan_for(server);
  plan.storm_at = kEvents;
  const Report report = run_quickly(plan);
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.dropped, 1U);
  EXPECT_EQ(report.storm->returned, kStreams);
}

TEST(Storm, IsGoodOnlyWhenEveryStreamIsBack) {
  Report report;
  report.streams = 2;
  report.storm.emplace();
  report.storm->closed = 2;
  report.storm->returned = 2;
  EXPECT_TRUE(report.good());
  report.storm->returned = 1;
  EXPECT_FALSE(report.good());
  report.storm->returned = 2;
  report.storm->closed = 1;
  EXPECT_FALSE(report.good());
}

TEST(Storm, IsInTheReport) {
  Report report;
  report.streams = 2'000;
  report.storm.emplace();
  report.storm->closed = 2'000;
  report.storm->returned = 1'000;
  report.storm->seconds = 0.5;
  report.server.emplace();
  report.server->storm_begin.cpu_ns = 1'000'000;
  report.server->storm_end.cpu_ns = 3'000'000;
  EXPECT_NE(report.text().find("1,000 of 2,000 streams back in 0.50 s (2000 a second)"),
            std::string::npos)
      << report.text();
  const std::string json = report.json();
  for (const char* member :
       {R"("storm_closed":2000,)", R"("storm_returned":1000,)", R"("storm_opens_failed":0,)",
        R"("storm_seconds":0.5,)", R"("storm_streams_per_second":2000,)",
        R"("server_storm_cpu_ns_per_stream":2000)"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
  EXPECT_EQ(Report{}.json().find("storm"), std::string::npos);
}

}  // namespace
}  // namespace ringcast::load
