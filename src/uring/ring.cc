#include "ringcast/uring/ring.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <thread>
#include <utility>

#include <poll.h>
#include <unistd.h>

#include "ring_impl.h"

namespace ringcast::uring {
namespace {

/// Inside Ring a wake has three sources, told apart by the generation of its tag.
enum WakeSource : std::uint32_t {
  kMessage = 0,  // another ring's IORING_OP_MSG_RING; `wake` puts this tag into *its* queue
  kEventFd = 1,  // our armed read
  kRefused = 2,  // our own IORING_OP_MSG_RING failed
};

constexpr std::uint64_t wake_tag(WakeSource source) {
  return encode(Tag{Operation::wake, Handle{Slot{0}, source}});
}

constexpr std::uint64_t send_tag(std::uint32_t place) {
  return encode(Tag{Operation::send, Handle{Slot{0}, place}});
}

// MSG_DONTWAIT with MSG_WAITALL: the kernel tries once and posts the count of a short send, instead
// of either arming a poll (and keeping a reference to the bytes) or taking a part for a success.
constexpr int kSendFlags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;

constexpr unsigned kPatientTries = 16;  // submissions that fail before we begin to sleep between
constexpr unsigned kTriesMax = 10'000;  // about 10 s of a kernel without memory

}  // namespace

// ── Submitting ──────────────────────────────────────────────────────────────────────────────────

// The errors of io_uring_enter(2). Everything else can only come from a bug of ours.
//
//   EINTR    a signal, or task work of another ring's message          again
//   EBUSY    the completion queue and its overflow list are full       make room, again
//   EAGAIN   no memory for requests                                    make room, wait, again
//   EBADR    completions were dropped: no memory for the list          abort: a short send may be
//                                                                      among them, or a slot's end
//   EEXIST   called from a thread that does not own the ring           abort
void Ring::Impl::after_failed_enter(int error, unsigned tries) {
  if (error == EINTR) return;
  RC_ASSERT(error == EBUSY || error == EAGAIN);
  RC_ASSERT(tries < kTriesMax);
  drain();
  // Moves the overflow list into the room that we made. Fails for the same reasons; the caller
  // tries again anyway.
  (void)io_uring_get_events(&uring);
  drain();
  if (tries >= kPatientTries) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void Ring::Impl::submit() {
  // The kernel may take only a part (no memory for the rest).
  for (unsigned tries = 0; io_uring_sq_ready(&uring) != 0; ++tries) {
    if (const int taken = io_uring_submit(&uring); taken < 0) after_failed_enter(-taken, tries);
  }
}

void Ring::Impl::submit_and_get_events() {
  unsigned tries = 0;
  do {
    const int taken = io_uring_submit_and_get_events(&uring);
    if (taken < 0) after_failed_enter(-taken, tries);
    ++tries;
  } while (io_uring_sq_ready(&uring) != 0);
}

io_uring_sqe* Ring::Impl::prepare_in_full_queue() {
  submit();
  io_uring_sqe* entry = io_uring_get_sqe(&uring);
  RC_ASSERT(entry != nullptr);
  return entry;
}

// ── Reaping ─────────────────────────────────────────────────────────────────────────────────────

bool Ring::Impl::arrive(Event& event) {
  const Tag tag = decode(event.user_data);
  switch (tag.operation) {
    case Operation::send:
      failures.push_back(SendFailure{tag.handle.generation, event.result});
      return false;
    case Operation::accept:
      if (!direct && event.result >= 0) {
        int& descriptor = descriptors[to_index(tag.handle.slot)];
        RC_DEBUG_ASSERT(descriptor < 0);
        descriptor = event.result;
        event.result = 0;
      }
      return true;
    case Operation::wake:
      if (tag.handle.generation == kRefused) {
        messages_work = false;
        return false;
      }
      return true;
    case Operation::none:
      return false;
    default:
      return true;
  }
}

bool Ring::Impl::take(Event& event) {
  const unsigned mask = uring.cq.ring_mask;
  for (;;) {
    const unsigned head = *uring.cq.khead;
    if (head == io_uring_smp_load_acquire(uring.cq.ktail)) return false;
    const io_uring_cqe& entry = uring.cq.cqes[head & mask];
    event = Event{entry.user_data, entry.res, entry.flags};
    io_uring_smp_store_release(uring.cq.khead, head + 1);
    if (arrive(event)) return true;
  }
}

unsigned Ring::Impl::drain() {
  const unsigned start = *uring.cq.khead;
  Event event;
  while (take(event)) backlog.push(event);
  return *uring.cq.khead - start;
}

void Ring::Impl::give_back_lent_buffer() {
  if (!lent) return;
  buffers.give_back(*lent);
  lent.reset();
}

void Ring::Impl::arm_event_fd() {
  io_uring_sqe* entry = prepare();
  io_uring_prep_read(entry, event_fd, &event_count, sizeof event_count, 0);
  io_uring_sqe_set_data64(entry, wake_tag(kEventFd));
}

bool Ring::Impl::deliver(const Event& event, Completion& completion) {
  const Tag tag = decode(event.user_data);
  completion = Completion{tag.operation, tag.handle, event.result, false, {}};
  switch (tag.operation) {
    case Operation::receive:
      completion.more = (event.flags & IORING_CQE_F_MORE) != 0;
      // Trust the flag, not the result: a kernel that names a buffer expects it back.
      if ((event.flags & IORING_CQE_F_BUFFER) != 0) {
        lent = static_cast<std::uint16_t>(event.flags >> IORING_CQE_BUFFER_SHIFT);
        const std::byte* bytes = buffers.take(*lent);
        if (event.result > 0) completion.data = {bytes, static_cast<std::size_t>(event.result)};
      }
      return true;
    case Operation::writable:
      // The kernel gives the poll mask; whether POLLERR is in it, the next send tells.
      completion.result = std::min(event.result, 0);
      return true;
    case Operation::wake:
      completion.handle = {};
      completion.result = 0;
      if (tag.handle.generation == kEventFd) {
        RC_ASSERT(event.result == sizeof event_count || event.result == -EINTR ||
                  event.result == -EAGAIN);
        arm_event_fd();
      }
      return true;
    default:
      return true;
  }
}

// ── Connections ─────────────────────────────────────────────────────────────────────────────────

void Ring::accept(int listener, Handle handle, PeerAddress& peer) {
  RC_DEBUG_ASSERT(to_index(handle.slot) < impl_->options.slots);
  io_uring_sqe* entry = impl_->prepare();
  peer.length = sizeof peer.address;
  auto* address = reinterpret_cast<sockaddr*>(&peer.address);
  if (impl_->direct) {
    // liburing adds one to the index; the kernel takes it off again. No SOCK_CLOEXEC: the kernel
    // refuses it for a descriptor that no program could inherit.
    io_uring_prep_accept_direct(entry, listener, address, &peer.length, 0, to_index(handle.slot));
  } else {
    io_uring_prep_accept(entry, listener, address, &peer.length, SOCK_CLOEXEC);
  }
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::accept, handle}));
}

