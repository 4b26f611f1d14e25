// Whole runs in which some streams read slowly.

#include <string>

#include <gtest/gtest.h>

#include "log_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 6;
constexpr std::uint64_t kEvents = 40;

Plan slow_plan(const LogServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.publications = kEvents;
  plan.slow = 2;
  plan.slow_bytes_per_second = 8'000;
  plan.stalled = 1;
  plan.resume_stalled = true;
  return plan;
}

TEST(Slow, StreamsReadNoFasterThanAskedAndAreToldApart) {
  LogServer server;
  Plan plan = slow_plan(server);
  // Some 110 bytes in each of 40 frames, in half a second, of which a third can be read.
  plan.slow_bytes_per_second = 3'000;
  plan.resume_stalled = false;
  plan.stalled = 0;
  plan.rate = 80;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, (kStreams - 2) * kEvents);
  EXPECT_EQ(report.latency.all.count(), (kStreams - 2) * kEvents);
  ASSERT_TRUE(report.slow);
  EXPECT_EQ(report.slow->readers, 2U);
  EXPECT_EQ(report.slow->expected, 2 * kEvents);
  EXPECT_GT(report.slow->deliveries, kEvents / 10);
  EXPECT_LT(report.slow->deliveries, 2 * kEvents * 3 / 4);
  EXPECT_EQ(report.slow->latency.count(), report.slow->deliveries);
  EXPECT_GT(report.slow->latency.quantile(0.5), report.latency.all.quantile(0.5));
}

TEST(Slow, StreamsAreReadToTheEndWithTheStalledOnes) {
  LogServer server;
  const Report report = run_quickly(slow_plan(server));
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, (kStreams - 3) * kEvents);
  ASSERT_TRUE(report.resumed);
  EXPECT_EQ(report.resumed->expected, kEvents);
  EXPECT_EQ(report.resumed->deliveries, kEvents);
  EXPECT_EQ(report.slow->deliveries, 2 * kEvents);
  EXPECT_EQ(report.slow->missing(), 0U);
}

TEST(Slow, IsGoodOnlyWithoutHolesThatNobodyAnnounced) {
  Report report;
  SlowReport& slow = report.slow.emplace();
  slow.readers = 5;
  slow.expected = 10;
  slow.deliveries = 4;
  EXPECT_TRUE(report.good()) << "they are not waited for";
  report.resumed.emplace();
  EXPECT_FALSE(report.good()) << "now they are";
  report.slow->skipped = 6;
  EXPECT_TRUE(report.good());
  report.slow->unannounced = 1;
  EXPECT_FALSE(report.good());
  const std::string json = report.json();
  for (const char* member :
       {R"("slow_readers":5,)", R"("slow_expected":10,)", R"("slow_deliveries":4,)",
        R"("slow_skipped":6,)", R"("slow_unannounced":1,)", R"("slow_latency_us":{)"}) {
    EXPECT_NE(json.find(member), std::string::npos) << member << "\n" << json;
  }
}

}  // namespace
}  // namespace ringcast::load
