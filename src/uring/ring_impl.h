#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <liburing.h>

#include "ringcast/uring/ring.h"

#include "backlog.h"
#include "receive_buffers.h"

namespace ringcast::uring {

/// How completions travel:
///
///    kernel's queue ──drain──► backlog ──┐
///          │                             ├──next──► caller
///          └──────(backlog is empty)─────┘
///
/// Whatever takes an event out of the kernel's queue hands it to `arrive`, which keeps send
/// failures for the next `flush_sends`: the caller of `next` never sees one. The backlog is older
/// than the queue, always, so serving it first keeps the order.
struct Ring::Impl {
  explicit Impl(const RingOptions& ring_options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Everything that can fail. Once.
  [[nodiscard]] Result<void> set_up();

  /// An empty entry of the submission queue. Submits what is there when the queue is full.
  [[nodiscard]] io_uring_sqe* prepare() {
    if (io_uring_sqe* entry = io_uring_get_sqe(&uring); entry != nullptr) [[likely]] {
      return entry;
    }
    return prepare_in_full_queue();
  }
  /// Names the socket of a slot in an entry.
  [[nodiscard]] int target(Slot slot) const {
    RC_DEBUG_ASSERT(to_index(slot) < options.slots);
    if (direct) return static_cast<int>(to_index(slot));
    RC_DEBUG_ASSERT(descriptors[to_index(slot)] >= 0);
    return descriptors[to_index(slot)];
  }
  [[nodiscard]] unsigned flags_of_target() const { return direct ? IOSQE_FIXED_FILE : 0u; }

  /// Takes one event from the kernel's queue that is for `next`; false when there is none.
  [[nodiscard]] bool take(Event& event);
  /// Moves the kernel's queue into the backlog; the count of events, send failures included.
  unsigned drain();
  /// Hands all prepared operations to the kernel, however often it takes. Completions of other
  /// operations only show after an enter with IORING_ENTER_GETEVENTS (DEFER_TASKRUN).
  void submit();
  /// The same, and lets the kernel run its deferred work: at least one system call.
  void submit_and_get_events();
  /// Work that an enter would turn into completions: deferred, or in the overflow list.
  [[nodiscard]] bool kernel_has_more() const {
    return (IO_URING_READ_ONCE(*uring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
  }

  /// Makes what can be made better after io_uring_enter failed `tries` + 1 times, or aborts.
  void after_failed_enter(int error, unsigned tries);

  void give_back_lent_buffer();
  void arm_event_fd();
  /// Fills `completion`; false when the event is of no interest to the caller.
  [[nodiscard]] bool deliver(const Event& event, Completion& completion);

  RingOptions options;
  bool direct;
  io_uring uring{};
  int ring_fd = -1;   // of `uring`; written before any other thread knows the ring, as event_fd is
  int event_fd = -1;  // blocking: a read of a non-blocking one would not wait inside the ring
  bool messages_work = false;     // wake by IORING_OP_MSG_RING
  std::uint64_t event_count = 0;  // where the kernel writes what it read from event_fd

  std::vector<int> descriptors;  // of each slot, -1 without; empty when direct
  ReceiveBuffers buffers;
  std::optional<std::uint16_t> lent;  // the buffer that the last completion shows

  Backlog backlog;
  std::vector<SendFailure> failures;  // seen since the last flush
  std::vector<SendFailure> reported;  // what the last flush returned

 private:
  [[nodiscard]] io_uring_sqe* prepare_in_full_queue();
  [[nodiscard]] bool arrive(Event& event);
};

}  // namespace ringcast::uring