void Ring::receive(Handle handle) {
  io_uring_sqe* entry = impl_->prepare();
  io_uring_prep_recv_multishot(entry, impl_->target(handle.slot), nullptr, 0, 0);
  entry->buf_group = 0;
  io_uring_sqe_set_flags(entry, impl_->flags_of_target() | IOSQE_BUFFER_SELECT);
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::receive, handle}));
}

void Ring::wait_writable(Handle handle) {
  io_uring_sqe* entry = impl_->prepare();
  io_uring_prep_poll_add(entry, impl_->target(handle.slot), POLLOUT);
  io_uring_sqe_set_flags(entry, impl_->flags_of_target());
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::writable, handle}));
}

void Ring::shutdown_write(Handle handle) {
  io_uring_sqe* entry = impl_->prepare();
  io_uring_prep_shutdown(entry, impl_->target(handle.slot), SHUT_WR);
  io_uring_sqe_set_flags(entry, impl_->flags_of_target());
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::shutdown_write, handle}));
}

namespace {

// What SO_LINGER must be for close to reset: the kernel reads it when the command runs.
constexpr linger kLingerNot{.l_onoff = 1, .l_linger = 0};

// setsockopt of a direct descriptor, SOCKET_URING_OP_SETSOCKOPT (Linux 6.7; direct descriptors are
// used from 6.13 on only). liburing 2.3 does not know it, so the union fields are named by what
// they were before: `addr` is level and name, `file_index` the length, `addr3` the value.
void prepare_reset(io_uring_sqe* entry, Slot slot) {
  constexpr std::uint32_t kSetSocketOption = 3;
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, static_cast<int>(to_index(slot)), nullptr, 0, 0);
  entry->cmd_op = kSetSocketOption;
  entry->addr = std::uint64_t{SO_LINGER} << 32 | std::uint64_t{SOL_SOCKET};
  entry->file_index = sizeof kLingerNot;
  entry->addr3 = reinterpret_cast<std::uintptr_t>(&kLingerNot);
  entry->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
  // Should it fail, the close is an ordinary one; nobody waits for the completion.
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::none, {}}));
}

}  // namespace

