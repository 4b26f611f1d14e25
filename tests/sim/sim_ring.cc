// uring::Ring without a kernel. Linked instead of src/uring/ring.cc; its network is simulated.

#include <memory>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/uring/ring.h"

#include "ring_core.h"
#include "world.h"

namespace ringcast::uring {

struct Ring::Impl {
  Impl(sim::World& world, const RingOptions& options) : core(world, *world.network, options) {}
  sim::RingCore core;
};

Ring::Ring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ring::~Ring() = default;

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  auto impl = std::make_unique<Impl>(sim::World::current(), options);
  return std::unique_ptr<Ring>(new Ring(std::move(impl)));
}

void Ring::accept(int listener, Handle handle, PeerAddress& peer) {
  impl_->core.accept(listener, handle, peer);
}
void Ring::receive(Handle handle) {
  impl_->core.arm(Operation::receive, handle);
}
void Ring::wait_writable(Handle handle) {
  impl_->core.arm(Operation::writable, handle);
}
void Ring::shutdown_write(Handle handle) {
  impl_->core.arm(Operation::shutdown_write, handle);
}
void Ring::close(Handle handle, Closing how) {
  impl_->core.close(handle, how);
}
// Of foreign descriptors there are none: a simulated store has no sockets.
void Ring::poll(int, short, Handle) {
  RC_ASSERT(false);
}
void Ring::cancel(Operation operation, Handle handle) {
  impl_->core.cancel(operation, handle);
}
void Ring::send(Slot slot, std::span<const std::byte> bytes, std::uint32_t place, Push push) {
  impl_->core.send(slot, bytes, nullptr, place, push);
}
void Ring::send(Slot slot, const msghdr& message, std::uint32_t place) {
  impl_->core.send(slot, {}, &message, place);
}
std::span<const SendFailure> Ring::flush_sends() {
  return impl_->core.flush_sends();
}
void Ring::wake(Ring& other) {
  impl_->core.wake(other.impl_->core);
}
void Ring::wake_from_outside() {
  impl_->core.wake_late();
}
bool Ring::next(Completion& completion) {
  return impl_->core.next(completion);
}
const RingOptions& Ring::options() const {
  return impl_->core.options();
}

// The driver runs whoever has work: nobody may sleep here.
void Ring::wait(std::optional<std::chrono::nanoseconds>) {
  RC_ASSERT(false);
}

}  // namespace ringcast::uring
