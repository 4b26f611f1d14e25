#pragma once

/// Trace points: places in a running server that perf and bpftrace can listen at (USDT). One costs
/// a `nop` while nobody listens, and a note in the executable that says where it is and in which
/// registers its values are. perf/README.md lists them all; a test compares that list with the
/// executable.
///
///     RC_TRACE(send_short, slot, sent, expected);
///
/// The provider is `ringcast`. Up to six values: integers, or pointers to text that ends with a
/// zero. They should be at hand anyway: what is computed for a trace point alone is computed each
/// time, whether or not somebody listens. The thread tells which shard it is.
///
/// Without <sys/sdt.h> (Debian: systemtap-sdt-dev) or with the option `trace` disabled there are
/// none.
#if defined(RINGCAST_TRACE) && RINGCAST_TRACE

#define SDT_USE_VARIADIC
#include <sys/sdt.h>

#define RC_TRACE(...) STAP_PROBEV(ringcast, __VA_ARGS__)

#else

namespace ringcast {

/// Uses its arguments, so that they are compiled with and without trace points.
template <class... Values>
constexpr void trace_nothing(const Values&...) {}

}  // namespace ringcast

#define RC_TRACE(name, ...)                            \
  do {                                                 \
    if (false) ::ringcast::trace_nothing(__VA_ARGS__); \
  } while (false)

#endif
