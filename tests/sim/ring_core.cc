#include "ring_core.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "ringcast/base/assert.h"

namespace ringcast::sim {

using uring::Completion;
using uring::Handle;
using uring::Operation;

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::none:
      return "none";
    case Operation::accept:
      return "accept";
    case Operation::receive:
      return "receive";
    case Operation::writable:
      return "writable";
    case Operation::cancel:
      return "cancel";
    case Operation::shutdown_write:
      return "shutdown_write";
    case Operation::close:
      return "close";
    case Operation::poll:
      return "poll";
    case Operation::wake:
      return "wake";
    case Operation::send:
      return "send";
  }
  return "?";
}

RingCore::RingCore(World& world, Network& network, const uring::RingOptions& options)
    : world_(world),
      network_(network),
      options_(options),
      number_(world.rings.size()),
      slots_(options.slots) {
  world_.rings.push_back(this);
}

RingCore::~RingCore() = default;

// ── Preparing ───────────────────────────────────────────────────────────────────────────────────

void RingCore::prepare(const Prepared& prepared) {
  active_ = true;
  prepared_.push_back(prepared);
  if (prepared_.size() >= options_.submissions) submit();
}

RingCore::SlotState* RingCore::checked(Handle handle, const char* what) {
  if (uring::to_index(handle.slot) >= slots_.size()) {
    world_.fail("ring %zu: %s on slot %u, which does not exist", number_, what,
                uring::to_index(handle.slot));
    return nullptr;
  }
  SlotState& slot = slots_[uring::to_index(handle.slot)];
  if (slot.phase != SlotState::Phase::open) {
    world_.fail("ring %zu: %s on slot %u, which is not open", number_, what,
                uring::to_index(handle.slot));
    return nullptr;
  }
  if (slot.handle != handle) {
    world_.fail("ring %zu: %s on slot %u with generation %u, but %u lives there", number_, what,
                uring::to_index(handle.slot), handle.generation, slot.handle.generation);
    return nullptr;
  }
  return &slot;
}

void RingCore::accept(int listener, Handle handle, uring::PeerAddress& peer) {
  RC_ASSERT(uring::to_index(handle.slot) < slots_.size());
  SlotState& slot = slots_[uring::to_index(handle.slot)];
  if (slot.phase != SlotState::Phase::free || slot.cancels != 0) {
    world_.fail("ring %zu: accept into slot %u before its last completion (outstanding: %s)",
                number_, uring::to_index(handle.slot), outstanding(slot).c_str());
    return;
  }
  slot = SlotState{};
  slot.phase = SlotState::Phase::accepting;
  slot.handle = handle;
  slot.listener = listener;
  slot.peer = &peer;
  state(slot, Operation::accept) = State::prepared;
  std::memset(&peer, 0xdd, sizeof peer);
  prepare({.operation = Operation::accept, .handle = handle});
}

void RingCore::arm(Operation operation, Handle handle) {
  SlotState* const slot = checked(handle, name_of(operation));
  if (slot == nullptr) return;
  if (state(*slot, operation) != State::none) {
    world_.fail("ring %zu: a second %s on slot %u", number_, name_of(operation),
                uring::to_index(handle.slot));
    return;
  }
  if (operation == Operation::close) {
    const std::string left = outstanding(*slot);
    if (!left.empty()) {
      world_.fail("ring %zu: slot %u is closed before its last completion (outstanding: %s)",
                  number_, uring::to_index(handle.slot), left.c_str());
      return;
    }
    slot->phase = SlotState::Phase::closing;
  }
  state(*slot, operation) = State::prepared;
  prepare({.operation = operation, .handle = handle});
}

void RingCore::close(Handle handle, uring::Closing how) {
  if (SlotState* const slot = checked(handle, "close"); slot != nullptr) slot->closing = how;
  arm(Operation::close, handle);
}

