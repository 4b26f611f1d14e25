#include "after_burst.h"

#include <gtest/gtest.h>

namespace ringcast::server {
namespace {

constexpr std::uint64_t kSecond = kNsPerSecond;

/// Looks every 100 ms for `seconds` and counts the releases.
int releases(AfterBurst& burst, std::uint64_t& now_ns, int seconds, std::uint64_t under_way,
             std::uint64_t came) {
  int count = 0;
  for (int i = 0; i < 10 * seconds; ++i) {
    now_ns += kSecond / 10;
    count += burst.look(under_way, came, now_ns).release ? 1 : 0;
  }
  return count;
}

TEST(AfterBurst, FewConnectionsAreNoBurst) {
  AfterBurst burst;
  std::uint64_t now_ns = kSecond;
  EXPECT_EQ(releases(burst, now_ns, 10, AfterBurst::kUnderWay - 1, AfterBurst::kCame - 1), 0);
  EXPECT_FALSE(burst.look(0, AfterBurst::kCame - 1, now_ns).wait);
}

TEST(AfterBurst, ReleasesThriceWhenManyWereUnderWay) {
  AfterBurst burst;
  std::uint64_t now_ns = kSecond;
  EXPECT_FALSE(burst.look(AfterBurst::kUnderWay, 40, now_ns).release);
  EXPECT_EQ(releases(burst, now_ns, 10, 0, 40), AfterBurst::kTimes);
  EXPECT_FALSE(burst.look(0, 40, now_ns).wait) << "nothing is left to look for";
}

TEST(AfterBurst, ReleasesWhenManyCameOneByOne) {
  AfterBurst burst;
  std::uint64_t now_ns = kSecond;
  EXPECT_EQ(releases(burst, now_ns, 5, 1, AfterBurst::kCame), AfterBurst::kTimes);
  EXPECT_EQ(releases(burst, now_ns, 5, 1, AfterBurst::kCame * 2 - 1), 0);
  EXPECT_EQ(releases(burst, now_ns, 5, 1, AfterBurst::kCame * 2), AfterBurst::kTimes);
}

TEST(AfterBurst, WaitsUntilTheBurstIsOver) {
  AfterBurst burst;
  std::uint64_t now_ns = kSecond;
  EXPECT_EQ(releases(burst, now_ns, 30, AfterBurst::kUnderWay, 1000), 0);
  EXPECT_EQ(releases(burst, now_ns, 5, AfterBurst::kRest + 1, 1000), 0) << "some are still coming";
  EXPECT_EQ(releases(burst, now_ns, 5, AfterBurst::kRest, 1000), AfterBurst::kTimes);
}

TEST(AfterBurst, SaysHowLongToWait) {
  AfterBurst burst;
  const auto advice = burst.look(AfterBurst::kUnderWay, 0, kSecond);
  ASSERT_TRUE(advice.wait);
  EXPECT_EQ(advice.wait->count(), static_cast<std::int64_t>(AfterBurst::kPauseNs));
  EXPECT_TRUE(burst.look(0, 0, kSecond + AfterBurst::kPauseNs).release) << "when that has passed";
}

}  // namespace
}  // namespace ringcast::server
