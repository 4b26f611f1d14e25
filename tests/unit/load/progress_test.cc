#include "load/progress.h"

#include <gtest/gtest.h>

#include "ringcast/base/time.h"

namespace ringcast::load {
namespace {

TEST(Progress, TellsTheRateOfTheLastTwoSecondsAndWhatIsLeft) {
  Progress progress;
  const auto line = [&progress](double seconds, std::uint64_t done) {
    return progress.line({.phase = "opening", .done = done, .total = 100'000, .unit = "streams"},
                         static_cast<std::uint64_t>(seconds * 1e9) + kNsPerSecond);
  };
  EXPECT_EQ(line(0, 0), "opening: 0 of 100,000 streams");
  EXPECT_EQ(line(1, 50'000), "opening: 50,000 of 100,000 streams, 50000 a second, 1 s left");
  EXPECT_EQ(line(2, 51'000), "opening: 51,000 of 100,000 streams, 25500 a second, 2 s left");
  EXPECT_EQ(line(3, 52'000), "opening: 52,000 of 100,000 streams, 1000 a second, 48 s left");
  EXPECT_EQ(line(5, 52'000), "opening: 52,000 of 100,000 streams");
}

TEST(Progress, BeginsAnewWithEachPhase) {
  Progress progress;
  EXPECT_EQ(progress.line({.phase = "a", .done = 100, .total = 0, .unit = "events"}, 1),
            "a: 100 events");
  EXPECT_EQ(progress.line({.phase = "b", .done = 1'000, .total = 0, .unit = "events"}, 2),
            "b: 1,000 events");
}

TEST(Progress, OfWaitingHasNoRate) {
  Progress progress;
  EXPECT_EQ(progress.line({.phase = "holding", .done = 0, .total = 10, .unit = "s"}, kNsPerSecond),
            "holding: 0 of 10 s");
  EXPECT_EQ(
      progress.line({.phase = "holding", .done = 2, .total = 10, .unit = "s"}, 3 * kNsPerSecond),
      "holding: 2 of 10 s, 8 s left");
  EXPECT_EQ(progress.line({.phase = "settling", .done = 0, .total = 0, .unit = "s"}, 4),
            "settling");
}

}  // namespace
}  // namespace ringcast::load
