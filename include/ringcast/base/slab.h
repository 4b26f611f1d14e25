#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ringcast/base/assert.h"

namespace ringcast {

/// Objects behind 32-bit handles, at most `size_max` of them, in chunks that never move and are
/// kept for reuse. `take` allocates only while the slab grows to a size that it never had before.
/// An object is not destroyed when it is given back: its owner resets it, and its buffers are
/// reused. Not thread-safe.
template <class T, std::size_t kChunk = 64>
class Slab {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = 0xffff'ffff;

  explicit Slab(std::size_t size_max) : size_max_(size_max) {}

  /// kNone when `size_max` objects are out.
  [[nodiscard]] Handle take() {
    if (free_.empty()) {
      if (created_ == size_max_) return kNone;
      if (created_ == chunks_.size() * kChunk) {
        chunks_.push_back(std::make_unique<T[]>(kChunk));
        free_.reserve(chunks_.size() * kChunk);
      }
      ++out_;
      return static_cast<Handle>(created_++);
    }
    const Handle handle = free_.back();
    free_.pop_back();
    ++out_;
    return handle;
  }

  void give_back(Handle handle) {
    RC_DEBUG_ASSERT(handle < created_);
    --out_;
    free_.push_back(handle);
  }

  [[nodiscard]] T& operator[](Handle handle) {
    RC_DEBUG_ASSERT(handle < created_);
    return chunks_[handle / kChunk][handle % kChunk];
  }
  [[nodiscard]] const T& operator[](Handle handle) const {
    RC_DEBUG_ASSERT(handle < created_);
    return chunks_[handle / kChunk][handle % kChunk];
  }

  [[nodiscard]] std::size_t size() const { return out_; }
  [[nodiscard]] std::size_t size_max() const { return size_max_; }
  [[nodiscard]] bool full() const { return out_ == size_max_; }

 private:
  std::size_t size_max_;
  std::size_t created_ = 0;
  std::size_t out_ = 0;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<Handle> free_;
};

}  // namespace ringcast
