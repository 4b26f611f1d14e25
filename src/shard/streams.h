#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "context.h"
#include "pump.h"
#include "sender.h"

namespace ringcast::shard {

/// What happens to streams apart from events: opening, heartbeats, the slow ones, the drain.
class Streams : public Pump::SlowStreams {
 public:
  Streams(Context& context, Lifecycle& lifecycle, Sender& sender, Pump& pump,
          std::uint32_t streams_max);

  // --- opening

  [[nodiscard]] std::size_t places_free() const;
  /// Counts a stream that is being opened; false when there is no room for it.
  [[nodiscard]] bool reserve();
  /// The reserved one will not come.
  void unreserve() { --reserved_; }
  /// The position that a client asks to continue from.
  struct Position {
    bool asked = false;       ///< false: a fresh stream
    std::string_view text{};  ///< at most 64 bytes; may be anything
  };
  /// The position, if only the event store can say what follows it: the log begins after it, or has
  /// not come to it.
  [[nodiscard]] std::optional<EventId> beyond_log(const Position& position) const;
  /// True when the log holds everything after `position`, and has come to it.
  [[nodiscard]] bool may_join(EventId position) const;
  /// Sets the slot's cursor behind `position`; false when the log begins after it.
  [[nodiscard]] bool join_at(uring::Slot slot, EventId position);
  /// Appends what a stream begins with that is served from history first: `page` is the first one.
  void begin_history(EventId requested, const hub::HistoryPage& page, sse::Wire wire,
                     std::string& out);
  /// Appends the `gap` that `page` has to tell of, if any, and its events of the stream's topics.
  void append_history(EventId requested, const hub::HistoryPage& page, std::uint32_t topic_set,
                      sse::Wire wire, std::string& out);
  /// When one that is told of the drain may come back: each another.
  [[nodiscard]] std::uint32_t next_drain_retry_ms();
  /// Why the owner of a stream that is not open yet may have it no longer: `signed-out`, `expired`,
  /// or an empty text.
  [[nodiscard]] std::string_view over(Owners::Handle owner) const;
  /// Appends what a stream begins with, S1: `retry:` and a heartbeat with the position it continues
  /// from, and the `gap` if there is one. Sets the slot's cursor.
  void begin(uring::Slot slot, const Position& position, sse::Wire wire, std::string& out);
  /// True when the position is newer than the log while news waits to be appended.
  [[nodiscard]] bool is_ahead_of_log(const Position& position) const;
  /// True when the log holds an event of one of these topics, at `cursor` or past it.
  [[nodiscard]] bool has_news(sse::Ordinal cursor, std::uint32_t topic_set) const;
  /// The head is out: the slot is a stream from now on.
  struct Opening {
    std::uint32_t topic_set;
    Owners::Handle owner;
    sse::Wire wire;
    SecureStreams::Taken tls{};  ///< for a stream under TLS
  };
  void open(uring::Slot slot, const Opening& opening);

  /// The user of `topic`, an own topic, signed out with the token of that session: its streams are
  /// ended in the next ticks.
  void sign_out(std::string_view topic, std::uint64_t session);

  // --- completions

  void on_writable(uring::Slot slot);
  /// The client said something, or ended (`result` <= 0), although there is nothing to say.
  void on_receive(uring::Slot slot, std::int32_t result, std::span<const std::byte> data);
  void on_overtaken(uring::Slot slot) override;

  // --- time

  /// Heartbeats, checks of blocked streams, and what else is due. Every batch is flushed on return.
  /// Returns the time of the next call, or 0.
  [[nodiscard]] std::uint64_t tick();

  /// Ends all streams at a steady pace until `drain_ms` from now.
  void begin_drain();
  [[nodiscard]] bool draining() const { return drain_began_ns_ != 0; }
  /// What is left then is to be aborted, whatever it is.
  [[nodiscard]] std::uint64_t drain_deadline_ns() const;

 private:
  /// The oldest event that newcomers may begin with.
  [[nodiscard]] sse::Ordinal oldest_open() const;

  void sweep_heartbeats(std::uint32_t slots);
  [[nodiscard]] std::uint64_t tick_heartbeats();
  [[nodiscard]] std::uint64_t tick_blocked();
  [[nodiscard]] std::uint64_t tick_backoff();
  [[nodiscard]] std::uint64_t tick_drain();
  [[nodiscard]] std::uint64_t tick_owners();
  /// Ends the stream of an owner whose time has come, or puts it off.
  void end_owned(Owners::Handle handle);
  void join_topics(uring::Slot slot);
  void on_data(uring::Slot slot);
  void on_secure_receive(uring::Slot slot, std::span<const std::byte> data);
  void end(uring::Slot slot, Ending why);
  [[nodiscard]] bool has_news(const Stream& stream) const {
    return has_news(stream.cursor, stream.topic_set);
  }
  [[nodiscard]] std::span<const std::byte> heartbeat(sse::Wire wire);
  /// Before something is sent to it: its place there is by its last send.
  void leave_paced(uring::Slot slot) {
    if (context_.table[slot].list == ListId::paced) context_.leave_list(slot);
  }
  void make_room_in_batch() {
    if (sender_.full()) sender_.flush();
  }

  Context& context_;
  Lifecycle& lifecycle_;
  Sender& sender_;
  Pump& pump_;
  std::uint32_t streams_max_;
  std::uint32_t reserved_ = 0;

  std::array<std::byte, 512> heartbeat_{};
  sse::FrameSize heartbeat_size_{};
  sse::Ordinal heartbeat_head_ = sse::kNoOrdinal;
  std::uint32_t sweep_position_ = 0;
  std::uint64_t next_sweep_ns_ = 0;

  std::vector<Owners::Handle> due_owners_;

  std::uint64_t next_blocked_check_ns_ = 0;
  sse::Ordinal checked_tail_ = 0;

  std::uint64_t drain_began_ns_ = 0;
  std::uint32_t drain_streams_ = 0;  // when it began
  std::uint32_t drained_ = 0;
  std::uint32_t drain_retries_ = 0;  // that were given out, also to streams not open yet
  std::uint32_t drain_position_ = 0;
};

}  // namespace ringcast::shard
