#include "load/latency.h"

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(Stretch, HoldsWhatWasDueBetweenItsBeginningAndItsEnd) {
  Stretch stretch;
  EXPECT_FALSE(stretch.holds(0));
  EXPECT_FALSE(stretch.holds(100));
  stretch.begin(100);
  EXPECT_FALSE(stretch.holds(99));
  EXPECT_TRUE(stretch.holds(100));
  EXPECT_TRUE(stretch.holds(1'000));
  stretch.end(200);
  EXPECT_TRUE(stretch.holds(199));  // what comes late still belongs to it
  EXPECT_FALSE(stretch.holds(200));
}

TEST(Stretch, ASecondOneTakesThePlaceOfTheFirst) {
  Stretch stretch;
  stretch.begin(100);
  stretch.end(200);
  stretch.begin(300);
  EXPECT_FALSE(stretch.holds(150));
  EXPECT_TRUE(stretch.holds(400));
}

TEST(Latency, MergesTheStretchWithTheRest) {
  Latency one;
  Latency other;
  other.record(5, 0);
  other.stretch.record(7);
  one.merge(other);
  EXPECT_EQ(one.all.count(), 1U);
  EXPECT_EQ(one.stretch.max(), 7U);
}

}  // namespace
}  // namespace ringcast::load
