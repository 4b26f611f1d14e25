#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "ringcast/base/event_id.h"
#include "ringcast/base/mirrored_buffer.h"
#include "ringcast/base/result.h"
#include "ringcast/sse/frame.h"

namespace ringcast::sse {

/// The number of an event in this log, counted from 0 and never reused. A cursor is the ordinal of
/// the next event to look at.
using Ordinal = std::uint64_t;
inline constexpr Ordinal kNoOrdinal = ~Ordinal{0};

/// A topic, as the shard numbered it.
enum class TopicId : std::uint32_t {};
inline constexpr TopicId kPublicTopic{0};  ///< events without a topic; every stream has it

struct LogEntry {
  EventId id;
  std::uint64_t position;  ///< of the first byte of the frame, ever growing
  std::uint32_t bytes;     ///< of the frame
  TopicId topic;
  std::uint32_t previous_distance;  ///< ordinals back to the previous event of the topic; 0 = none
  std::uint8_t chunk_head_bytes;
  std::uint8_t unused[3];  ///< room for priority and key
};
static_assert(sizeof(LogEntry) == 40, "one entry for each kept event in each shard");

struct LogOptions {
  std::size_t bytes = std::size_t{16} << 20;  ///< of frames, kept at most
  std::size_t events = 65536;                 ///< kept at most
  EventId floor{};  ///< before the first event; a cursor here misses nothing
};

/// Where a stream that names the last event it has seen goes on.
struct Resume {
  Ordinal cursor = 0;
  bool gap = false;  ///< older than what is kept, newer than the newest, or never an event's ID
};

/// The broadcast log of one shard: each event's frame once, in a mirrored byte ring so that a frame
/// never wraps, and an index ring with one entry for each event.
///
///    ordinals       tail                               head
///                    v                                   v
///    index   ....[ e17 ][ e18 ][ e19 ][ e20 ][ e21 ][ e22 )....
///                   |      |      \______________|  previous event of the same topic
///    bytes   ..[ frame ][ frame ][ frame ]...[ frame )...........
///
/// Single-threaded, nothing blocks, nothing is allocated after `create`.
/// Invariants: ids and positions grow with ordinals; tail <= head; kept bytes and events stay
/// within the options; bytes of an ordinal below `tail` may be overwritten by the next append.
class BroadcastLog {
 public:
  [[nodiscard]] static Result<std::unique_ptr<BroadcastLog>> create(const LogOptions& options);

  [[nodiscard]] Ordinal tail() const { return tail_; }  ///< the oldest kept
  [[nodiscard]] Ordinal head() const { return head_; }  ///< the next to be appended
  [[nodiscard]] bool empty() const { return tail_ == head_; }

  /// `tail() <= ordinal < head()`.
  [[nodiscard]] const LogEntry& entry(Ordinal ordinal) const {
    return entries_[ordinal & entries_mask_];
  }
  [[nodiscard]] std::span<const std::byte> bytes(const LogEntry& entry, Wire wire) const {
    return on_wire({buffer_.at(entry.position), entry.bytes}, entry.chunk_head_bytes, wire);
  }
  /// Position where the frame of `ordinal` starts; for `head()`, where the next one will.
  [[nodiscard]] std::uint64_t position(Ordinal ordinal) const {
    return ordinal == head_ ? write_position_ : entry(ordinal).position;
  }

  /// True when a frame of `bytes` can be appended without evicting.
  [[nodiscard]] bool has_room(std::size_t bytes) const;
  /// Evicts the oldest event; its entry stays readable until the next append. Not when empty.
  void evict();
  /// Copies the frame in. Needs `has_room`; `id` is newer than every earlier one. `previous` is the
  /// newest event of the same topic, or kNoOrdinal.
  Ordinal append(EventId id, TopicId topic, std::span<const std::byte> frame,
                 std::uint8_t chunk_head_bytes, Ordinal previous);

  /// Binary search. Rules: 0-0 asks for everything that is kept; the floor and every kept ID are
  /// exact; everything else is a gap and goes on with the kept events that are newer than
  /// `requested`.
  [[nodiscard]] Resume resume(EventId requested) const;

  /// The newest position: the ID of the last event, or the floor.
  [[nodiscard]] EventId newest() const;
  [[nodiscard]] std::optional<EventId> oldest() const;
  /// The ID of the newest event that is not kept: what a cursor at `tail()` resumes after.
  [[nodiscard]] EventId floor() const { return floor_; }
  /// The ID of the event before `ordinal` (`tail() <= ordinal <= head()`).
  [[nodiscard]] EventId before(Ordinal ordinal) const;

  [[nodiscard]] const LogOptions& options() const { return options_; }

 private:
  BroadcastLog(const LogOptions& options, MirroredBuffer buffer);

  LogOptions options_;
  MirroredBuffer buffer_;
  std::unique_ptr<LogEntry[]> entries_;
  std::size_t entries_mask_;
  Ordinal tail_ = 0;
  Ordinal head_ = 0;
  std::uint64_t write_position_ = 0;
  EventId floor_;
};

}  // namespace ringcast::sse
