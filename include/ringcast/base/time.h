#pragma once

#include <cstdint>

namespace ringcast {

/// One reading of the clocks. A loop turn reads it once and hands it down, so that everything in
/// the turn agrees on the time and tests can run on a time of their own.
struct Time {
  std::uint64_t mono_ns = 0;  ///< never goes back; for deadlines and intervals
  std::uint64_t unix_ms = 0;  ///< wall clock; for event IDs and the Date header only

  [[nodiscard]] std::uint64_t mono_ms() const { return mono_ns / 1'000'000; }
};

inline constexpr std::uint64_t kNsPerMs = 1'000'000;
inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

/// What `Retry-After` counts in: never less than the time that it stands for.
[[nodiscard]] constexpr std::uint32_t whole_seconds(std::uint64_t ns) {
  return static_cast<std::uint32_t>((ns + kNsPerSecond - 1) / kNsPerSecond);
}

/// Reads CLOCK_MONOTONIC and CLOCK_REALTIME.
[[nodiscard]] Time read_clock();

}  // namespace ringcast
