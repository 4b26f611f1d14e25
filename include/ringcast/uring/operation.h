#pragma once

#include <cstdint>

#include "ringcast/base/assert.h"

namespace ringcast::uring {

/// The place of a connection in a ring's table, whatever the kernel calls it: the index of a direct
/// descriptor, or our own number for an ordinary one.
enum class Slot : std::uint32_t {};
inline constexpr std::uint32_t to_index(Slot slot) {
  return static_cast<std::uint32_t>(slot);
}

/// A slot, and which of the connections that lived in it one after the other is meant.
struct Handle {
  Slot slot{};
  std::uint32_t generation = 0;

  friend bool operator==(const Handle&, const Handle&) = default;
};

/// What a completion answers.
enum class Operation : std::uint8_t {
  none,      ///< nobody waits for it
  accept,    ///< result 0, or -errno; the peer's address was written
  receive,   ///< multishot: bytes > 0 with data, 0 at the peer's end, -errno; `more` while armed
  writable,  ///< the socket takes bytes again (or failed: the next send tells)
  cancel,    ///< 0 found, -ENOENT not found, -EALREADY running
  shutdown_write,  ///< our direction is ended
  close,           ///< the slot is the kernel's no more
  poll,            ///< of a foreign descriptor: the poll mask, or -errno
  wake,            ///< another thread rang
  send,            ///< inside Ring only: a send that was refused or short
};

/// `user_data` of a submission: operation, slot, generation. The one place that knows the layout.
///
///    63      56 55            32 31                 0
///   | operation |      slot      |     generation     |
struct Tag {
  Operation operation = Operation::none;
  Handle handle;
};

inline constexpr std::uint32_t kSlotsMax = 1u << 24;

[[nodiscard]] constexpr std::uint64_t encode(Tag tag) {
  RC_DEBUG_ASSERT(to_index(tag.handle.slot) < kSlotsMax);
  return static_cast<std::uint64_t>(tag.operation) << 56 |
         static_cast<std::uint64_t>(to_index(tag.handle.slot)) << 32 | tag.handle.generation;
}

[[nodiscard]] constexpr Tag decode(std::uint64_t user_data) {
  return Tag{static_cast<Operation>(user_data >> 56),
             Handle{Slot{static_cast<std::uint32_t>(user_data >> 32) & (kSlotsMax - 1)},
                    static_cast<std::uint32_t>(user_data)}};
}

}  // namespace ringcast::uring
