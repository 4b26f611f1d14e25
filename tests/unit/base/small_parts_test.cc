// assert.h, counter.h and time.h: too little for a file each.
#include <gtest/gtest.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/counter.h"
#include "ringcast/base/time.h"

namespace ringcast {
namespace {

TEST(AssertDeathTest, NamesTheConditionAndThePlace) {
  EXPECT_DEATH(RC_ASSERT(1 + 1 == 3), "1 \\+ 1 == 3 does not hold .*small_parts_test.cc:[0-9]+");
}

TEST(Assert, EvaluatesTheConditionOnce) {
  int evaluated = 0;
  RC_ASSERT(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(Counter, CountsUpAndDown) {
  Counter counter;
  EXPECT_EQ(counter.get(), 0u);
  counter.add();
  counter.add(9);
  counter.sub(3);
  EXPECT_EQ(counter.get(), 7u);
}

TEST(Counter, RaisingNeverLowers) {
  Counter counter;
  counter.raise_to(10);
  counter.raise_to(4);
  EXPECT_EQ(counter.get(), 10u);
  counter.raise_to(11);
  EXPECT_EQ(counter.get(), 11u);
}

TEST(Time, MonotonicMillisecondsComeFromNanoseconds) {
  EXPECT_EQ((Time{.mono_ns = 2'999'999, .unix_ms = 0}.mono_ms()), 2u);
}

TEST(Time, ClockNeverGoesBackAndIsInThisMillennium) {
  const Time first = read_clock();
  const Time second = read_clock();
  EXPECT_LE(first.mono_ns, second.mono_ns);
  EXPECT_GT(first.unix_ms, 1'600'000'000'000u);
  EXPECT_LT(first.unix_ms, 32'503'680'000'000u);
}

}  // namespace
}  // namespace ringcast
