// Whole runs over a channel, with bare subscribers and without streams.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "load/payload.h"
#include "loopback_redis.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kEvents = 90;  // each lane can be cut into thirds
constexpr std::uint32_t kSubscribers = 2;

Plan plan_for(const LoopbackRedis& redis) {
  Plan plan;
  plan.publish_redis = parse_redis_url(redis.url()).value();
  plan.subscribe_redis = plan.publish_redis;
  plan.channel = "news";
  plan.subscribers = kSubscribers;
  plan.publishers = 3;
  plan.pipeline = 4;
  plan.publications = kEvents;
  plan.frame_bytes = 120;
  plan.run = 7;
  return plan;
}

TEST(Channel, EachSubscriberHearsEachMessageOnce) {
  const LoopbackRedis redis;
  const Report report = run_quickly(plan_for(redis));
  EXPECT_EQ(report.failure, "");
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.published, kEvents);
  ASSERT_TRUE(report.heard);
  EXPECT_EQ(report.heard->messages, kSubscribers * kEvents);
  EXPECT_EQ(report.heard->missing, 0U);
  EXPECT_EQ(report.heard->others, 0U);
  EXPECT_EQ(report.heard->latency.all.count(), kSubscribers * kEvents);
  EXPECT_EQ(report.heard->latency.first_third.count(), kSubscribers * kEvents / 3);
  EXPECT_EQ(report.heard->latency.last_third.count(), kSubscribers * kEvents / 3);
  EXPECT_GT(report.heard->seconds, 0);
  EXPECT_EQ(report.receivers_min, kSubscribers);
  EXPECT_EQ(report.receivers_max, kSubscribers);
}

TEST(Channel, SendsAheadOfRepliesUpToTheLimit) {
  LoopbackRedis redis;
  Plan plan = plan_for(redis);
  plan.publishers = 1;
  EXPECT_TRUE(run_quickly(plan).good());
  EXPECT_LE(redis.pipelined_max(), plan.pipeline);
  EXPECT_GT(redis.pipelined_max(), 1U);
}

TEST(Channel, LatencyCountsFromWhenAnEventWasDue) {
  const LoopbackRedis redis;
  Plan plan = plan_for(redis);
  plan.rate = 2'000;
  plan.publish_gather_us = 10'000;  // so each waits some milliseconds for its turn
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good());
  EXPECT_GE(report.heard->latency.all.max(), 2'000'000U);
  EXPECT_GE(report.publish_seconds, static_cast<double>(kEvents - 1) / plan.rate);
}

TEST(Channel, AcknowledgementsAreTimedIfRepliesAreReadAtOnce) {
  const LoopbackRedis redis;
  Plan plan = plan_for(redis);
  EXPECT_EQ(run_quickly(plan).answer.count(), 0U);
  plan.prompt_replies = true;
  plan.rate = 2'000;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.answer.count(), kEvents);
  EXPECT_GT(report.answer.max(), 0U);
  EXPECT_NE(report.json().find(R"("ack_latency_us":{"count":90,)"), std::string::npos);
}

TEST(Channel, AMessageThatIsNotDeliveredIsMissing) {
  const LoopbackRedis redis{[](std::uint64_t number, const std::string& message) {
    return number == 10 ? std::vector<std::string>{} : std::vector<std::string>{message};
  }};
  Plan plan = plan_for(redis);
  Report report = run_quickly(plan, {.timeout_seconds = 1});
  EXPECT_EQ(report.heard->missing, kSubscribers);
  report.failure.clear();  // the test does not wait until the run gives up by itself
  EXPECT_FALSE(report.good());
}

TEST(Channel, AMessageThatComesTwiceIsADuplicate) {
  const LoopbackRedis redis{[](std::uint64_t number, const std::string& message) {
    return std::vector<std::string>(number == 10 ? 2 : 1, message);
  }};
  const Report report = run_quickly(plan_for(redis));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.heard->duplicates, kSubscribers);
}

TEST(Channel, MessagesOfOthersAreAwaitedAndCountedApart) {
  constexpr std::uint64_t kOthers = 5;
  const LoopbackRedis redis{[](std::uint64_t number, const std::string& message) {
    std::vector<std::string> out{message};
    if (number < kOthers) out.emplace_back(R"({"data":"of somebody else"})");
    return out;
  }};
  Plan plan = plan_for(redis);
  plan.others_messages = kOthers;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.heard->others, kSubscribers * kOthers);
  plan.others_messages = 2 * kOthers;  // the same Redis adds no more of them
  EXPECT_NE(run_quickly(plan, {.timeout_seconds = 1}).failure, "");
}

TEST(Channel, ARefusalOfRedisEndsTheRunWithItsReason) {
  const LoopbackRedis redis{{}, "NOPERM this user has no permissions"};
  EXPECT_NE(run_quickly(plan_for(redis)).failure.find("NOPERM"), std::string::npos);
}

}  // namespace
}  // namespace ringcast::load
