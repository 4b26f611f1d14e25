#include "ringcast/base/token_bucket.h"

#include <array>
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

int take_all(const TokenRate& rate, std::uint64_t& arrival_ns, Time now) {
  int taken = 0;
  while (taken < 1'000'000 && rate.try_take(arrival_ns, now)) ++taken;
  return taken;
}

TEST(TokenRate, PerMinuteSpreadsItsTokensOverTheMinute) {
  const TokenRate rate = TokenRate::per_minute(30, 1);
  std::uint64_t arrival_ns = 0;
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(0)), 1);
  EXPECT_EQ(rate.wait_ns(arrival_ns, at_ms(0)), 2 * kNsPerSecond);
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(1'999)), 0);
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(2'000)), 1);
  int taken = 0;
  for (std::uint64_t ms = 2'000; ms <= 62'000; ms += 10) {
    taken += take_all(rate, arrival_ns, at_ms(ms));
  }
  EXPECT_EQ(taken, 30);
}

TEST(TokenRate, BurstOfAWholeMinuteIsAvailableAtOnce) {
  const TokenRate rate = TokenRate::per_minute(30, 30);
  std::uint64_t arrival_ns = 0;
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(0)), 30);
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(10'000)), 5);
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(3'600'000)), 30);
}

TEST(TokenRate, StatesOfOneRateAreApart) {
  const TokenRate rate = TokenRate::per_second(10, 5);
  std::array<std::uint64_t, 3> arrivals_ns{};
  EXPECT_EQ(take_all(rate, arrivals_ns[0], at_ms(0)), 5);
  EXPECT_EQ(take_all(rate, arrivals_ns[1], at_ms(50)), 5);
  EXPECT_EQ(take_all(rate, arrivals_ns[0], at_ms(100)), 1);
  EXPECT_EQ(take_all(rate, arrivals_ns[1], at_ms(100)), 0);
  EXPECT_EQ(take_all(rate, arrivals_ns[2], at_ms(100)), 5);
}

TEST(TokenRate, AStateOutlivesAChangeOfTheRate) {
  std::uint64_t arrival_ns = 0;
  EXPECT_EQ(take_all(TokenRate::per_second(10, 5), arrival_ns, at_ms(0)), 5);
  const TokenRate faster = TokenRate::per_second(100, 5);
  EXPECT_FALSE(faster.try_take(arrival_ns, at_ms(0)));
  EXPECT_EQ(take_all(faster, arrival_ns, at_ms(3'600'000)), 5);
}

TEST(TokenRate, WithoutLimitTheStateIsLeftAlone) {
  for (const TokenRate& rate :
       {TokenRate{}, TokenRate::per_second(0, 7), TokenRate::per_minute(0, 7)}) {
    std::uint64_t arrival_ns = 42;
    EXPECT_FALSE(rate.limited());
    EXPECT_TRUE(rate.try_take(arrival_ns, at_ms(0)));
    EXPECT_EQ(rate.wait_ns(arrival_ns, at_ms(0)), 0u);
    EXPECT_EQ(arrival_ns, 42u);
  }
  EXPECT_TRUE(TokenRate::per_minute(1, 0).limited());
}

TEST(TokenRate, ARateAboveTheClockStillLimits) {
  const TokenRate rate = TokenRate::per_second(5 * kNsPerSecond, 10);
  std::uint64_t arrival_ns = 0;
  EXPECT_EQ(take_all(rate, arrival_ns, at_ms(0)), 10);
}

}  // namespace
}  // namespace ringcast
