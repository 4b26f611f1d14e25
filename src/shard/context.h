#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ringcast/base/time.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/shard/counters.h"
#include "ringcast/shard/options.h"
#include "ringcast/sse/broadcast_log.h"
#include "ringcast/uring/ring.h"

#include "connection.h"
#include "stream_table.h"
#include "tails.h"
#include "topics.h"

namespace ringcast::shard {

inline constexpr std::size_t kTailBytesMax = std::size_t{4} << 20;  // for each shard

/// The data of a shard, which its parts share. The parts are layered, each using those before it:
///
///   Lifecycle  a slot's way from accept to close
///   Sender     batches of sends, and what becomes of those that are short
///   Pump       which stream gets what, in which order
///   Streams    opening, heartbeats, slow clients, draining
///   Requests   HTTP in, answers out
///   Shard      the turn of the loop
struct Context {
  Context(const ShardOptions& shard_options, hub::Exchange& shard_exchange, uring::Ring& shard_ring,
          Counters& shard_counters, StreamTable stream_table,
          std::unique_ptr<sse::BroadcastLog> shard_log)
      : options(shard_options),
        exchange(shard_exchange),
        port(shard_exchange.port(shard_options.index)),
        ring(shard_ring),
        counters(shard_counters),
        table(std::move(stream_table)),
        log(std::move(shard_log)),
        sets(topics),
        tails(kTailBytesMax, shard_options.slots) {}

  const ShardOptions options;
  hub::Exchange& exchange;
  hub::Exchange::Port& port;
  uring::Ring& ring;
  Counters& counters;
  Time now;  ///< of this turn

  StreamTable table;
  std::unique_ptr<sse::BroadcastLog> log;
  TopicTable topics;
  TopicSets sets;
  Tails tails;

  StreamList ready{ListId::ready};      ///< behind the head and able to write: the pump's
  StreamList blocked{ListId::blocked};  ///< socket full, waiting until it is writable
  StreamList backoff{ListId::backoff};  ///< was said to be writable and was not: asks again later
  StreamList lingering{ListId::lingering};  ///< ended by us, waiting for the peer's end

  std::uint32_t round = 1;       ///< of the pump
  std::uint32_t ready_left = 0;  ///< ready streams that the round still waits for

  /// For comparison by difference: wraps after 49 days.
  [[nodiscard]] std::uint32_t now_ms() const { return static_cast<std::uint32_t>(now.mono_ms()); }

  [[nodiscard]] StreamList* list(ListId id) {
    switch (id) {
      case ListId::ready:
        return &ready;
      case ListId::blocked:
        return &blocked;
      case ListId::backoff:
        return &backoff;
      case ListId::lingering:
        return &lingering;
      case ListId::none:
        break;
    }
    return nullptr;
  }
  void leave_list(uring::Slot slot) {
    StreamList* const in = list(table[slot].list);
    if (in == nullptr) return;
    if (in == &ready && table[slot].round == round) --ready_left;
    in->remove(table, slot);
  }
};

}  // namespace ringcast::shard