void Ring::close(Handle handle, Closing how) {
  if (how == Closing::reset) {
    if (impl_->direct) {
      prepare_reset(impl_->prepare(),
                    handle.slot);  // runs before the close: in order of submission
    } else {
      (void)setsockopt(impl_->target(handle.slot), SOL_SOCKET, SO_LINGER, &kLingerNot,
                       sizeof kLingerNot);
    }
  }
  io_uring_sqe* entry = impl_->prepare();
  if (impl_->direct) {
    io_uring_prep_close_direct(entry, to_index(handle.slot));
  } else {
    io_uring_prep_close(entry, impl_->target(handle.slot));
    impl_->descriptors[to_index(handle.slot)] = -1;
  }
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::close, handle}));
}

void Ring::poll(int descriptor, short events, Handle handle) {
  RC_DEBUG_ASSERT(descriptor >= 0 && events != 0);
  io_uring_sqe* entry = impl_->prepare();
  io_uring_prep_poll_add(entry, descriptor, static_cast<unsigned>(events));
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::poll, handle}));
}

void Ring::cancel(Operation operation, Handle handle) {
  RC_DEBUG_ASSERT(operation == Operation::accept || operation == Operation::receive ||
                  operation == Operation::writable || operation == Operation::poll);
  io_uring_sqe* entry = impl_->prepare();
  // By user_data: by descriptor the kernel looks through everything that is armed.
  io_uring_prep_cancel64(entry, encode(Tag{operation, handle}), 0);
  io_uring_sqe_set_data64(entry, encode(Tag{Operation::cancel, handle}));
}

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────

void Ring::send(Slot slot, std::span<const std::byte> bytes, std::uint32_t place, Push push) {
  RC_DEBUG_ASSERT(!bytes.empty() && bytes.size() <= INT_MAX);
  io_uring_sqe* entry = impl_->prepare();
  const int flags = push == Push::with_next ? kSendFlags | MSG_MORE : kSendFlags;
  io_uring_prep_send(entry, impl_->target(slot), bytes.data(), bytes.size(), flags);
  io_uring_sqe_set_flags(entry, impl_->flags_of_target() | IOSQE_CQE_SKIP_SUCCESS);
  io_uring_sqe_set_data64(entry, send_tag(place));
}

void Ring::send(Slot slot, const msghdr& message, std::uint32_t place) {
  io_uring_sqe* entry = impl_->prepare();
  io_uring_prep_sendmsg(entry, impl_->target(slot), &message, kSendFlags);
  io_uring_sqe_set_flags(entry, impl_->flags_of_target() | IOSQE_CQE_SKIP_SUCCESS);
  io_uring_sqe_set_data64(entry, send_tag(place));
}

