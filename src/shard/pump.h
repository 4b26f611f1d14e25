#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "context.h"
#include "sender.h"

namespace ringcast::shard {

/// A queue of topics; each is in it once at most, so it is bounded by their number. Grows, never
/// shrinks.
class TopicQueue {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  void push(sse::TopicId topic);
  [[nodiscard]] sse::TopicId pop();

 private:
  std::vector<sse::TopicId> ring_ = std::vector<sse::TopicId>(64);
  std::uint32_t first_ = 0;
  std::uint32_t size_ = 0;
};

/// Which stream gets what, in which order, a slice at a time.
///
/// A stream that may not be sent anything yet (`stream_sends_per_second`) waits in a list of its
/// own and counts like a ready one: it is late by our doing, so the log waits for it and nothing is
/// dropped.
///
/// Sources of work, in a queue that goes round: each topic with news, and the list of ready streams
/// (those that joined behind the head, could not take all in one send, or were blocked and can
/// write again). A slice fills batches from the front of the queue until its budget is spent; a
/// source that is not done goes to the back. So a broadcast to 500,000 streams delays another
/// topic's only reader by one slice.
///
/// A *pass* of a topic visits each of its members once and sends everything pending for all topics
/// of that stream. A *round* ends when every source that had news when it began has completed a
/// pass that began after: then every unblocked cursor stands at or past the head of that moment
/// (`served`), and the log may be appended to half its size beyond it. Being late is our fault and
/// holds publishers back; being blocked is the client's.
///
///     round 7 begins            round 7 ends, round 8 begins
///        | head = 100              | served = 100, head = 130
///   -----+-------------------------+------------------------->
///        topic a (news at 97)  done
///        topic b (news at 99)       done
///        topic c (news at 120): belongs to round 8 already
class Pump {
 public:
  Pump(Context& context, Sender& sender);

  /// The topic has an event newer than what its members were given.
  void news(sse::TopicId topic);
  /// The stream is behind the head, or has a tail, and can write. It joined, or was blocked: it
  /// belongs to the next round, or a storm of them could keep the present one from ending.
  void make_ready(uring::Slot slot);

  /// The same for a stream that has just been opened: it is merely late, so the log may not evict
  /// what it still needs.
  void join(uring::Slot slot);
  /// True while there is something to send.
  [[nodiscard]] bool pending() const { return !queue_.empty() || !context_.ready.empty(); }
  /// Makes ready the paced streams whose time has come. At the begin of a turn: streams are added
  /// to the wheel only when it has come to the present.
  void release_paced();
  /// When the next one's time comes, or 0.
  [[nodiscard]] std::uint64_t next_paced_ns();
  /// Sends one slice. Every batch is flushed on return.
  void slice();

  /// Up to here every unblocked stream has been served.
  [[nodiscard]] sse::Ordinal served() const { return served_; }

  /// Whether the oldest event is still needed by a stream that has joined. If so, the oldest eighth
  /// of the log is closed to those who join from now on: otherwise a steady flow of them, each
  /// asking for everything, could keep publishers waiting for ever.
  [[nodiscard]] bool oldest_is_needed();
  /// Where a stream can join at the earliest.
  [[nodiscard]] sse::Ordinal join_floor() const { return join_floor_; }

  /// Called when a visit finds that a stream's next event was evicted: what the policy says.
  class SlowStreams {
   public:
    virtual ~SlowStreams() = default;
    /// Adds words to the sender's batch, which has room.
    virtual void on_overtaken(uring::Slot slot) = 0;
  };
  void set_slow_streams(SlowStreams& slow) { slow_ = &slow; }

 private:
  struct Budget {
    std::uint32_t sends;
    std::uint32_t bytes;
    std::uint32_t visits;
    [[nodiscard]] bool spent() const { return sends == 0 || bytes == 0 || visits == 0; }
  };

  void serve_topic(sse::TopicId topic, Budget& budget);
  void serve_ready(Budget& budget);
  /// Visits a stream of the topic, unless it has what the pass is for.
  void serve_member(uring::Slot slot, const Topic& topic, Budget& budget);
  /// Puts a stream that has news into a list. `owed`: the round waits for it.
  void push_ready(uring::Slot slot, bool owed);
  void pace(uring::Slot slot, bool owed);
  /// Visits members from the pass's position on; true when it came to the end.
  [[nodiscard]] bool pass_all_streams(Topic& topic, Budget& budget);
  [[nodiscard]] bool pass_members(Topic& topic, Budget& budget);
  /// Sends what is pending; true when the stream has more to send.
  [[nodiscard]] bool visit(uring::Slot slot, Budget& budget);
  void end_round_if_done();

  Context& context_;
  Sender& sender_;
  SlowStreams* slow_ = nullptr;

  TopicQueue queue_;

  sse::Ordinal round_head_ = 0;
  std::uint32_t topics_left_ = 0;  // topics that the round still waits for
  sse::Ordinal served_ = 0;

  // The lowest cursors of streams that joined in the round before, and in this one.
  sse::Ordinal joined_before_ = sse::kNoOrdinal;
  sse::Ordinal joined_now_ = sse::kNoOrdinal;
  sse::Ordinal join_floor_ = 0;
};

}  // namespace ringcast::shard
