#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ringcast/shard/counters.h"

namespace ringcast::shard {

/// Why a stream ends.
enum class Ending : std::uint8_t {
  peer,  ///< the client left, was cut off, or said what it should not
  tls,   ///< what came, or was to be sent, is against TLS
  slow,  ///< it fell behind the kept history, or there was no room for what it did not take
  drain,
  expired,
  signed_out,
};

struct EndingFacts {
  const char* word;  ///< for trace points, and for `closing` events where the client is told
  Counter Counters::*count;
};

inline constexpr std::array<EndingFacts, 6> kEndings{{
    {"peer", &Counters::streams_ended_by_peer},
    {"tls", &Counters::streams_ended_tls},
    {"slow", &Counters::streams_ended_slow},
    {"drain", &Counters::streams_ended_drain},
    {"expired", &Counters::streams_ended_expired},
    {"signed-out", &Counters::streams_ended_signed_out},
}};

[[nodiscard]] constexpr const EndingFacts& facts_of(Ending ending) {
  return kEndings[static_cast<std::size_t>(ending)];
}

}  // namespace ringcast::shard
