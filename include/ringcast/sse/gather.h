#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/uio.h>

#include "ringcast/sse/broadcast_log.h"

namespace ringcast::sse {

/// A topic of a stream, and the newest event that the topic has (kNoOrdinal: none so far).
struct TopicNews {
  TopicId topic;
  Ordinal newest;
};

struct GatherLimits {
  std::size_t bytes = std::size_t{128}
                      << 10;  ///< stop before the frame that exceeds it, but take one
  std::size_t scan = 4096;    ///< index entries to look at
};

struct Gathered {
  std::uint32_t spans = 0;  ///< written to `out`
  std::uint32_t bytes = 0;
  std::uint32_t events = 0;  ///< frames in them
  Ordinal next = 0;          ///< the cursor after what was gathered; head() when nothing is left
};

/// Collects the frames from `cursor` on that belong to any of `topics` (sorted by id, the public
/// one included), in ID order, neighbours joined to one span, at most `out.size()` spans. `cursor
/// >= log.tail()`. Two ways to the same result: near the head it scans the index forward; far
/// behind with little news it walks each topic's chain back from its newest event and merges.
[[nodiscard]] Gathered gather(const BroadcastLog& log, Ordinal cursor,
                              std::span<const TopicNews> topics, Wire wire,
                              const GatherLimits& limits, std::span<iovec> out);

/// Where a short send of what `gather` returned for `cursor` stopped.
struct Split {
  Ordinal next = 0;                   ///< after the last frame of which any byte was taken
  std::span<const std::byte> rest{};  ///< of that frame, not yet taken; empty on a boundary
  std::uint32_t events = 0;           ///< frames of which any byte was taken
};

/// `taken` is less than what was gathered.
[[nodiscard]] Split split(const BroadcastLog& log, Ordinal cursor,
                          std::span<const TopicNews> topics, Wire wire, std::size_t taken);

}  // namespace ringcast::sse
