#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ringcast/base/time.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/shard/counters.h"
#include "ringcast/shard/options.h"
#include "ringcast/shard/services.h"
#include "ringcast/sse/broadcast_log.h"
#include "ringcast/uring/ring.h"

#include "connection.h"
#include "owners.h"
#include "paced.h"
#include "secure_streams.h"
#include "stream_table.h"
#include "tails.h"
#include "topics.h"

namespace ringcast::shard {

// For each shard. Of a plain stream that takes a frame in part the log has the rest; under TLS only
// the record that was made has it.
inline constexpr std::size_t kTailBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kSecureTailBytesMax = std::size_t{64} << 20;

static_assert(Stream::kPlain == SecureStreams::kNone);

/// The data of a shard, which its parts share. The parts are layered, each using those before it:
///
///   Lifecycle  a slot's way from accept to close
///   Sender     batches of sends, and what becomes of those that are short
///   Pump       which stream gets what, in which order
///   Streams    opening, heartbeats, slow clients, draining
///   Gate       who asks, from where, and what they may do
///   Requests   HTTP in, answers out
///   Shard      the turn of the loop
struct Context {
  Context(const ShardOptions& shard_options, const Services& shard_services,
          hub::Exchange& shard_exchange, uring::Ring& shard_ring, Counters& shard_counters,
          StreamTable stream_table, std::unique_ptr<sse::BroadcastLog> shard_log,
          std::unique_ptr<SecureStreams> secure_streams)
      : options(shard_options),
        services(shard_services),
        policy(shard_services.policy),
        exchange(shard_exchange),
        port(shard_exchange.port(shard_options.index)),
        ring(shard_ring),
        counters(shard_counters),
        table(std::move(stream_table)),
        log(std::move(shard_log)),
        secure(std::move(secure_streams)),
        sets(topics),
        tails(secure ? kSecureTailBytesMax : kTailBytesMax, shard_options.slots),
        owners(shard_options.slots),
        paced(shard_options.limits.stream_sends_per_second) {}

  const ShardOptions options;
  const Services services;
  std::shared_ptr<const Policy> policy;  ///< in effect; replaced between turns
  hub::Exchange& exchange;
  hub::Exchange::Port& port;
  uring::Ring& ring;
  Counters& counters;
  Time now;  ///< of this turn

  StreamTable table;
  std::unique_ptr<sse::BroadcastLog> log;
  std::unique_ptr<SecureStreams> secure;  ///< null: no listener speaks TLS
  TopicTable topics;
  TopicSets sets;
  Tails tails;
  Owners owners;

  StreamList ready{ListId::ready};      ///< behind the head and able to write: the pump's
  PacedStreams paced;                   ///< likewise, but not yet: the pump's too
  StreamList blocked{ListId::blocked};  ///< socket full, waiting until it is writable
  StreamList backoff{ListId::backoff};  ///< was said to be writable and was not: asks again later
  StreamList lingering{ListId::lingering};  ///< ended by us, waiting for the peer's end

  std::uint32_t round = 1;       ///< of the pump
  std::uint32_t ready_left = 0;  ///< ready and paced streams that the round still waits for

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
      case ListId::paced:
      case ListId::none:
        break;
    }
    return nullptr;
  }
  void leave_list(uring::Slot slot) {
    const Stream& stream = table[slot];
    const bool owed = stream.list == ListId::ready || stream.list == ListId::paced;
    if (owed && stream.round == round) --ready_left;
    if (stream.list == ListId::paced) {
      paced.remove(table, slot);
    } else if (StreamList* const in = list(stream.list)) {
      in->remove(table, slot);
    }
  }

  /// Gives back what a stream, or a request for one, has because of who opened it.
  void release_owner(Owners::Handle handle) {
    if (handle == Owners::kNone) return;
    if (owners[handle].holds_address) services.addresses.release(owners[handle].address);
    owners.remove(handle);
  }
};

}  // namespace ringcast::shard
