#pragma once

#include <cstdint>

#include "load/histogram.h"

namespace ringcast::load {

/// How long events took, in nanoseconds: of the whole run, and of the events of its first and its
/// last third (Plan::third_of), which differ when somebody falls behind.
///
/// Threads: none; each thread has its own and `merge` joins them.
struct Latency {
  Histogram all;
  Histogram first_third;
  Histogram last_third;

  void record(std::uint64_t ns, unsigned third) {
    all.record(ns);
    if (third == 0) first_third.record(ns);
    if (third == 2) last_third.record(ns);
  }
  void merge(const Latency& other) {
    all.merge(other.all);
    first_third.merge(other.first_third);
    last_third.merge(other.last_third);
  }
};

}  // namespace ringcast::load
