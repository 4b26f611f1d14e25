#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "ringcast/base/time.h"

namespace ringcast::server {

/// Says when a burst of new connections is over.
///
/// A burst leaves memory behind: the receive buffers that it touched, as much as 30 bytes for each
/// stream of a full shard, and in the allocator 45 KB for each TLS handshake that was under way at
/// a time. It is given back when the burst is over, and not sooner: the next connection would take
/// it again.
///
///   quiet ──many under way, or many came──► burst ──1 s, hardly any under way──► release, thrice
///                                             ▲                                     │
///                                             └───────────── another burst ─────────┘
///
/// Threads: one.
class AfterBurst {
 public:
  static constexpr std::uint64_t kUnderWay = 32;  ///< connections that are not streams: a burst
  static constexpr std::uint64_t kCame = 256;     ///< as many since the last release: one too
  static constexpr std::uint64_t kRest = 4;
  /// The allocator hands pages over in two steps, and what a release frees may free more.
  static constexpr int kTimes = 3;
  static constexpr std::uint64_t kPauseNs = kNsPerSecond;

  struct Advice {
    bool release = false;
    std::optional<std::chrono::nanoseconds> wait;  ///< look again after so long at the latest
  };

  /// `under_way`: connections that are not streams. `came`: all that ever were accepted.
  [[nodiscard]] Advice look(std::uint64_t under_way, std::uint64_t came, std::uint64_t now_ns) {
    if (under_way >= kUnderWay || came - came_before_ >= kCame) {
      came_before_ = came;
      times_left_ = kTimes;
      next_ns_ = now_ns + kPauseNs;
    }
    Advice advice;
    if (times_left_ == 0) return advice;
    if (now_ns >= next_ns_) {
      next_ns_ = now_ns + kPauseNs;
      if (under_way <= kRest) {
        advice.release = true;
        came_before_ = came;
        if (--times_left_ == 0) return advice;
      }
    }
    advice.wait = std::chrono::nanoseconds(next_ns_ - now_ns);
    return advice;
  }

 private:
  int times_left_ = 0;
  std::uint64_t next_ns_ = 0;
  std::uint64_t came_before_ = 0;
};

}  // namespace ringcast::server
