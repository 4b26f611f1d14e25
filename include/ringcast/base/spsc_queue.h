#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace ringcast {

/// A bounded queue of small values with one producer thread and one consumer thread.
/// Nothing blocks and nothing is allocated after construction. For records of varying length, or
/// several readers, see RecordRing.
template <class T>
class SpscQueue {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// Holds at least `size_min` values.
  explicit SpscQueue(std::size_t size_min)
      : values_(std::bit_ceil(size_min < 2 ? std::size_t{2} : size_min)),
        mask_(values_.size() - 1) {}

  /// Producer. False when the queue is full; the value is then not taken.
  [[nodiscard]] bool try_push(const T& value) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ == values_.size()) {
      head_seen_ = head_.load(std::memory_order_acquire);  // pairs with the release in try_pop
      if (tail - head_seen_ == values_.size()) return false;
    }
    values_[tail & mask_] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Consumer. False when the queue is empty.
  [[nodiscard]] bool try_pop(T& value) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);  // pairs with the release in try_push
      if (head == tail_seen_) return false;
    }
    value = values_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  /// Any thread; exact only on the consumer's own.
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_acquire);
  }

  [[nodiscard]] std::size_t capacity() const { return values_.size(); }

 private:
  static constexpr std::size_t kLine = 64;

  std::vector<T> values_;
  std::size_t mask_;
  alignas(kLine) std::atomic<std::uint64_t> head_{0};  // consumer writes
  std::uint64_t tail_seen_ = 0;                        // consumer's memory of tail_
  alignas(kLine) std::atomic<std::uint64_t> tail_{0};  // producer writes
  std::uint64_t head_seen_ = 0;                        // producer's memory of head_
};

}  // namespace ringcast
