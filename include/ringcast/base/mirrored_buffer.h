#pragma once

#include <cstddef>
#include <span>

#include "ringcast/base/result.h"

namespace ringcast {

/// Memory that appears twice in a row, so that a range which starts anywhere in the first copy and
/// is at most `capacity()` long is contiguous:
///
///       virtual:   [ 0 .......... capacity )[ capacity ...... 2 x capacity )
///       memory:      the same pages            the same pages again
///
/// Pages are touched on first use only. One owner; not copied, may be moved.
class MirroredBuffer {
 public:
  /// `bytes_min` is rounded up to a power of two of at least one page.
  [[nodiscard]] static Result<MirroredBuffer> create(std::size_t bytes_min);

  MirroredBuffer(MirroredBuffer&& other) noexcept;
  MirroredBuffer& operator=(MirroredBuffer&& other) noexcept;
  MirroredBuffer(const MirroredBuffer&) = delete;
  MirroredBuffer& operator=(const MirroredBuffer&) = delete;
  ~MirroredBuffer();

  /// A power of two.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  /// The bytes of an ever growing position: `position` is taken modulo the capacity.
  [[nodiscard]] std::byte* at(std::size_t position) const {
    return data_ + (position & (capacity_ - 1));
  }

 private:
  MirroredBuffer(std::byte* data, std::size_t capacity) : data_(data), capacity_(capacity) {}

  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace ringcast
