#pragma once

#include <cstdint>
#include <string>

namespace ringcast::load {

/// 1234567 → 1,234,567
[[nodiscard]] std::string grouped(std::uint64_t n);

/// printf, to the end of a string. At most 511 bytes.
__attribute__((format(printf, 2, 3))) void put(std::string& out, const char* format, ...);

/// Nanoseconds in microseconds.
[[nodiscard]] inline double micro(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

}  // namespace ringcast::load
