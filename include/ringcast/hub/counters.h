#pragma once

#include "ringcast/base/counter.h"

namespace ringcast::hub {

/// What the hub counts. The hub's thread writes, any thread reads.
struct alignas(64) Counters {
  Counter events;       ///< that got an ID
  Counter event_bytes;  ///< of their frames
  Counter inbox_full;   ///< times that the slowest shard held back the hub
  Counter last_id_ms;
  Counter last_id_sequence;
  Counter wakes;  ///< shards woken
};

}  // namespace ringcast::hub
