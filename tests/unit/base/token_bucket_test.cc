#include "ringcast/base/token_bucket.h"

#include <random>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

Time at_ns(std::uint64_t ns) {
  return Time{.mono_ns = 1'000 * kNsPerSecond + ns, .unix_ms = 0};
}
Time at_ms(std::uint64_t ms) {
  return at_ns(ms * kNsPerMs);
}

int take_all(TokenBucket& bucket, Time now) {
  int taken = 0;
  while (taken < 1'000'000 && bucket.try_take(now)) ++taken;
  return taken;
}

TEST(TokenBucket, RateOfZeroNeverRefuses) {
  TokenBucket bucket(0, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(bucket.try_take(at_ms(0)));
  EXPECT_EQ(bucket.wait_ns(at_ms(0)), 0u);
  TokenBucket unlimited;
  EXPECT_TRUE(unlimited.try_take(Time{}));
}

TEST(TokenBucket, BurstIsAvailableAtOnceAndNoMore) {
  TokenBucket bucket(10, 5);
  EXPECT_EQ(take_all(bucket, at_ms(0)), 5);
  EXPECT_EQ(take_all(bucket, at_ms(99)), 0);
}

TEST(TokenBucket, BurstOfZeroStillLetsOneThrough) {
  TokenBucket bucket(10, 0);
  EXPECT_EQ(take_all(bucket, at_ms(0)), 1);
}

TEST(TokenBucket, RefillsOneTokenEachInterval) {
  TokenBucket bucket(10, 5);
  take_all(bucket, at_ms(0));
  EXPECT_EQ(take_all(bucket, at_ms(100)), 1);
  EXPECT_EQ(take_all(bucket, at_ms(350)), 2);
  EXPECT_EQ(take_all(bucket, at_ms(399)), 0) << "half an interval was kept, not rounded up";
  EXPECT_EQ(take_all(bucket, at_ms(400)), 1);
}

TEST(TokenBucket, NeverHoldsMoreThanTheBurst) {
  TokenBucket bucket(10, 5);
  take_all(bucket, at_ms(0));
  EXPECT_EQ(take_all(bucket, at_ms(3'600'000)), 5);
}

TEST(TokenBucket, WaitIsExactlyTheTimeUntilTheNextToken) {
  TokenBucket bucket(7, 3);
  take_all(bucket, at_ms(0));
  const std::uint64_t wait = bucket.wait_ns(at_ms(0));
  ASSERT_GT(wait, 0u);
  TokenBucket early = bucket;
  EXPECT_FALSE(early.try_take(at_ns(wait - 1)));
  EXPECT_TRUE(bucket.try_take(at_ns(wait)));
}

TEST(TokenBucket, RefusalTakesNothing) {
  TokenBucket bucket(10, 1);
  ASSERT_TRUE(bucket.try_take(at_ms(0)));
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(bucket.try_take(at_ms(50)));
  EXPECT_TRUE(bucket.try_take(at_ms(100)));
}

TEST(TokenBucket, NoIntervalLetsMoreThroughThanRateAndBurst) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    const std::uint64_t rate = 1 + random() % 5000;
    const std::uint64_t burst = 1 + random() % 50;
    TokenBucket bucket(rate, burst);
    std::uint64_t now = 0;
    std::uint64_t taken = 0;
    for (int i = 0; i < 2000; ++i) {
      now += random() % (3 * kNsPerSecond / rate);
      if (bucket.try_take(at_ns(now))) ++taken;
    }
    // The interval is cut to whole nanoseconds, so the rate may be a millionth higher.
    const double allowed = static_cast<double>(burst) +
                           static_cast<double>(now) * static_cast<double>(rate) / 1e9 * 1.00001;
    EXPECT_LE(static_cast<double>(taken), allowed + 1) << rate << ' ' << burst;
  }
}

}  // namespace
}  // namespace ringcast
