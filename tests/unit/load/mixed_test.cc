// Whole runs with events for single topics beside broadcasts.

#include <string>

#include <gtest/gtest.h>

#include "log_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 6;

Plan mixed_plan(const LogServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.topics = 3;
  plan.publications = 10;
  plan.rate = 500;
  plan.topic_publications = 24;
  plan.topic_rate = 1'200;
  return plan;
}

TEST(Mixed, BroadcastsReachAllAndOthersTheirTopicAtTheirOwnPace) {
  for (const std::uint32_t publishers : {1U, 2U}) {
    LogServer server;
    Plan plan = mixed_plan(server);
    plan.publishers = publishers;
    plan.topic_publishers = 3 - publishers;
    const Report report = run_quickly(plan);
    EXPECT_TRUE(report.good()) << report.text();
    ASSERT_TRUE(report.mixed);
    EXPECT_EQ(report.published, 34U);
    EXPECT_EQ(report.deliveries, kStreams * 10 + 2 * 24);
    EXPECT_EQ(report.expected, report.deliveries);
    EXPECT_EQ(report.mixed->published, 24U);
    EXPECT_EQ(report.mixed->expected, 2 * 24U) << "two streams of each topic";
    EXPECT_EQ(report.mixed->deliveries, 2 * 24U);
    EXPECT_EQ(report.latency.all.count(), kStreams * 10);
    EXPECT_EQ(report.mixed->latency.all.count(), 2 * 24U);
    EXPECT_EQ(report.answer.count(), 10U);
    EXPECT_EQ(report.mixed->answer.count(), 24U);
    // The last is due 19.2 ms after the first.
    EXPECT_GT(report.mixed->publish_seconds, 0.019);
    std::size_t broadcasts = 0;
    for (const auto& request : server.requests()) {
      if (request.is_event && request.topic.empty()) ++broadcasts;
    }
    EXPECT_EQ(broadcasts, 10U);
  }
}

TEST(Mixed, IsInTheReport) {
  Report report;
  report.published = 3;
  report.streams = 1;
  report.mixed.emplace();
  report.mixed->published = 2;
  report.mixed->expected = 5;
  report.mixed->deliveries = 4;
  report.mixed->missing = 1;
  report.mixed->latency.record(3'000, 0);
  const std::string json = report.json();
  for (const char* member : {R"("topic_published":2,)", R"("topic_expected":5,)",
                             R"("topic_deliveries":4,)", R"("topic_missing":1,)",
                             R"("topic_latency_us":{"count":1,)", R"("topic_ack_latency_us":{)"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
  EXPECT_NE(report.text().find("topics       2 published, 4 of 5 deliveries"), std::string::npos)
      << report.text();
  EXPECT_EQ(Report{}.json().find("\"topic_"), std::string::npos);
}

}  // namespace
}  // namespace ringcast::load
