#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ringcast::load {

/// Counts of values in log-linear buckets: each power of two is cut into 64 equal parts, so a value
/// is known to 1/64 (1.6 %) at every size, from 0 to 2^64 - 1, in 30 KB and without ever
/// allocating.
///
///   value      0 … 63 | 64 65 … 127 | 128 130 … 254 | 256 260 … 508 | …
///   bucket     0 … 63 | 64  …   127 | 128   …   191 | 192   …   255 | …
///   width         1   |      1      |       2       |       4       | …
///
/// Threads: none; each thread has its own and `merge` joins them.
class Histogram {
 public:
  void record(std::uint64_t value) {
    ++counts_[bucket_of(value)];
    ++count_;
    if (value > max_) max_ = value;
  }
  void merge(const Histogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  /// The highest value of the bucket in which the given share (0 to 1) of all values is reached:
  /// never below the true quantile, at most 1/64 above it, and never above `max`. 0 when empty.
  [[nodiscard]] std::uint64_t quantile(double share) const;

 private:
  static constexpr unsigned kPartBits = 6;
  static constexpr std::size_t kParts = std::size_t{1} << kPartBits;
  static constexpr std::size_t kBuckets = kParts * (64 - kPartBits + 1);

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kParts) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kPartBits - 1;
    return kParts * shift + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t highest_of(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace ringcast::load
