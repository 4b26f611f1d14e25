// Whole runs against a server on loopback that does what a script says to the one stream that
// stalls, and the right thing to the one that reads.

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "loopback_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kEvents = 12;    // of both topics, in turn
constexpr std::uint64_t kOfStalled = 6;  // events 1, 3, 5, … are the stalled stream's
constexpr std::string_view kGap = "event: gap\ndata: {}\n\n";

/// What the stalled stream gets. `events` are its six events, encoded, with IDs 1 to 6.
struct Script {
  using Events = std::vector<std::string>;
  /// Written when the last event has been published, to the connection opened before.
  std::function<std::string(const Events& events)> first;
  /// Then that connection ends, and the answer to the next one, with this Last-Event-ID, begins
  /// so. Empty = the connection stays.
  std::function<std::string(const Events& events, const std::string& id)> second;
};

class ScriptedServer : public LoopbackServer {
 public:
  explicit ScriptedServer(Script script) : script_(std::move(script)) { begin(); }
  ~ScriptedServer() override { end(); }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

 private:
  void on_stream(int connection, const std::string& request) override {
    write_head(connection);
    if (request.find("topic=load-0") != std::string::npos) {
      reading_ = connection;
      return;
    }
    stalled_ = connection;
    const std::string id = header(request, "Last-Event-ID");
    if (!id.empty() && script_.second) write(connection, script_.second(events_, id));
  }

  void on_event(const std::string& /*head*/, const std::string& data,
                const std::string& topic) override {
    if (topic == "load-0") {
      write(reading_, "data: " + data + "\n\n");
      return;
    }
    events_.push_back("id: " + std::to_string(events_.size() + 1) + "\ndata: " + data + "\n\n");
    if (events_.size() < kOfStalled) return;
    write(stalled_, script_.first(events_));
    if (script_.second) finish(stalled_);
  }

  Script script_;
  int reading_ = -1;
  int stalled_ = -1;
  Script::Events events_;
};

std::string joined(const Script::Events& events, std::size_t first, std::size_t end) {
  std::string out;
  for (std::size_t i = first; i < end; ++i) out += events[i];
  return out;
}

Report run_against(Script script) {
  const ScriptedServer server{std::move(script)};
  Plan plan = small_plan(server.base(), 2);
  plan.stalled = 1;
  plan.resume_stalled = true;
  plan.reconnect = true;
  plan.topics = 2;
  plan.threads = 1;
  plan.streams_per_ring = 16;
  plan.connecting_max = 16;
  plan.publications = kEvents;
  Report report = run_quickly(plan);
  EXPECT_EQ(report.failure, "");
  EXPECT_EQ(report.deliveries, kEvents - kOfStalled) << "the reading stream has its events";
  EXPECT_EQ(report.missing, 0U);
  return report;
}

TEST(StalledResume, EventsThatWaitedAreCountedOnce) {
  const Report report =
      run_against({.first = [](const auto& events) { return joined(events, 0, 6); }, .second = {}});
  EXPECT_TRUE(report.good());
  ASSERT_TRUE(report.resumed);
  EXPECT_EQ(report.resumed->expected, kOfStalled);
  EXPECT_EQ(report.resumed->deliveries, kOfStalled);
  EXPECT_EQ(report.resumed->skipped, 0U);
  EXPECT_EQ(report.resumed->missing(), 0U);
  EXPECT_EQ(report.resumed->dropped, 0U);
  EXPECT_EQ(report.gaps, 0U);
}

TEST(StalledResume, AHoleBehindAGapIsSkippedNotMissing) {
  const Report report =
      run_against({.first =
                       [](const auto& events) {
                         return joined(events, 0, 2) + std::string{kGap} + joined(events, 5, 6);
                       },
                   .second = {}});
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.resumed->deliveries, 3U);
  EXPECT_EQ(report.resumed->skipped, 3U);
  EXPECT_EQ(report.resumed->missing(), 0U);
  EXPECT_EQ(report.gaps, 1U);
}

TEST(StalledResume, AHoleWithoutAGapFailsTheRun) {
  const Report report = run_against({.first =
                                         [](const auto& events) {
                                           return joined(events, 0, 1) + std::string{kGap} +
                                                  joined(events, 1, 2) + joined(events, 4, 6);
                                         },
                                     .second = {}});
  EXPECT_FALSE(report.good()) << "the gap was before the event in front of the hole";
  EXPECT_EQ(report.resumed->deliveries, 4U);
  EXPECT_EQ(report.resumed->unannounced, 2U);
  EXPECT_EQ(report.resumed->missing(), 2U);
}

TEST(StalledResume, ADuplicateFailsTheRun) {
  const Report report = run_against(
      {.first = [](const auto& events) { return joined(events, 0, 3) + joined(events, 2, 6); },
       .second = {}});
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.duplicates, 1U);
  EXPECT_EQ(report.resumed->deliveries, kOfStalled);
}

TEST(StalledResume, AStreamThatWasEndedGoesOnWithTheIdOfItsLastWholeEvent) {
  const Report report = run_against(
      {.first = [](const auto& events) { return joined(events, 0, 2) + "id: 3\ndata: cut"; },
       .second =
           [](const auto& events, const std::string& id) {
             EXPECT_EQ(id, "2");
             return joined(events, std::strtoul(id.c_str(), nullptr, 10), 6);
           }});
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.resumed->deliveries, kOfStalled);
  EXPECT_EQ(report.resumed->dropped, 1U);
  EXPECT_EQ(report.dropped, 1U);
  EXPECT_EQ(report.reconnects, 1U);
}

TEST(StalledResume, AStreamThatWasEndedAndComesTooLateNeedsAGapToo) {
  for (const bool told : {true, false}) {
    const Report report =
        run_against({.first = [](const auto& events) { return joined(events, 0, 2); },
                     .second =
                         [told](const auto& events, const std::string&) {
                           return (told ? std::string{kGap} : "") + joined(events, 4, 6);
                         }});
    EXPECT_EQ(report.good(), told);
    EXPECT_EQ(report.resumed->skipped, told ? 2U : 0U);
    EXPECT_EQ(report.resumed->missing(), told ? 0U : 2U);
  }
}

}  // namespace
}  // namespace ringcast::load
