#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ringcast/base/assert.h"

namespace ringcast::uring {

/// A completion as the kernel posted it.
struct Event {
  std::uint64_t user_data;
  std::int32_t result;
  std::uint32_t flags;
};
static_assert(sizeof(Event) == 16, "the size of the kernel's own entry");

/// Completions that were taken out of the kernel's queue before somebody asked for them, in order.
///
/// A circular buffer of a power of two. It grows when it is full; how far is bounded by what can be
/// outstanding on a ring: one completion for each armed operation and for each receive buffer.
class Backlog {
 public:
  explicit Backlog(std::size_t capacity) : events_(capacity) {
    RC_ASSERT(capacity != 0 && (capacity & (capacity - 1)) == 0);
  }

  [[nodiscard]] bool empty() const { return head_ == tail_; }

  void push(const Event& event) {
    if (tail_ - head_ == events_.size()) grow();
    events_[tail_++ & (events_.size() - 1)] = event;
  }

  [[nodiscard]] bool pop(Event& event) {
    if (empty()) return false;
    event = events_[head_++ & (events_.size() - 1)];
    return true;
  }

 private:
  void grow() {
    std::vector<Event> larger(events_.size() * 2);
    const std::size_t count = tail_ - head_;
    for (std::size_t i = 0; i != count; ++i) {
      larger[i] = events_[(head_ + i) & (events_.size() - 1)];
    }
    events_.swap(larger);
    head_ = 0;
    tail_ = count;
  }

  std::vector<Event> events_;
  std::size_t head_ = 0;  // counts up for ever; its place is the remainder
  std::size_t tail_ = 0;
};

}  // namespace ringcast::uring
