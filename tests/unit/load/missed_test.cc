// Whole runs in which events are published while streams are away: storms and replays.

#include <algorithm>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "log_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 6;

Plan storm_plan(const LogServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.publications = 9;
  plan.storm_at = 2;
  plan.storm_missed = 4;
  return plan;
}

TEST(StormMissed, IsPublishedWhileNobodyIsThereAndComesInOrderBeforeTheRest) {
  for (const std::uint32_t publishers : {1U, 2U}) {
    LogServer server;
    Plan plan = storm_plan(server);
    plan.publishers = publishers;
    const Report report = run_quickly(plan);
    EXPECT_TRUE(report.good()) << report.text();
    ASSERT_TRUE(report.storm);
    EXPECT_EQ(report.storm->closed, kStreams);
    EXPECT_EQ(report.storm->returned, kStreams);
    EXPECT_EQ(report.storm->missed, 4U);
    EXPECT_EQ(report.storm->missed_expected, kStreams * 4);
    EXPECT_EQ(report.storm->missed_arrived, kStreams * 4);
    EXPECT_EQ(report.storm->back.count(), kStreams);
    EXPECT_GT(report.storm->reopen_seconds, 0);
    EXPECT_LT(report.storm->reopen_seconds, report.storm->seconds);
    EXPECT_EQ(report.deliveries, kStreams * 9);
    EXPECT_EQ(report.reconnects, 0U);
    EXPECT_EQ(report.latency.all.count(), kStreams * 5) << "what was missed has no latency";

    // Six streams, two events, four events to nobody, six streams, three events.
    ASSERT_EQ(server.requests().size(), 2 * kStreams + 9);
    for (std::size_t i = 0; i < server.requests().size(); ++i) {
      const auto& request = server.requests()[i];
      const bool first = i < kStreams;
      const bool again = i >= kStreams + 6 && i < 2 * kStreams + 6;
      EXPECT_EQ(request.is_event, !first && !again) << i;
      if (again) {
        EXPECT_EQ(request.id, LogServer::id_of(1)) << i;
      }
      if (i >= kStreams + 2 && i < kStreams + 6) {
        EXPECT_EQ(request.streams_there, 0U) << i;
      }
      if (i >= 2 * kStreams + 6) {
        EXPECT_EQ(request.streams_there, kStreams) << i;
      }
    }
  }
}

TEST(StormMissed, IsSharedByTopics) {
  LogServer server;
  Plan plan = storm_plan(server);
  plan.topics = 3;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.storm->missed_expected, 8U) << "events 2 to 5, each to two streams";
  EXPECT_EQ(report.storm->missed_arrived, 8U);
}

TEST(StormMissed, IsNotWaitedForAtTheRateAndPacesTheRestAnew) {
  LogServer server;
  Plan plan = storm_plan(server);
  plan.publications = 1'006;
  plan.storm_missed = 1'000;
  plan.rate = 200;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_LT(report.latency.all.max(), 400'000'000U) << "1,000 events at that rate would be 5 s";
  EXPECT_EQ(report.latency.all.count(), kStreams * 6);
}

TEST(StormMissed, AnEventThatAStreamDoesNotGetFailsTheRun) {
  LogServer server{{.loses = [](std::size_t stream, std::size_t event) {
    return stream == kStreams + 1 && event == 3;
  }}};
  const Report report = run_quickly(storm_plan(server));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.storm->returned, kStreams - 1);
  EXPECT_EQ(report.storm->missed_arrived, kStreams * 4 - 1);
  EXPECT_NE(report.failure.find("missed"), std::string::npos) << report.failure;
}

TEST(StormMissed, AnotherOrderFailsTheRun) {
  LogServer server{{.replays_backwards = true}};
  const Report report = run_quickly(storm_plan(server));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.storm->returned, kStreams);
  EXPECT_EQ(report.late, kStreams * 3);
}

