#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ringcast/base/result.h"
#include "ringcast/sse/broadcast_log.h"
#include "ringcast/uring/operation.h"

namespace ringcast::shard {

/// The life of a slot. Each line is a transition; a slot is reused only from `closed`, that is
/// after the last completion of everything that was armed on it.
///
///   free --> accepting --> request --> stream --> lingering --> closing --> free
///                |            |           |                        ^
///                |            '-----------'------------------------'
///                '--> free (the accept failed)
enum class Phase : std::uint8_t {
  free,
  accepting,  ///< an accept is armed with this slot
  request,    ///< has a Connection
  stream,     ///< sent its whole response head; a cursor into the log
  lingering,  ///< ended by us: our direction is shut down, waits for the peer's end
  closing,    ///< being torn down, waits for its last completions
};

/// What is outstanding in the kernel for a slot, one bit each. Sends are not here: none outlives a
/// flush.
/// Cancels are counted beside, since their completions do not say what they were for.
enum class Armed : std::uint8_t {
  accept = 1,
  receive = 2,
  receive_cancelled = 4,  ///< the receive has been cancelled and has not ended yet
  writable = 8,
  shutdown = 16,
  close = 32,
};

/// Facts about a stream, one bit each.
enum class Fact : std::uint8_t {
  plain_wire = 1,      ///< HTTP/1.0
  blocked = 2,         ///< its socket is full; appending may overtake it
  woke = 4,            ///< was told that it can write, and nothing was sent since
  end_after_tail = 8,  ///< its last words are in the tail; finish when they are out
  reset = 32,          ///< to be closed with a reset
  ending = 64,         ///< is sent nothing new, only what it is inside of, and its last words
  stray_bytes = 16,    ///< the client said something after its request
};

/// The one list that a stream may be in.
enum class ListId : std::uint8_t { none, ready, paced, blocked, backoff, lingering };

/// One entry for each slot: 64 bytes, a cache line, and all that an idle stream costs in user
/// memory. The first half is what fan-out touches. Optional things are 32-bit handles into tables
/// of their own.
struct Stream {
  sse::Ordinal cursor = 0;  ///< the next event to look at
  std::uint32_t generation = 0;
  Phase phase = Phase::free;
  std::uint8_t facts = 0;  ///< bits of Fact
  std::uint8_t armed = 0;  ///< bits of Armed
  ListId list = ListId::none;
  std::uint32_t topic_set = 0;     ///< interned; 0 = the public room only
  std::uint32_t extra = 0;         ///< request: Connection; stream: tail; kNoExtra
  std::uint32_t last_sent_ms = 0;  ///< monotonic, wraps: compare by difference
  std::uint32_t round = 0;         ///< of the pump, when in the ready list

  std::uint32_t next = 0;  ///< in `list`; of a free slot: the next free one
  std::uint32_t previous = 0;
  std::uint32_t since_ms = 0;  ///< lingering, blocked, backoff: since when
  std::uint32_t batch = 0;     ///< the sender's batch that it was last in
  /// Bytes of the frame at the cursor that the socket took already; the rest comes from the log.
  std::uint32_t frame_taken = 0;
  std::uint32_t owner = 0xffff'ffff;  ///< in Owners; kNone = nobody in particular
  std::uint8_t cancels = 0;           ///< outstanding ones
  std::uint8_t unused[3] = {};
  static constexpr std::uint32_t kPlain = 0xffff'ffff;
  std::uint32_t tls = kPlain;  ///< in SecureStreams, or kPlain

  [[nodiscard]] bool is(Fact fact) const { return (facts & static_cast<std::uint8_t>(fact)) != 0; }
  void set(Fact fact) {
    facts = static_cast<std::uint8_t>(facts | static_cast<std::uint8_t>(fact));
  }
  void clear(Fact fact) {
    facts = static_cast<std::uint8_t>(facts & ~static_cast<std::uint8_t>(fact));
  }

  [[nodiscard]] bool is(Armed what) const { return (armed & static_cast<std::uint8_t>(what)) != 0; }
  void set(Armed what) {
    armed = static_cast<std::uint8_t>(armed | static_cast<std::uint8_t>(what));
  }
  void clear(Armed what) {
    armed = static_cast<std::uint8_t>(armed & ~static_cast<std::uint8_t>(what));
  }

  /// Nothing is outstanding in the kernel.
  [[nodiscard]] bool quiet() const { return armed == 0 && cancels == 0; }

  [[nodiscard]] bool secure() const { return tls != kPlain; }
  [[nodiscard]] sse::Wire wire() const {
    return is(Fact::plain_wire) ? sse::Wire::plain : sse::Wire::chunked;
  }
};
static_assert(sizeof(Stream) == 64, "an idle stream is one cache line; see docs/design/memory.md");

inline constexpr std::uint32_t kNoExtra = 0xffff'ffff;
inline constexpr std::uint32_t kNoSlot = 0xffff'ffff;

/// All slots of a shard: one mapping, touched where used, and the list of free ones. The most
/// recently freed is taken first, so that the table stays dense and warm.
class StreamTable {
 public:
  [[nodiscard]] static Result<StreamTable> create(std::uint32_t slots);
  StreamTable(StreamTable&& other) noexcept;
  StreamTable& operator=(StreamTable&&) = delete;
  StreamTable(const StreamTable&) = delete;
  ~StreamTable();

  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// One past the highest slot that was ever used: what a sweep must look at.
  [[nodiscard]] std::uint32_t used_end() const { return used_end_; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }

  [[nodiscard]] Stream& operator[](uring::Slot slot) { return streams_[uring::to_index(slot)]; }
  [[nodiscard]] Stream& at(std::uint32_t index) { return streams_[index]; }
  [[nodiscard]] uring::Handle handle(uring::Slot slot) const {
    return {slot, streams_[uring::to_index(slot)].generation};
  }
  /// Whether the connection that the handle means still lives in its slot.
  [[nodiscard]] bool current(uring::Handle handle) const {
    return streams_[uring::to_index(handle.slot)].generation == handle.generation;
  }

  /// Nothing when the table is full.
  [[nodiscard]] std::optional<uring::Slot> take();
  /// Ends the generation: handles of it are no longer current.
  void give_back(uring::Slot slot);

 private:
  StreamTable(Stream* streams, std::uint32_t slots) : streams_(streams), slots_(slots) {}

  Stream* streams_;
  std::uint32_t slots_;
  std::uint32_t used_end_ = 0;
  std::uint32_t in_use_ = 0;
  std::uint32_t first_free_ = kNoSlot;
};

/// A doubly linked list through the table, in the order of joining. Each operation takes constant
/// time.
class StreamList {
 public:
  explicit StreamList(ListId id) : id_(id) {}

  [[nodiscard]] bool empty() const { return first_ == kNoSlot; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] uring::Slot front() const { return uring::Slot{first_}; }

  void push_back(StreamTable& table, uring::Slot slot);
  void remove(StreamTable& table, uring::Slot slot);

 private:
  ListId id_;
  std::uint32_t first_ = kNoSlot;
  std::uint32_t last_ = kNoSlot;
  std::uint32_t size_ = 0;
};

}  // namespace ringcast::shard