std::span<const SendFailure> Ring::flush_sends() {
  Impl& ring = *impl_;
  if (io_uring_sq_ready(&ring.uring) != 0) ring.submit_and_get_events();
  ring.drain();
  // Sends run inside the submission, so each has its answer by now: in the completion queue
  // (drained) or in the overflow list behind it. Should a kernel defer one, it is among the
  // deferred work. An enter takes about 20 pieces of that and raises the flag again for the rest.
  // It ends: nothing that fires is armed again in here, and no receive buffer is given back. But
  // the flag alone is not to be trusted: the kernel puts work into its list first and raises the
  // flag after, so when we run that work in between, the flag stays up over an empty list until the
  // next piece of work (io_req_local_work_add, seen on 6.18 as a loop without end).
  constexpr unsigned kInVainMax = 16;
  for (unsigned in_vain = 0; ring.kernel_has_more() && in_vain < kInVainMax;) {
    ring.submit_and_get_events();
    in_vain = ring.drain() > 0 ? 0 : in_vain + 1;
  }
  // The kernel counts here what it had no memory to keep (EBADR above, seen from a bare
  // submission).
  RC_ASSERT(IO_URING_READ_ONCE(*ring.uring.cq.koverflow) == 0);
  // Two lists that change places: the caller reads the reported one while its next sends may
  // already find failures (when they fill the queue).
  ring.reported.clear();
  ring.reported.swap(ring.failures);
  return ring.reported;
}

// ── Waking, waiting ─────────────────────────────────────────────────────────────────────────────

void Ring::wake(Ring& other) {
  Impl& ring = *impl_;
  if (ring.messages_work) {
    io_uring_sqe* entry = ring.prepare();
    io_uring_prep_msg_ring(entry, other.impl_->ring_fd, 0, wake_tag(kMessage), 0);
    io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(entry, wake_tag(kRefused));
    ring.submit();
    // A refusal is there as soon as the submission returns. It ends the use of messages.
    ring.drain();
  }
  if (!ring.messages_work) other.wake_from_outside();
}

void Ring::wake_from_outside() {
  // Only calls that a signal handler may make. It cannot block: the counter would have to reach
  // 2^64 - 1.
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = write(impl_->event_fd, &one, sizeof one);
  } while (written < 0 && errno == EINTR);
  RC_ASSERT(written == sizeof one);
  errno = saved_errno;
}

void Ring::wait(std::optional<std::chrono::nanoseconds> timeout) {
  Impl& ring = *impl_;
  const bool work_is_here = !ring.backlog.empty() || io_uring_cq_ready(&ring.uring) != 0;
  if (work_is_here || (timeout && timeout->count() <= 0)) {
    ring.submit_and_get_events();
    return;
  }
  __kernel_timespec limit{};
  if (timeout) {
    limit.tv_sec = timeout->count() / 1'000'000'000;
    limit.tv_nsec = timeout->count() % 1'000'000'000;
  }
  io_uring_cqe* ignored = nullptr;
  const int error = io_uring_submit_and_wait_timeout(&ring.uring, &ignored, 1,
                                                     timeout ? &limit : nullptr, nullptr);
  // After any of them the caller looks at its clock and its queues, and comes back.
  if (error < 0 && error != -ETIME) ring.after_failed_enter(-error, 0);
  ring.submit();  // what the kernel did not take in one go
}

bool Ring::next(Completion& completion) {
  Impl& ring = *impl_;
  ring.give_back_lent_buffer();
  Event event;
  while (ring.backlog.pop(event) || ring.take(event)) {
    if (ring.deliver(event, completion)) return true;
  }
  return false;
}

const RingOptions& Ring::options() const {
  return impl_->options;
}

std::uint32_t Ring::receive_buffers_held() const {
  return impl_->buffers.held();
}

bool Ring::release_receive_memory() {
  Impl& ring = *impl_;
  ring.give_back_lent_buffer();
  // A receive is finished on this thread alone, in a call into the kernel (DEFER_TASKRUN), and
  // posts its completion there: without completions no buffer holds anything.
  if (!ring.backlog.empty() || io_uring_cq_ready(&ring.uring) != 0) return false;
  if ((IO_URING_READ_ONCE(*ring.uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0) return false;
  ring.buffers.release_memory();
  return true;
}

}  // namespace ringcast::uring
