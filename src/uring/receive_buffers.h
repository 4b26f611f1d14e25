#pragma once

#include <cstddef>
#include <cstdint>

#include <liburing.h>

#include "ringcast/base/result.h"

namespace ringcast::uring {

/// The buffers that all receives of one ring share (a provided-buffer ring, group 0).
///
///    given to the kernel ──► filled, named in a completion ──► read by the caller ──► given back
///                            └────────────── held ──────────────────────────────┘
///
/// The memory of the buffers is mapped and not touched: an idle server pays for the buffers that it
/// ever used at the same time, not for all of them.
class ReceiveBuffers {
 public:
  static constexpr std::uint32_t kCountMax = 32768;  // IORING_REGISTER_PBUF_RING takes no more

  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  /// Maps `count` buffers (a power of two) of `bytes` each and registers them. Once.
  [[nodiscard]] Result<void> open(io_uring& ring, std::uint32_t count, std::uint32_t bytes);

  /// A completion named buffer `id`: it is ours until `give_back`.
  [[nodiscard]] const std::byte* take(std::uint16_t id) {
    RC_DEBUG_ASSERT(id < count_);
    ++held_;
    return memory_ + std::size_t{id} * bytes_;
  }

  void give_back(std::uint16_t id) {
    RC_DEBUG_ASSERT(id < count_ && held_ != 0);
    --held_;
    add(id, 0);
    io_uring_buf_ring_advance(ring_, 1);
  }

  [[nodiscard]] std::uint32_t held() const { return held_; }

  /// Forgets what is in all buffers, with their pages. None may be held, or be named in a
  /// completion.
  void release_memory();

 private:
  void add(std::uint16_t id, int offset) {
    io_uring_buf_ring_add(ring_, memory_ + std::size_t{id} * bytes_, bytes_, id,
                          static_cast<int>(count_ - 1), offset);
  }

  io_uring_buf_ring* ring_ = nullptr;
  std::byte* memory_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t bytes_ = 0;
  std::uint32_t held_ = 0;
};

}  // namespace ringcast::uring
