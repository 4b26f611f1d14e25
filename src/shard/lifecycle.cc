#include "lifecycle.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kAcceptsPerListenerMax = 64;
constexpr std::uint64_t kAcceptRetryNs = 50 * kNsPerMs;
constexpr std::uint32_t kLingerMs = 2'000;

}  // namespace

Lifecycle::Lifecycle(Context& context, std::vector<Listener> listeners, std::size_t accepts_max)
    : context_(context), listeners_(std::move(listeners)), armed_at_(listeners_.size()) {
  const std::size_t each = std::clamp<std::size_t>(
      accepts_max / std::max<std::size_t>(listeners_.size(), 1), 1, kAcceptsPerListenerMax);
  // Listener by listener in turn: when something is short, each has its share.
  for (std::size_t i = 0; i < each; ++i) {
    for (std::uint32_t listener = 0; listener < listeners_.size(); ++listener) {
      accepts_.push_back({.listener = listener});
    }
  }
}

void Lifecycle::arm_accepts(const AcceptLimits& limits) {
  if (!accepting_ || accepts_armed_ == accepts_.size()) return;
  if (accept_retry_at_ns_ > context_.now.mono_ns) return;
  accept_retry_at_ns_ = 0;
  for (std::size_t left = accepts_.size(); left > 0 && accepts_armed_ < limits.connections;
       --left) {
    const auto place = static_cast<std::uint32_t>(next_accept_);
    next_accept_ = (next_accept_ + 1) % accepts_.size();
    Accept& accept = accepts_[place];
    const bool tls = listeners_[accept.listener].tls;
    if (accept.armed || armed_at_[accept.listener] >= limits.each_listener) continue;
    if (tls && tls_accepts_armed_ >= limits.tls_connections) continue;
    const auto slot = context_.table.take();
    if (!slot) break;
    Stream& stream = context_.table[*slot];
    stream.phase = Phase::accepting;
    stream.set(Armed::accept);
    stream.extra = place;
    accept.armed = true;
    accept.handle = context_.table.handle(*slot);
    ++accepts_armed_;
    ++armed_at_[accept.listener];
    tls_accepts_armed_ += tls ? 1 : 0;
    context_.ring.accept(listeners_[accept.listener].descriptor, accept.handle, accept.peer);
  }
}

void Lifecycle::stop_accepting() {
  accepting_ = false;
  accept_retry_at_ns_ = 0;
  for (const Accept& accept : accepts_) {
    if (accept.armed) cancel(uring::Operation::accept, accept.handle.slot);
  }
}

std::optional<Lifecycle::Accepted> Lifecycle::on_accept(const uring::Completion& completion) {
  const uring::Slot slot = completion.handle.slot;
  Stream& stream = context_.table[slot];
  RC_ASSERT(context_.table.current(completion.handle) && stream.phase == Phase::accepting);
  Accept& accept = accepts_[stream.extra];
  const bool tls = listeners_[accept.listener].tls;
  accept.armed = false;
  --accepts_armed_;
  --armed_at_[accept.listener];
  tls_accepts_armed_ -= tls ? 1 : 0;
  stream.extra = kNoExtra;
  stream.clear(Armed::accept);

  if (completion.result < 0) {
    settle_if_quiet(slot);
    if (completion.result != -ECANCELED) context_.counters.accept_errors.add();
    switch (completion.result) {
      case -ECANCELED:     // stop_accepting
      case -ECONNABORTED:  // the peer was gone before we took it
      case -EINTR:
      case -EAGAIN:
        break;
      default:
        // -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: out of something that only time gives back. Others
        // (-EINVAL of a closed listener) would spin.
        if (accepting_) accept_retry_at_ns_ = context_.now.mono_ns + kAcceptRetryNs;
    }
    return std::nullopt;
  }

  context_.counters.connections_accepted.add();
  context_.counters.connections_open.add();
  stream.phase = Phase::request;
  arm_receive(slot);
  if (!accepting_) {
    abort(slot);
    return std::nullopt;
  }
  return Accepted{slot, to_ip_address(accept.peer.address), tls};
}