TEST(StormMissed, IsInTheReport) {
  Report report;
  report.streams = 2'000;
  StormReport& storm = report.storm.emplace();
  storm.closed = storm.returned = 2'000;
  storm.missed = 3;
  storm.missed_expected = 6'000;
  storm.missed_arrived = 6'000;
  storm.reopen_seconds = 0.5;
  report.server.emplace();
  report.server->return_begin = {.cpu_ns = 1'000'000, .threads = 1};
  report.server->storm_end.cpu_ns = 7'000'000;
  EXPECT_TRUE(report.good());
  const std::string json = report.json();
  for (const char* member : {R"("storm_missed":3,)", R"("storm_missed_expected":6000,)",
                             R"("storm_missed_arrived":6000,)", R"("storm_reopen_seconds":0.5,)",
                             R"("storm_reopen_per_second":4000,)", R"("storm_back_us":{)",
                             R"("server_storm_reopen_cpu_ns_per_stream":3000)"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
  EXPECT_NE(report.text().find("6,000 of 6,000 missed events"), std::string::npos);
  storm.missed_arrived = 5'999;
  EXPECT_FALSE(report.good());
}

Plan replay_plan(const LogServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.publications = 9;
  plan.replay = 7;
  return plan;
}

TEST(Replay, EachStreamGetsAllThatWasPublishedBeforeIt) {
  for (const bool tells_position : {true, false}) {
    for (const std::uint32_t topics : {0U, 3U}) {
      LogServer server{{.tells_position = tells_position}};
      Plan plan = replay_plan(server);
      plan.topics = topics;
      const Report report = run_quickly(plan);
      EXPECT_TRUE(report.good()) << report.text();
      ASSERT_TRUE(report.replay);
      const std::uint64_t expected = topics == 0 ? (kStreams - 1) * 7 : 3 + 2 * 2 + 2 * 2;
      EXPECT_EQ(report.replay->streams, kStreams - 1);
      EXPECT_EQ(report.replay->returned, kStreams - 1);
      EXPECT_EQ(report.replay->expected, expected);
      EXPECT_EQ(report.replay->arrived, expected);
      EXPECT_EQ(report.replay->complete.count(), kStreams - 1);
      EXPECT_GT(report.replay->events_per_second(), 0);
      EXPECT_EQ(report.open, kStreams);
      EXPECT_EQ(report.deliveries, topics == 0 ? kStreams * 9 : 2 * 9);
      EXPECT_EQ(report.published, 9U) << "the event that brings an ID does not count";
      EXPECT_EQ(report.latency.all.count(), topics == 0 ? kStreams * 2 : 2 * 2);

      // One stream, perhaps an event for its ID, seven events, the other streams, two events.
      const std::size_t lead = tells_position ? 0 : 1;
      ASSERT_EQ(server.requests().size(), kStreams + lead + 9);
      for (std::size_t i = 0; i < server.requests().size(); ++i) {
        const auto& request = server.requests()[i];
        const bool other = i >= 1 + lead + 7 && i < kStreams + lead + 7;
        EXPECT_EQ(request.is_event, i > 0 && !other) << i;
        if (other) {
          EXPECT_EQ(request.id, tells_position ? "start" : LogServer::id_of(0)) << i;
        }
      }
    }
  }
}

TEST(Replay, AServerWithoutIdsCannotReplay) {
  LogServer server{{.tells_position = false, .gives_ids = false}};
  const Report report = run_quickly(replay_plan(server));
  EXPECT_FALSE(report.good());
  EXPECT_NE(report.failure.find("no ID"), std::string::npos) << report.failure;
}

TEST(Replay, AnEventThatAStreamDoesNotGetFailsTheRun) {
  LogServer server{
      {.loses = [](std::size_t stream, std::size_t event) { return stream == 2 && event == 6; }}};
  const Report report = run_quickly(replay_plan(server));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.replay->returned, kStreams - 2);
  EXPECT_EQ(report.replay->arrived, (kStreams - 1) * 7 - 1);
}

TEST(Replay, IsInTheReport) {
  Report report;
  ReplayReport& replay = report.replay.emplace();
  replay.events = 10;
  replay.streams = replay.returned = 100;
  replay.expected = replay.arrived = 1'000;
  replay.seconds = 0.5;
  report.server.emplace();
  report.server->return_end.cpu_ns = 3'000'000;
  EXPECT_TRUE(report.good());
  const std::string json = report.json();
  for (const char* member :
       {R"("replay_events":10,)", R"("replay_expected":1000,)", R"("replay_arrived":1000,)",
        R"("replay_seconds":0.5,)", R"("replay_events_per_second":2000,)",
        R"("replay_streams_per_second":200,)", R"("replay_us":{)",
        R"("server_replay_cpu_ns_per_event":3000)"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
  EXPECT_NE(report.text().find("1,000 of 1,000 events on 100 of 100 streams"), std::string::npos);
  replay.arrived = 999;
  EXPECT_FALSE(report.good());
}

}  // namespace
}  // namespace ringcast::load
