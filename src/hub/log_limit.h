#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "ringcast/base/time.h"

namespace ringcast::hub {

/// Keeps what repeats from filling the log: one line in ten seconds.
class LogLimit {
 public:
  /// How many lines were held back since the last one that was written; nothing: hold this one back
  /// too.
  std::optional<std::uint64_t> pass(Time now) {
    if (next_ns_ > now.mono_ns) {
      ++held_back_;
      return std::nullopt;
    }
    next_ns_ = now.mono_ns + 10 * kNsPerSecond;
    return std::exchange(held_back_, 0);
  }

 private:
  std::uint64_t next_ns_ = 0;
  std::uint64_t held_back_ = 0;
};

}  // namespace ringcast::hub
