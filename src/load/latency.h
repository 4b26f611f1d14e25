#pragma once

#include <atomic>
#include <cstdint>

#include "load/histogram.h"

namespace ringcast::load {

/// A stretch of the run that somebody outside marks, because something else happens in it.
///
/// Threads: any. `begin` and `end` may be called by a signal handler.
class Stretch {
 public:
  /// Monotonic clock, in nanoseconds. A second stretch takes the place of the first.
  void begin(std::uint64_t now_ns) {
    end_ns_.store(kOpen, std::memory_order_relaxed);
    begin_ns_.store(now_ns, std::memory_order_relaxed);
  }
  void end(std::uint64_t now_ns) { end_ns_.store(now_ns, std::memory_order_relaxed); }
  /// Whether an event that was due then belongs to it.
  [[nodiscard]] bool holds(std::uint64_t due_ns) const {
    return due_ns >= begin_ns_.load(std::memory_order_relaxed) &&
           due_ns < end_ns_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t kOpen = ~std::uint64_t{0};
  std::atomic<std::uint64_t> begin_ns_{kOpen};
  std::atomic<std::uint64_t> end_ns_{kOpen};
};

/// How long events took, in nanoseconds: of the whole run, of the events of its first and its last
/// third (Plan::third_of), which differ when somebody falls behind, and of those in a Stretch.
///
/// Threads: none; each thread has its own and `merge` joins them.
struct Latency {
  Histogram all;
  Histogram first_third;
  Histogram last_third;
  Histogram stretch;

  void record(std::uint64_t ns, unsigned third) {
    all.record(ns);
    if (third == 0) first_third.record(ns);
    if (third == 2) last_third.record(ns);
  }
  void merge(const Latency& other) {
    all.merge(other.all);
    first_third.merge(other.first_third);
    last_third.merge(other.last_third);
    stretch.merge(other.stretch);
  }
};

}  // namespace ringcast::load
