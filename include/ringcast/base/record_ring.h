#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ringcast/base/mirrored_buffer.h"
#include "ringcast/base/result.h"

namespace ringcast {

/// A bounded ring of byte records with one writer and a fixed number of readers, each of which sees
/// every record. With one reader it is the classic single-producer single-consumer queue.
///
///      reader 1          reader 0                 writer
///         v                 v                        v
///   ------[ record ][ record ][ record ][ reserved   )------------
///         |<--------------- at most capacity -------------->|
///
/// Threads: `reserve`, `commit` on the writer's thread; `peek`, `release` of a reader on that
/// reader's. Nothing blocks, nothing is allocated after `create`. A record is contiguous (mirrored
/// memory). Cost: one release store for each commit and each release; an acquire load of the other
/// side only when the position remembered of it no longer suffices.
class RecordRing {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RecordRing>> create(std::size_t bytes_min,
                                                                  std::size_t readers);

  /// Room for a record of `bytes`, or an empty span while the slowest reader is too far behind.
  /// What is reserved is seen by nobody until `commit`; reserving again replaces the reservation.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t bytes);
  /// Publishes the last reservation, cut to its first `bytes`.
  void commit(std::size_t bytes);

  /// The oldest record that the reader has not released, or an empty span.
  [[nodiscard]] std::span<const std::byte> peek(std::size_t reader);
  /// Releases the record that `peek` returned; its bytes may be overwritten at once.
  void release(std::size_t reader);

  /// The reader reads no more, and holds the writer back no more. It must not peek afterwards.
  void retire(std::size_t reader);

  /// Positions, ever growing: where the next record will be written, and where the reader stands. A
  /// reader that has reached an earlier `written` has seen all that was there at that moment.
  [[nodiscard]] std::uint64_t written() const { return written_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t position(std::size_t reader) const {
    return readers_[reader].position.load(std::memory_order_relaxed);
  }

  /// The largest record that can ever be written.
  [[nodiscard]] std::size_t record_bytes_max() const { return buffer_.capacity() / 2; }

  /// Any thread; exact only on the reader's own.
  [[nodiscard]] bool empty(std::size_t reader) const;

 private:
  static constexpr std::size_t kLine = 64;
  struct alignas(kLine) Reader {
    std::atomic<std::uint64_t> position{
        0};                          // release in release(); pairs with the acquire in reserve()
    std::uint64_t written_seen = 0;  // the reader's memory of written_
    std::uint64_t next = 0;          // end of the record that peek() returned
  };

  RecordRing(MirroredBuffer buffer, std::size_t readers);
  [[nodiscard]] std::uint64_t slowest() const;

  MirroredBuffer buffer_;
  std::unique_ptr<Reader[]> readers_;
  std::size_t readers_count_;
  std::uint64_t slowest_seen_ = 0;    // the writer's memory of the slowest reader
  std::uint64_t write_position_ = 0;  // the writer's own
  alignas(kLine) std::atomic<std::uint64_t> written_{0};  // release in commit(); pairs with peek()
};

}  // namespace ringcast
