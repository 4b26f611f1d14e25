#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ringcast/base/time.h"
#include "ringcast/hub/counters.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/uring/ring.h"

namespace ringcast::hub {

/// The sequencer: takes publishers' commands from every shard in turn, gives them to the event
/// store, encodes the frame of each event that the store delivers once, straight into the ring that
/// all shards read, and replies.
///
/// An event is delivered only when there is room for its frame; a late shard holds the hub back,
/// the command rings fill and publishers get `503`.
///
/// One thread; `turn` does not block. With the embedded store no allocation after construction.
class Hub : private EventSink {
 public:
  Hub(Exchange& exchange, EventStore& store, uring::Ring& ring, Counters& counters);

  /// Does a bounded amount of work. Returns how long the caller may wait on the ring: 0 when there
  /// is more to do now, nothing when only a completion can bring work.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> turn(Time now);

 private:
  enum class Progress { idle, more, no_room };

  [[nodiscard]] Progress sequence(Time now);
  [[nodiscard]] bool sequence_one(std::size_t shard, std::span<const std::byte> record, Time now);
  /// Room in every inbox; empty while one is full.
  [[nodiscard]] std::span<std::byte> reserve_bytes(std::size_t bytes);
  /// Writes a record that is neither an event nor long. False: no room.
  [[nodiscard]] bool pass_on(const EventRecord& header, std::string_view topic,
                             std::span<const std::byte> what);
  void wake_shards();
  [[nodiscard]] bool commands_waiting();

  [[nodiscard]] bool reserve(const Publication& publication) override;
  void deliver(EventId id, const Publication& publication) override;
  [[nodiscard]] bool deliver_sign_out(std::string_view topic, const SignOut& what) override;
  [[nodiscard]] bool deliver_gap(const Hole& hole) override;
  void answer(const Ticket& ticket, Answer answer) override;

  Exchange& exchange_;
  EventStore& store_;
  uring::Ring& ring_;
  Counters& counters_;
  std::size_t next_shard_ = 0;  // whose turn it is: round robin, so that no shard starves another
  std::span<std::byte> reserved_;  // for the event that `reserve` was asked about
  bool wrote_events_ = false;
  std::vector<bool> replied_;  // shards that must look at their replies
};

}  // namespace ringcast::hub
