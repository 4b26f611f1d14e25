#pragma once

#include <algorithm>
#include <cstdint>

#include "ringcast/base/time.h"

namespace ringcast {

/// Lets `rate_per_second` things happen for each second on average, and `burst` at once.
/// Kept as one moment ("theoretical arrival time", the generic cell rate algorithm, ITU-T I.371):
/// the bucket is full when the moment has passed and empty when it lies `burst` intervals ahead.
/// A rate of 0 means no limit. Not thread-safe.
class TokenBucket {
 public:
  TokenBucket() = default;
  TokenBucket(std::uint64_t rate_per_second, std::uint64_t burst)
      : interval_ns_(
            rate_per_second == 0 ? 0 : std::max<std::uint64_t>(1, kNsPerSecond / rate_per_second)),
        depth_ns_(interval_ns_ * std::max<std::uint64_t>(1, burst)) {}

  /// Takes one token, or returns false and takes nothing.
  [[nodiscard]] bool try_take(Time now) {
    if (interval_ns_ == 0) return true;
    const std::uint64_t arrival = std::max(arrival_ns_, now.mono_ns) + interval_ns_;
    if (arrival > now.mono_ns + depth_ns_) return false;
    arrival_ns_ = arrival;
    return true;
  }

  /// Nanoseconds until `try_take` would succeed; 0 when it would now.
  [[nodiscard]] std::uint64_t wait_ns(Time now) const {
    if (interval_ns_ == 0) return 0;
    const std::uint64_t arrival = std::max(arrival_ns_, now.mono_ns) + interval_ns_;
    const std::uint64_t allowed = now.mono_ns + depth_ns_;
    return arrival > allowed ? arrival - allowed : 0;
  }

 private:
  std::uint64_t interval_ns_ = 0;
  std::uint64_t depth_ns_ = 0;
  std::uint64_t arrival_ns_ = 0;
};

}  // namespace ringcast
