#pragma once

#include <algorithm>
#include <cstdint>

#include "ringcast/base/time.h"

namespace ringcast {

/// How fast tokens come: so many a second (or minute) on average, `burst` at once. The state of a
/// bucket is one moment, kept elsewhere ("theoretical arrival time", the generic cell rate
/// algorithm, ITU-T I.371): the bucket is full when the moment has passed and empty when it lies
/// `burst` intervals ahead. A rate of 0 means no limit.
class TokenRate {
 public:
  TokenRate() = default;
  [[nodiscard]] static TokenRate per_second(std::uint64_t rate, std::uint64_t burst) {
    return {rate, burst, kNsPerSecond};
  }
  [[nodiscard]] static TokenRate per_minute(std::uint64_t rate, std::uint64_t burst) {
    return {rate, burst, 60 * kNsPerSecond};
  }

  [[nodiscard]] bool limited() const { return interval_ns_ != 0; }

  /// Takes one token, or returns false and takes nothing.
  [[nodiscard]] bool try_take(std::uint64_t& arrival_ns, Time now) const {
    if (interval_ns_ == 0) return true;
    const std::uint64_t arrival = std::max(arrival_ns, now.mono_ns) + interval_ns_;
    if (arrival > now.mono_ns + depth_ns_) return false;
    arrival_ns = arrival;
    return true;
  }

  /// Nanoseconds until `try_take` would succeed; 0 when it would now.
  [[nodiscard]] std::uint64_t wait_ns(std::uint64_t arrival_ns, Time now) const {
    if (interval_ns_ == 0) return 0;
    const std::uint64_t arrival = std::max(arrival_ns, now.mono_ns) + interval_ns_;
    const std::uint64_t allowed = now.mono_ns + depth_ns_;
    return arrival > allowed ? arrival - allowed : 0;
  }

 private:
  TokenRate(std::uint64_t rate, std::uint64_t burst, std::uint64_t period_ns)
      : interval_ns_(rate == 0 ? 0 : std::max<std::uint64_t>(1, period_ns / rate)),
        depth_ns_(interval_ns_ * std::max<std::uint64_t>(1, burst)) {}

  std::uint64_t interval_ns_ = 0;
  std::uint64_t depth_ns_ = 0;
};

/// A rate with the state of one bucket. Not thread-safe.
class TokenBucket {
 public:
  TokenBucket() = default;
  TokenBucket(std::uint64_t rate_per_second, std::uint64_t burst)
      : rate_(TokenRate::per_second(rate_per_second, burst)) {}

  [[nodiscard]] bool try_take(Time now) { return rate_.try_take(arrival_ns_, now); }
  [[nodiscard]] std::uint64_t wait_ns(Time now) const { return rate_.wait_ns(arrival_ns_, now); }

 private:
  TokenRate rate_;
  std::uint64_t arrival_ns_ = 0;
};

}  // namespace ringcast