void RingCore::cancel(Operation operation, Handle handle) {
  if (operation != Operation::accept && operation != Operation::receive &&
      operation != Operation::writable) {
    world_.fail("ring %zu: cancel of a %s", number_, name_of(operation));
    return;
  }
  SlotState& slot = slots_[uring::to_index(handle.slot)];
  if (slot.handle != handle || slot.phase == SlotState::Phase::free ||
      slot.phase == SlotState::Phase::closing) {
    world_.fail("ring %zu: cancel on slot %u, where the connection is no more", number_,
                uring::to_index(handle.slot));
    return;
  }
  ++slot.cancels;
  prepare({.operation = Operation::cancel, .handle = handle, .target = operation});
}

void RingCore::send(uring::Slot to, std::span<const std::byte> bytes, const msghdr* message,
                    std::uint32_t place, uring::Push push) {
  RC_ASSERT(uring::to_index(to) < slots_.size());
  SlotState* const slot = checked(slots_[uring::to_index(to)].handle, "send");
  if (slot == nullptr) return;
  if (++slot->sends > 1) {
    world_.fail("ring %zu: two sends on slot %u between two flushes", number_, uring::to_index(to));
    return;
  }
  prepare({.operation = Operation::send,
           .handle = slot->handle,
           .bytes = bytes,
           .message = message,
           .place = place,
           .push = push});
}

void RingCore::wake(RingCore& other) {
  active_ = true;
  submit();
  other.wake_late();
}

void RingCore::wake_late() {
  post({.operation = Operation::wake, .handle = {}}, {},
       world_.timeline.now() + world_.latency_ns());
}

// ── Submitting ──────────────────────────────────────────────────────────────────────────────────

void RingCore::submit() {
  std::vector<Prepared> batch;
  batch.swap(prepared_);
  for (const Prepared& prepared : batch) {
    if (world_.failed()) return;
    run(prepared);
  }
}

std::span<const uring::SendFailure> RingCore::flush_sends() {
  submit();
  for (SlotState& slot : slots_) slot.sends = 0;
  reported_.clear();
  reported_.swap(failures_);
  for (std::size_t i = reported_.size(); i-- > 1;) {
    std::swap(reported_[i], reported_[world_.random.below(i + 1)]);
  }
  return reported_;
}

void RingCore::run(const Prepared& prepared) {
  SlotState& slot = slots_[uring::to_index(prepared.handle.slot)];
  switch (prepared.operation) {
    case Operation::send:
      run_send(prepared);
      return;
    case Operation::cancel:
      run_cancel(prepared);
      return;
    default:
      break;
  }
  state(slot, prepared.operation) = State::armed;
  ++slot.armings[static_cast<std::size_t>(prepared.operation)];
  switch (prepared.operation) {
    case Operation::accept:
      network_.watch(slot.listener, *this);
      accepting_[slot.listener].push_back(uring::to_index(prepared.handle.slot));
      try_accept(slot.listener);
      break;
    case Operation::receive:
      pump_receive(slot);
      break;
    case Operation::writable:
      pump_writable(slot, true);
      break;
    case Operation::shutdown_write:
      slot.connection->server_shutdown();
      finish(slot, Operation::shutdown_write, 0);
      break;
    case Operation::close:
      world_.trace("ring %zu slot %u: close (connection %u)", number_,
                   uring::to_index(prepared.handle.slot), slot.connection->number());
      slot.connection->server_close(slot.closing == uring::Closing::reset);
      finish(slot, Operation::close, 0);
      break;
    default:
      RC_ASSERT(false);
  }
}

