#include "load/histogram.h"

#include <algorithm>
#include <cmath>

namespace ringcast::load {

void Histogram::merge(const Histogram& other) {
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    counts_[bucket] += other.counts_[bucket];
  }
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const double exact = std::ceil(share * static_cast<double>(count_));
  const auto rank =
      std::clamp(static_cast<std::uint64_t>(std::max(exact, 1.0)), std::uint64_t{1}, count_);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) return std::min(highest_of(bucket), max_);
  }
  return max_;
}

std::uint64_t Histogram::highest_of(std::size_t bucket) {
  if (bucket < kParts * 2) return bucket;
  const std::size_t shift = bucket / kParts - 1;
  const std::uint64_t part = kParts + bucket % kParts;
  return (part << shift) + ((std::uint64_t{1} << shift) - 1);
}

}  // namespace ringcast::load
