#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "ringcast/base/time.h"
#include "ringcast/hub/counters.h"
#include "ringcast/hub/embedded_store.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/uring/ring.h"

namespace ringcast::hub {

/// The sequencer: takes publishers' commands from every shard in turn, gives each its ID, encodes
/// its frame once, straight into the ring that all shards read, and replies.
///
/// An event gets its ID only when there is room for its frame, so that one that has an ID can no
/// longer be refused; a late shard holds the hub back, the command rings fill and publishers get
/// `503`.
///
/// One thread; `turn` does not block. No allocation after construction.
class Hub {
 public:
  Hub(Exchange& exchange, EmbeddedStore& store, uring::Ring& ring, Counters& counters);

  /// Does a bounded amount of work. Returns how long the caller may wait on the ring: 0 when there
  /// is more to do now, nothing when only a wake can bring work.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> turn(Time now);

 private:
  enum class Progress { idle, more, no_room };

  [[nodiscard]] Progress sequence(Time now);
  [[nodiscard]] bool sequence_one(std::size_t shard, std::span<const std::byte> record, Time now);
  [[nodiscard]] bool pass_on_sign_out(std::size_t shard, const Command& command,
                                      std::span<const std::byte> topic,
                                      std::span<const std::byte> sign_out);
  void reply(std::size_t shard, const Command& command, const EventId& id);
  void wake_shards();
  [[nodiscard]] bool commands_waiting();

  Exchange& exchange_;
  EmbeddedStore& store_;
  uring::Ring& ring_;
  Counters& counters_;
  std::size_t next_shard_ = 0;  // whose turn it is: round robin, so that no shard starves another
  bool wrote_events_ = false;
  std::vector<bool> replied_;  // shards that must look at their replies
};

}  // namespace ringcast::hub
