#pragma once

#include <cstdint>
#include <vector>

#include "stream_table.h"

namespace ringcast::shard {

/// Streams that have news and were sent something less than an interval ago: what comes meanwhile
/// leaves together (`stream_sends_per_second`).
///
/// A wheel of one-millisecond lists through the table. A stream's list follows from `last_sent_ms`,
/// which does not change while it waits, so a stream that leaves early needs no search. The wheel
/// is longer than any interval, and `due` brings it to the present before streams are added, so a
/// list holds streams of one millisecond only. Memory: 16 KB when used, nothing for each stream.
/// Single-threaded.
class PacedStreams {
 public:
  /// 0 = no stream ever waits.
  explicit PacedStreams(std::uint32_t sends_per_second);

  /// The stream may not be sent anything yet.
  [[nodiscard]] bool must_wait(const Stream& stream, std::uint32_t now_ms) const {
    return interval_ms_ != 0 && now_ms - stream.last_sent_ms < interval_ms_;
  }
  [[nodiscard]] std::uint32_t size() const { return size_; }

  /// Only one that must wait, after `due` found no more at this time.
  void add(StreamTable& table, uring::Slot slot);
  void remove(StreamTable& table, uring::Slot slot);

  /// One whose time has come by `now_ms`, or kNoSlot. It stays until it is removed.
  [[nodiscard]] std::uint32_t due(std::uint32_t now_ms);
  /// Milliseconds until the first one's time; only when not empty, and after `due` found none.
  [[nodiscard]] std::uint32_t next_in_ms(std::uint32_t now_ms) const;

 private:
  static constexpr std::uint32_t kLists = 1024;  // above every interval; a power of two

  [[nodiscard]] StreamList& list_of(const Stream& stream) {
    return lists_[(stream.last_sent_ms + interval_ms_) % kLists];
  }

  std::uint32_t interval_ms_;
  std::vector<StreamList> lists_;
  std::uint32_t size_ = 0;
  std::uint32_t next_ms_ = 0;  // of the clock: the first list that was not looked at
};

}  // namespace ringcast::shard