void RingCore::run_send(const Prepared& prepared) {
  const SlotState& slot = slots_[uring::to_index(prepared.handle.slot)];
  // The bytes are read here and never again: after the flush their owner may overwrite them.
  std::string bytes;
  if (prepared.message == nullptr) {
    bytes.assign(reinterpret_cast<const char*>(prepared.bytes.data()), prepared.bytes.size());
  } else {
    for (std::size_t i = 0; i < prepared.message->msg_iovlen; ++i) {
      const iovec& part = prepared.message->msg_iov[i];
      bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
  }
  if (bytes.empty()) {
    world_.fail("ring %zu: an empty send on slot %u", number_,
                uring::to_index(prepared.handle.slot));
    return;
  }
  const int taken = slot.connection->take(bytes, prepared.push);
  world_.trace("ring %zu slot %u: send %zu bytes, result %d", number_,
               uring::to_index(prepared.handle.slot), bytes.size(), taken);
  if (taken != static_cast<int>(bytes.size())) failures_.push_back({prepared.place, taken});
}

void RingCore::run_cancel(const Prepared& prepared) {
  SlotState& slot = slots_[uring::to_index(prepared.handle.slot)];
  const Operation target = prepared.target;
  int result = 0;
  if (state(slot, target) != State::armed) {
    result = -ENOENT;
  } else if (world_.random.chance(0.6)) {
    finish(slot, target, -ECANCELED);
  } else {
    // Found, but it runs on for a moment, and what it waits for may still come first.
    if (world_.random.chance(0.4)) result = -EALREADY;
    const auto arming = slot.armings[static_cast<std::size_t>(target)];
    world_.timeline.after(
        world_.latency_ns(), [this, &slot, handle = prepared.handle, target, arming] {
          if (slot.handle == handle && slot.armings[static_cast<std::size_t>(target)] == arming &&
              state(slot, target) == State::armed) {
            finish(slot, target, -ECANCELED);
          }
        });
  }
  post({.operation = Operation::cancel, .handle = prepared.handle, .result = result}, {},
       world_.timeline.now() + world_.latency_ns());
}

// ── Completing ──────────────────────────────────────────────────────────────────────────────────

void RingCore::finish(SlotState& slot, Operation operation, int result) {
  state(slot, operation) = State::done;
  std::uint64_t when_ns = world_.timeline.now() + world_.latency_ns();
  if (operation == Operation::receive) {
    when_ns = std::max(when_ns, slot.last_receive_ns);
    slot.last_receive_ns = when_ns;
  }
  if (operation == Operation::accept) {
    auto& armed = accepting_[slot.listener];
    std::erase(armed, uring::to_index(slot.handle.slot));
  }
  post({.operation = operation, .handle = slot.handle, .result = result}, {}, when_ns);
}

void RingCore::post(const Completion& completion, std::string data, std::uint64_t when_ns) {
  // Even what is due at once goes through the timeline while something of before is due there.
  if (when_ns <= world_.timeline.now() && world_.timeline.next_due() > when_ns) {
    arrived_.push_back({completion, std::move(data)});
    return;
  }
  world_.timeline.at(when_ns, [this, completion, data = std::move(data)] {
    arrived_.push_back({completion, data});
  });
}

void RingCore::on_backlog(int listener) {
  try_accept(listener);
}

void RingCore::try_accept(int listener) {
  std::vector<std::uint32_t>& armed = accepting_[listener];
  while (!armed.empty()) {
    const std::uint32_t index = armed[world_.random.below(armed.size())];
    SlotState& slot = slots_[index];
    Connection* const connection = network_.take_waiting(listener);
    if (connection == nullptr) return;
    if (world_.random.chance(world_.nasty.accept_fails)) {
      static constexpr int kErrors[] = {ECONNABORTED, EMFILE, ENFILE, ENOBUFS};
      const int error = kErrors[world_.random.below(std::size(kErrors))];
      if (error == ECONNABORTED) connection->server_close(true);
      finish(slot, Operation::accept, -error);
      if (error == ECONNABORTED) continue;
      // Out of something: the connection still waits, for the next accept.
      network_.put_back(listener, *connection);
      return;
    }
    complete_accept(slot, *connection);
  }
}

void RingCore::complete_accept(SlotState& slot, Connection& connection) {
  const auto index = uring::to_index(slot.handle.slot);
  slot.connection = &connection;
  connection.attach(*this, index);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(1024 + connection.number() % 60'000));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + connection.number() % 7);
  std::memcpy(&slot.peer->address, &address, sizeof address);
  slot.peer->length = sizeof address;
  world_.trace("ring %zu slot %u: accepts connection %u", number_, index, connection.number());
  finish(slot, Operation::accept, 0);
}

void RingCore::on_readable(std::uint32_t slot) {
  pump_receive(slots_[slot]);
}
void RingCore::on_writable(std::uint32_t slot) {
  pump_writable(slots_[slot], false);
}

void RingCore::pump_receive(SlotState& slot) {
  Connection* const connection = slot.connection;
  while (state(slot, Operation::receive) == State::armed) {
    const std::size_t waiting = connection->readable_bytes();
    if (waiting == 0) {
      if (const auto end = connection->receive_end()) finish(slot, Operation::receive, -*end);
      return;
    }
    if (buffers_out_ >= options_.receive_buffers || world_.random.chance(world_.nasty.no_buffers)) {
      finish(slot, Operation::receive, -ENOBUFS);
      return;
    }
    std::size_t size = std::min<std::size_t>(waiting, options_.receive_buffer_bytes);
    if (world_.random.chance(0.2)) size = world_.random.between(1, size);
    const bool more = !world_.random.chance(world_.nasty.receive_ends);
    if (!more) state(slot, Operation::receive) = State::done;
    const std::uint64_t when_ns =
        std::max(world_.timeline.now() + world_.latency_ns(), slot.last_receive_ns);
    slot.last_receive_ns = when_ns;
    ++buffers_out_;
    post({.operation = Operation::receive,
          .handle = slot.handle,
          .result = static_cast<std::int32_t>(size),
          .more = more},
         connection->read(size), when_ns);
  }
}

void RingCore::pump_writable(SlotState& slot, bool may_be_spurious) {
  if (state(slot, Operation::writable) != State::armed) return;
  const bool spurious = may_be_spurious && world_.random.chance(world_.nasty.spurious_writable);
  if (spurious || slot.connection->writable()) finish(slot, Operation::writable, 0);
}

// ── Handing out ─────────────────────────────────────────────────────────────────────────────────

bool RingCore::next(Completion& completion) {
  // What the last completion showed is no longer valid: poison it.
  std::fill(lent_.begin(), lent_.end(), '\xdd');
  if (arrived_.empty()) return false;
  active_ = true;
  Arrived arrived = std::move(arrived_.front());
  arrived_.pop_front();
  completion = arrived.completion;
  if (!arrived.data.empty()) {
    --buffers_out_;
    lent_ = std::move(arrived.data);
    completion.data = std::as_bytes(std::span(lent_.data(), lent_.size()));
  }
  consumed(completion);
  return true;
}

void RingCore::consumed(const Completion& completion) {
  if (completion.operation == Operation::wake) return;
  SlotState& slot = slots_[uring::to_index(completion.handle.slot)];
  RC_ASSERT(slot.handle == completion.handle);
  if (completion.operation == Operation::cancel) {
    --slot.cancels;
    return;
  }
  if (!completion.data.empty() && kept)
    slot.connection->note_request_bytes(completion.data.size(), kept());
  if (!completion.more) state(slot, completion.operation) = State::none;
  if (completion.operation == Operation::accept) {
    slot.phase = completion.result < 0 ? SlotState::Phase::free : SlotState::Phase::open;
  } else if (completion.operation == Operation::close) {
    slot.phase = SlotState::Phase::free;
    slot.connection = nullptr;
  }
}

void RingCore::note_turn_end() {
  const Kept now = kept ? kept() : Kept{};
  for (const SlotState& slot : slots_) {
    if (slot.connection != nullptr) slot.connection->note_turn_end(now);
  }
}

// ── Checks ──────────────────────────────────────────────────────────────────────────────────────

std::string RingCore::outstanding(const SlotState& slot) const {
  std::string result;
  const auto add = [&result](const char* name) {
    if (!result.empty()) result += ", ";
    result += name;
  };
  for (std::size_t i = 0; i < kOperations; ++i) {
    if (slot.operations[i] != State::none) add(name_of(static_cast<Operation>(i)));
  }
  if (slot.cancels != 0) add("cancel");
  for (const Prepared& prepared : prepared_) {
    if (prepared.operation == Operation::send && prepared.handle == slot.handle) add("send");
  }
  return result;
}

std::string RingCore::leftovers() const {
  for (const SlotState& slot : slots_) {
    if (slot.phase == SlotState::Phase::free && outstanding(slot).empty()) continue;
    return "slot " + std::to_string(uring::to_index(slot.handle.slot)) +
           " is not free (outstanding: " + outstanding(slot) + ")";
  }
  return {};
}

}  // namespace ringcast::sim
