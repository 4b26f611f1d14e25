#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/socket.h>
#include <sys/uio.h>

#include "ringcast/sse/gather.h"

#include "context.h"
#include "ending.h"
#include "lifecycle.h"

namespace ringcast::shard {

/// What a send in a batch carries, and so what becomes of it when the socket takes a part.
enum class SendKind : std::uint8_t {
  log,         ///< frames of the log; a short one leaves the cursor inside a frame
  rest,        ///< what is left of the frame that the cursor is inside
  heartbeat,   ///< shared bytes; a short one leaves the rest in a tail
  words,       ///< said to this stream alone (gap); likewise
  last_words,  ///< then the stream is finished
  sealed,      ///< records made for this stream alone; what is left of them is kept in a tail
  tail,        ///< the front of the stream's tail
};

/// What a log send of one cursor, topic set and wire looks like; shared by all such streams of a
/// batch.
struct Payload {
  std::uint16_t first_span = 0;
  std::uint16_t spans = 0;
  std::uint32_t bytes = 0;
  std::uint32_t events = 0;
  sse::Ordinal next = 0;
};

/// Sends to streams, a batch at a time: at most one for each stream, and none in flight after
/// `flush`.
///
/// `add` moves the stream's state as if everything were taken; the batch remembers what is needed
/// to put it right for the few sends that were not. A stream that took less is *blocked*: it leaves
/// the ready list and waits for room. A cursor inside a frame costs nothing: the rest is in the log
/// still.
///
/// Under TLS what is sent was encrypted for one stream, once. So the state moves for good when it
/// is sealed, and what the socket does not take goes to the stream's tail as it is. A frame that is
/// longer than a record leaves in several.
///
/// A batch must be flushed before the log changes: appended, evicted, or the turn ends.
class Sender {
 public:
  static constexpr std::size_t kBatch = 128;

  Sender(Context& context, Lifecycle& lifecycle);

  [[nodiscard]] bool full() const {
    return count_ == kBatch || spans_used_ + kSpansPerSend > spans_.size() ||
           words_used_ + kWordsMax > words_.size() ||
           sealed_bytes_ + SecureStreams::kSealedMax > sealed_bytes_max_;
  }
  /// A stream is in a batch once at most: two sends of it could be reordered.
  [[nodiscard]] bool holds(const Stream& stream) const { return stream.batch == batch_; }

  /// What is pending for the stream; `bytes` is 0 when nothing is. Not when `full`.
  [[nodiscard]] const Payload& payload(const Stream& stream);

  /// Returns how many bytes, as the next one.
  std::size_t add_log(uring::Slot slot, const Payload& payload);
  std::size_t add_rest(uring::Slot slot);
  void add_heartbeat(uring::Slot slot, std::span<const std::byte> frame);
  /// Copies `bytes` (at most kWordsMax).
  void add_words(uring::Slot slot, SendKind kind, std::span<const std::byte> bytes);
  void add_tail(uring::Slot slot);
  /// The last record of a stream under TLS that has nothing in its tail; then it is finished.
  void add_farewell(uring::Slot slot, tls::Alert alert) {
    (void)add_sealed(slot, SendKind::last_words, {}, alert);
  }

  /// Hands the batch to the kernel and settles every stream in it.
  void flush();

  /// The stream's topics with their newest events.
  [[nodiscard]] std::span<const sse::TopicNews> news(std::uint32_t topic_set);

  /// True when an event of one of the stream's topics was evicted before the stream got it.
  [[nodiscard]] bool overtaken(const Stream& stream) const;
  /// True when the log may hold something for the stream.
  [[nodiscard]] bool behind(const Stream& stream) const {
    return stream.cursor < context_.log->head();
  }

  /// Before the event is evicted: copies what blocked streams still need of it to their tails, and
  /// of its near successors, so that not every eviction looks at them all. A stream that finds no
  /// room is ended.
  void save_rests_before(sse::Ordinal evicted);

  /// Before anything else is sent to the stream. Ends it when there is no room.
  void put_into_tail(uring::Slot slot, std::span<const std::byte> bytes) {
    (void)keep_in_tail(slot, bytes);
  }