void Lifecycle::arm_receive(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  RC_DEBUG_ASSERT(!stream.is(Armed::receive));
  stream.set(Armed::receive);
  context_.ring.receive(context_.table.handle(slot));
}

void Lifecycle::pause_receive(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (!stream.is(Armed::receive) || stream.is(Armed::receive_cancelled)) return;
  stream.set(Armed::receive_cancelled);
  cancel(uring::Operation::receive, slot);
}

void Lifecycle::arm_writable(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (stream.is(Armed::writable)) return;
  stream.set(Armed::writable);
  context_.ring.wait_writable(context_.table.handle(slot));
}

void Lifecycle::finish(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  RC_ASSERT(stream.phase == Phase::request || stream.phase == Phase::stream);
  context_.leave_list(slot);
  stream.phase = Phase::lingering;
  stream.since_ms = context_.now_ms();
  stream.set(Armed::shutdown);
  context_.ring.shutdown_write(context_.table.handle(slot));
  context_.lingering.push_back(context_.table, slot);
  // Without an armed receive nobody would see the peer's end.
  if (!stream.is(Armed::receive)) arm_receive(slot);
}

void Lifecycle::abort(uring::Slot slot) {
  context_.table[slot].set(Fact::reset);
  close(slot);
}

void Lifecycle::close(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (stream.phase == Phase::closing) return;
  RC_ASSERT(stream.phase != Phase::free && stream.phase != Phase::accepting);
  context_.leave_list(slot);
  stream.phase = Phase::closing;
  pause_receive(slot);
  if (stream.is(Armed::writable)) cancel(uring::Operation::writable, slot);
  settle_if_quiet(slot);
}

void Lifecycle::settle_if_quiet(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (!stream.quiet()) return;
  if (stream.phase == Phase::accepting) {
    context_.table.give_back(slot);
    return;
  }
  if (stream.phase != Phase::closing) return;
  stream.set(Armed::close);
  context_.ring.close(context_.table.handle(slot),
                      stream.is(Fact::reset) ? uring::Closing::reset : uring::Closing::in_order);
}

std::uint64_t Lifecycle::expire_lingering() {
  while (!context_.lingering.empty()) {
    const uring::Slot slot = context_.lingering.front();
    const std::uint32_t age_ms = context_.now_ms() - context_.table[slot].since_ms;
    if (age_ms < kLingerMs) return context_.now.mono_ns + (kLingerMs - age_ms) * kNsPerMs;
    close(slot);
  }
  return 0;
}

void Lifecycle::on_receive_end(uring::Slot slot) {
  context_.table[slot].clear(Armed::receive);
  context_.table[slot].clear(Armed::receive_cancelled);
  settle_if_quiet(slot);
}

void Lifecycle::on_writable(uring::Slot slot) {
  context_.table[slot].clear(Armed::writable);
  settle_if_quiet(slot);
}

void Lifecycle::cancel(uring::Operation operation, uring::Slot slot) {
  ++context_.table[slot].cancels;
  context_.ring.cancel(operation, context_.table.handle(slot));
}

void Lifecycle::on_cancel(uring::Slot slot) {
  // 0, -ENOENT (already completed) and -EALREADY (about to) all mean the same here: the completion
  // of the operation itself decides. Both come, in any order.
  --context_.table[slot].cancels;
  settle_if_quiet(slot);
}

void Lifecycle::on_shutdown(uring::Slot slot) {
  context_.table[slot].clear(Armed::shutdown);
  settle_if_quiet(slot);
}

void Lifecycle::on_close(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  RC_ASSERT(stream.phase == Phase::closing);
  stream.clear(Armed::close);
  context_.table.give_back(slot);
  context_.counters.connections_open.sub();
}

}  // namespace ringcast::shard
