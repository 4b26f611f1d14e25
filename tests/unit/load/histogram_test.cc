#include "load/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(Histogram, IsExactBelow128) {
  Histogram h;
  for (std::uint64_t value = 0; value < 128; ++value) h.record(value);
  EXPECT_EQ(h.count(), 128U);
  for (std::uint64_t rank = 1; rank <= 128; ++rank) {
    EXPECT_EQ(h.quantile(static_cast<double>(rank) / 128), rank - 1);
  }
}

TEST(Histogram, QuantilesAreNeverLowAndAtMostOne64thHigh) {
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> spread{12, 3};
  std::vector<std::uint64_t> values;
  Histogram h;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(static_cast<std::uint64_t>(spread(random)));
    h.record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(share * 20'000)));
    const std::uint64_t exact = values[rank - 1];
    EXPECT_GE(h.quantile(share), exact) << share;
    EXPECT_LE(h.quantile(share), exact + exact / 64) << share;
  }
  EXPECT_EQ(h.quantile(1), values.back());
  EXPECT_EQ(h.max(), values.back());
}

TEST(Histogram, TakesTheLargestValue) {
  Histogram h;
  h.record(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(h.quantile(0.5), std::numeric_limits<std::uint64_t>::max());
}

TEST(Histogram, OfNothingIsZero) {
  const Histogram h;
  EXPECT_EQ(h.quantile(0.99), 0U);
  EXPECT_EQ(h.max(), 0U);
}

TEST(Histogram, MergedIsAsIfRecordedInOne) {
  Histogram one;
  Histogram two;
  Histogram both;
  for (std::uint64_t value = 1; value < 5'000'000; value = value * 5 / 3 + 1) {
    (value % 2 == 0 ? one : two).record(value);
    both.record(value);
  }
  one.merge(two);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.max(), both.max());
  for (const double share : {0.1, 0.5, 0.8, 1.0})
    EXPECT_EQ(one.quantile(share), both.quantile(share));
}

}  // namespace
}  // namespace ringcast::load
