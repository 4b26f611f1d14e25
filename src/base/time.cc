#include "ringcast/base/time.h"

#include <ctime>

namespace ringcast {
namespace {

std::uint64_t read_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace

Time read_clock() {
  return Time{read_ns(CLOCK_MONOTONIC), read_ns(CLOCK_REALTIME) / kNsPerMs};
}

}  // namespace ringcast