  /// Takes the stream off the fan-out path until its socket has room.
  void block(uring::Slot slot, bool sent_something);
  /// Counts the end of a stream. Once for each, when it is decided.
  void note_end(uring::Slot slot, Ending why);
  /// Gives back what a stream owns and closes it hard.
  void drop(uring::Slot slot);
  /// The same for one whose end has not been noted.
  void drop(uring::Slot slot, Ending why);
  /// Gives back what a stream owns and ends it in good order.
  void finish(uring::Slot slot);

  static constexpr std::size_t kWordsMax = 640;

 private:
  static constexpr std::size_t kSpansPerSend = 64;
  static constexpr std::size_t kPayloads = 8;

  struct Entry {
    uring::Slot slot{};
    SendKind kind = SendKind::log;
    std::uint32_t bytes = 0;
    std::uint32_t taken = 0;
    std::uint32_t events = 0;       ///< log
    std::uint32_t frame_taken = 0;  ///< rest: of its frame before
    std::int32_t error = 0;
    sse::Ordinal from = 0;            ///< log, rest, heartbeat: the cursor before
    const std::byte* data = nullptr;  ///< heartbeat, words
    [[nodiscard]] std::span<const std::byte> not_taken() const {
      return {data + taken, bytes - taken};
    }
  };
  struct Memo {
    bool filled = false;
    sse::Ordinal cursor = 0;
    std::uint32_t topic_set = 0;
    sse::Wire wire = sse::Wire::chunked;
    bool secure = false;
    Payload payload;
  };

  Entry& next_entry(uring::Slot slot, SendKind kind, std::size_t bytes);
  /// Encrypts for the stream and adds what that makes; behind its last words `alert`. False when
  /// nothing can be said to it any more: it is ended.
  bool add_sealed(uring::Slot slot, SendKind kind, std::span<const iovec> pieces,
                  tls::Alert alert = tls::Alert::close_notify);
  std::size_t add_sealed_log(uring::Slot slot, const Payload& payload);
  /// Gives out a part of the frame at the cursor, which is longer than a record.
  std::size_t add_sealed_rest(uring::Slot slot, std::span<const std::byte> rest);
  /// Moves the cursor to the next frame that is for the stream.
  void go_to_frame(Stream& stream);
  /// The rest of a frame into the tail, encrypted. False: ended.
  bool keep_sealed_in_tail(uring::Slot slot, std::span<const std::byte> rest);
  void settle(Entry& entry);
  void settle_short(const Entry& entry);
  void settle_inside_frame(const Entry& entry);
  void settle_tail(const Entry& entry);
  /// Moves the bytes to a tail of the stream, or ends it when there is no room. False: ended.
  bool keep_in_tail(uring::Slot slot, std::span<const std::byte> bytes);
  void release(uring::Slot slot);

  Context& context_;
  Lifecycle& lifecycle_;

  std::size_t count_ = 0;
  std::uint32_t batch_ = 1;  // its number
  std::size_t bytes_ = 0;
  std::size_t spans_used_ = 0;
  std::size_t words_used_ = 0;
  std::size_t sealed_bytes_ = 0;
  bool any_special_ = false;  ///< something that has to be settled even when it was taken whole
  std::array<Entry, kBatch> entries_;
  std::array<msghdr, kBatch> messages_;
  std::array<iovec, 2048> spans_;
  std::array<std::byte, 32768> words_;
  std::array<Memo, kPayloads> memos_;
  std::size_t next_memo_ = 0;
  /// Plaintext of one record. The fuller the slab of tails, the smaller: a slow stream leaves a
  /// record there, and only that.
  std::size_t record_bytes_;
  std::size_t sealed_bytes_max_;  // of `sealed_`; without TLS it never fills
  std::unique_ptr<std::byte[]> sealed_;
  sse::Ordinal lowest_rest_ = sse::kNoOrdinal;  // no stream is inside an older frame
  std::array<sse::TopicNews, kTopicsPerStreamMax + 2> news_;
};

}  // namespace ringcast::shard
