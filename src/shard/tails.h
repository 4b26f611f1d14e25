#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "ringcast/base/slab.h"

namespace ringcast::shard {

/// Bytes that must leave before anything else of a stream can and that the log does not hold: the
/// rest of a heartbeat, of what was said to this stream alone, or of a frame that is about to be
/// evicted.
///
///   tail 7:  first --> [ chunk | next ]--> [ chunk | next ]--> [ chunk | none ]
///                        ^ offset                                  ^ offset + bytes
///
/// All tails of a shard share one slab of chunks, bounded; when it is full the stream that wants
/// more is ended, nobody else. Memory is touched on first use. Single-threaded, no allocation after
/// the slab has grown to its size.
class Tails {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = 0xffff'ffff;
  static constexpr std::size_t kChunkBytes = 508;  // with the link: 512
  static constexpr std::size_t kSpansMax = 16;     // of one send

  /// `bytes_max` counts whole chunks; `tails_max` is the number of streams.
  Tails(std::size_t bytes_max, std::size_t tails_max);

  /// kNone when there is no room for `bytes`.
  [[nodiscard]] Handle create(std::span<const std::byte> bytes);
  /// False, and nothing appended, when there is no room.
  [[nodiscard]] bool append(Handle tail, std::span<const std::byte> bytes);
  /// Writes up to kSpansMax spans of the front; returns how many, and their bytes in `bytes`.
  [[nodiscard]] std::size_t front(Handle tail, std::span<iovec> out, std::size_t& bytes);
  /// Drops the first `bytes`; returns whether anything is left.
  [[nodiscard]] bool consume(Handle tail, std::size_t bytes);
  void release(Handle tail);

  [[nodiscard]] std::size_t bytes_used() const { return chunks_.size() * sizeof(Chunk); }
  [[nodiscard]] std::size_t bytes_free() const {
    return (chunks_.size_max() - chunks_.size()) * sizeof(Chunk);
  }

 private:
  struct Chunk {
    std::uint32_t next = kNone;
    std::byte bytes[kChunkBytes];
  };
  static_assert(sizeof(Chunk) == 512);
  struct Tail {
    std::uint32_t first = kNone;
    std::uint32_t last = kNone;
    std::uint32_t offset = 0;  // of the first byte in the first chunk
    std::uint32_t bytes = 0;
  };

  Slab<Chunk, 128> chunks_;
  Slab<Tail, 256> tails_;
};

}  // namespace ringcast::shard
