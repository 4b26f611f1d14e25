#include "requests.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"
#include "ringcast/http/forwarded.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kInputMax = 64 << 10;  // of a connection whose request is being answered
// Of one whose handshake has not begun: more than the hello of any browser.
constexpr std::size_t kHelloBytesMax = 4096;
constexpr std::size_t kHandshakeBytesMax = tls::SessionLimits{}.handshake_bytes;
constexpr std::uint64_t kKeepAliveNs = 60 * kNsPerSecond;
constexpr std::size_t kSendsPerFlush = 128;  // as many as the pump sends in a slice
constexpr std::uint64_t kSilentNs =
    kNsPerSecond;  // a new connection may say nothing for this long when room is short
constexpr std::uint64_t kPasswordNs = 30 * kNsPerSecond;
constexpr std::uint64_t kPageNs = 5 * kNsPerSecond;
constexpr std::uint32_t kPasswordRetrySeconds = 5;

std::size_t input_max(const Connection& connection) {
  if (!connection.at.in_handshake) return kInputMax;
  return connection.secure && connection.secure->session ? kHandshakeBytesMax : kHelloBytesMax;
}

TokenBucket connect_bucket(const LimitOptions& limits) {
  return {limits.connect_per_second,
          limits.connect_burst != 0 ? limits.connect_burst : limits.connect_per_second};
}

}  // namespace

Requests::Requests(Context& context, Lifecycle& lifecycle, Streams& streams,
                   std::size_t connections_max)
    : context_(context),
      lifecycle_(lifecycle),
      streams_(streams),
      pool_(connections_max, {.header_bytes = context.options.limits.header_bytes,
                              .body_bytes = context.options.limits.event_bytes}),
      gate_(context),
      connect_bucket_(connect_bucket(context.policy->limits)) {
  with_output_.reserve(connections_max);
  sending_.reserve(kSendsPerFlush);
}

// --- connections

void Requests::take_policy() {
  gate_.take_policy();
  connect_bucket_ = connect_bucket(context_.policy->limits);
}

void Requests::on_connected(const Lifecycle::Accepted& accepted) {
  const uring::Slot slot = accepted.slot;
  const Handle handle = pool_.take();
  RC_ASSERT(handle != ConnectionPool::kNone);  // no accept is armed without one
  context_.table[slot].extra = handle;
  Connection& connection = pool_[handle];
  connection.at.slot = slot;
  connection.peer = accepted.peer;
  if (!connect_bucket_.try_take(context_.now)) {
    connection.at.over = Connection::Over::shard;
  } else if (!http::is_trusted(accepted.peer, context_.policy->trusted_proxies) &&
             !take_connect(accepted.peer)) {
    connection.at.over = Connection::Over::address;
  }
  if (accepted.tls) {
    expect_handshake(connection);
  } else {
    set_deadline(connection, Deadline::head);
  }
}

void Requests::release(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  Connection& connection = pool_[stream.extra];
  if (connection.at.deadline == Deadline::password) give_up_password(connection);
  end_handshake(connection);
  give_up_stream(connection);
  set_deadline(connection, Deadline::none);
  ++connection.serial;
  pool_.give_back(stream.extra);
  stream.extra = kNoExtra;
}

void Requests::give_up_stream(Connection& connection) {
  if (connection.at.history.catching_up) context_.counters.streams_catching_up.sub();
  give_back_place(connection);
  connection.at.history = {};
  if (!std::exchange(connection.at.stream_reserved, false)) return;
  streams_.unreserve();
  context_.sets.release(connection.at.topic_set);
  context_.release_owner(std::exchange(connection.at.owner, Owners::kNone));
}

void Requests::abort(uring::Slot slot) {
  release(slot);
  lifecycle_.abort(slot);
}

void Requests::finish(uring::Slot slot) {
  Connection& connection = connection_of(slot);
  if (connection.secure && connection.secure->session && !connection.at.in_handshake) {
    answer(connection, AfterOutput::close);
  } else {
    finish_now(slot);
  }
}

void Requests::finish_now(uring::Slot slot) {
  release(slot);
  lifecycle_.finish(slot);
}

void Requests::begin_drain() {
  draining_ = true;
  const auto each_under = [this](Deadline kind, auto&& visit) {
    Handle next = deadlines_[static_cast<std::size_t>(kind)].front();
    while (next != ConnectionPool::kNone) {
      Connection& connection = pool_[next];
      next = connection.next;  // `visit` may move it to another place, or end it
      visit(connection);
    }
  };
  for (const Deadline idle :
       {Deadline::hello, Deadline::handshake, Deadline::head, Deadline::keep_alive}) {
    each_under(idle, [this](Connection& connection) {
      if (!connection.parser.started()) finish(connection.at.slot);
    });
  }
  // Those who read slowly may have the places for older events until the end, and the store may not
  // answer: whoever waits for a page is told now.
  waiting_for_place_.clear();
  each_under(Deadline::write, [this](Connection& connection) {
    if (connection.waits_for_history()) give_up_page(connection);
  });
}

void Requests::abort_all() {
  for (std::uint32_t i = 0; i < context_.table.used_end(); ++i) {
    if (context_.table.at(i).phase == Phase::request) abort(uring::Slot{i});
  }
}

// --- input

Connection* Requests::find(uring::Handle handle) {
  if (!context_.table.current(handle)) return nullptr;
  return context_.table[handle.slot].phase == Phase::request ? &connection_of(handle.slot)
                                                             : nullptr;
}

void Requests::on_receive(uring::Slot slot, std::int32_t result, std::span<const std::byte> data) {
  Connection& connection = connection_of(slot);
  if (result < 0) {
    if (connection.at.in_handshake) context_.counters.handshakes_cut.add();
    abort(slot);
    return;
  }
  if (result == 0) {
    end_of_input(connection);
  } else if (connection.at.tls) {
    on_records(connection, data);
  } else {
    connection.input += as_text(data);
    take_input(connection);
  }
}

void Requests::end_of_input(Connection& connection) {
  if (connection.at.in_handshake && !connection.at.handshake_queued) {
    context_.counters.handshakes_cut.add();
    abort(connection.at.slot);
    return;
  }
  // A client may end its direction and still read: what is whole is answered, half a request is
  // not.
  connection.at.ended_by_peer = true;
  end_if_nothing_comes(connection);
}

void Requests::take_input(Connection& connection) {
  if (connection.at.state == Connection::State::reading && !connection.at.next_queued) {
    advance(connection);
  } else {
    pause_if_too_much(connection);
  }
}

void Requests::pause_if_too_much(Connection& connection) {
  if (connection.waiting_bytes() <= input_max(connection)) return;
  connection.at.receive_paused = true;
  lifecycle_.pause_receive(connection.at.slot);
}

void Requests::end_if_nothing_comes(Connection& connection) {
  if (!connection.at.ended_by_peer || connection.at.next_queued || connection.at.handshake_queued ||
      connection.at.state != Connection::State::reading) {
    return;
  }
  if (connection.parser.started()) {
    abort(connection.at.slot);
  } else {
    finish(connection.at.slot);
  }
}

void Requests::on_receive_end(uring::Slot slot) {
  Connection& connection = connection_of(slot);
  if (connection.at.ended_by_peer) return;
  // -ENOBUFS, or paused: armed again when there is a use for more.
  if (connection.at.receive_paused) {
    resume_receive(connection);
  } else {
    lifecycle_.arm_receive(slot);
  }
}

void Requests::on_cancelled(uring::Slot slot) {
  resume_receive(connection_of(slot));
}

void Requests::resume_receive(Connection& connection) {
  const Stream& stream = context_.table[connection.at.slot];
  if (!connection.at.receive_paused || connection.waiting_bytes() > input_max(connection) / 2) {
    return;
  }
  if (stream.is(Armed::receive) || stream.cancels > 0) return;
  connection.at.receive_paused = false;
  lifecycle_.arm_receive(connection.at.slot);
}

void Requests::advance(Connection& connection) {
  RC_ASSERT(connection.at.state == Connection::State::reading);
  connection.at.input_used += connection.parser.feed(connection.pending_input());
  if (connection.at.input_used == connection.input.size()) {
    connection.input.clear();
    connection.at.input_used = 0;
  } else if (connection.at.input_used > kInputMax / 2) {
    connection.input.erase(0, connection.at.input_used);
    connection.at.input_used = 0;
  }
  resume_receive(connection);
  switch (connection.parser.state()) {
    case http::ParseState::head:
      if (connection.parser.started()) set_deadline(connection, Deadline::head);
      break;
    case http::ParseState::body:
      set_deadline(connection, Deadline::body);
      if (connection.parser.expects_continue() && !connection.at.continue_sent) {
        connection.at.continue_sent = true;
        connection.output += "HTTP/1.1 100 Continue\r\n\r\n";
        queue_output(connection);
      }
      break;
    case http::ParseState::complete:
      set_deadline(connection, Deadline::none);
      context_.counters.requests.add();
      handle(connection);
      break;
    case http::ParseState::failed: {
      const http::ParseFailure& failure = connection.parser.failure();
      context_.counters.responses_4xx.add();
      prepare(connection);
      http::write_error(connection.output, failure.status, failure.reason, head(false));
      answer(connection, AfterOutput::close);
      break;
    }
  }
}

// --- output

void Requests::answer(Connection& connection, AfterOutput after) {
  connection.at.state = Connection::State::answering;
  connection.at.after = after;
  set_deadline(connection, Deadline::write);
  queue_output(connection);
}

void Requests::queue_output(Connection& connection) {
  if (connection.at.output_queued || connection.at.output_blocked) return;
  connection.at.output_queued = true;
  with_output_.push_back(context_.table.handle(connection.at.slot));
}

uring::Push Requests::push(const Connection& connection) const {
  const bool opens_stream = connection.at.state == Connection::State::answering &&
                            connection.at.after == AfterOutput::become_stream;
  if (!opens_stream) return uring::Push::now;
  const sse::Ordinal cursor = context_.table[connection.at.slot].cursor;
  return streams_.has_news(cursor, connection.at.topic_set) ? uring::Push::with_next
                                                            : uring::Push::now;
}

bool Requests::flush_output() {
  if (with_output_.empty()) return false;
  const auto first = with_output_.begin() +
                     static_cast<std::ptrdiff_t>(std::min(with_output_.size(), kSendsPerFlush));
  sending_.assign(with_output_.begin(), first);
  with_output_.erase(with_output_.begin(), first);

  constexpr std::int32_t kNotSent = -ECANCELED;
  std::array<std::int32_t, kSendsPerFlush> taken{};
  for (std::uint32_t i = 0; i < sending_.size(); ++i) {
    Connection* const connection = find(sending_[i]);
    taken[i] = kNotSent;
    if (connection == nullptr) continue;
    connection->at.output_queued = false;
    const auto said = outgoing(*connection);
    if (!said) {
      abort(sending_[i].slot);
      continue;
    }
    const auto rest = std::as_bytes(std::span(*said));
    taken[i] = static_cast<std::int32_t>(rest.size());
    // Nothing is left to be said to a client of HTTP/1.0 that is served from history.
    if (!rest.empty()) context_.ring.send(connection->at.slot, rest, i, push(*connection));
  }
  for (const uring::SendFailure& failure : context_.ring.flush_sends()) {
    taken[failure.place] = failure.result;
  }
  for (std::size_t i = 0; i < sending_.size(); ++i) {
    if (taken[i] == kNotSent) continue;
    const uring::Slot slot = sending_[i].slot;
    if (taken[i] < 0 && taken[i] != -EAGAIN) {
      if (connection_of(slot).at.in_handshake) context_.counters.handshakes_cut.add();
      abort(slot);
      continue;
    }
    Connection& connection = connection_of(slot);
    connection.at.output_sent += static_cast<std::size_t>(std::max(taken[i], 0));
    const std::string& whole = connection.secure ? connection.secure->leaving : connection.output;
    if (connection.at.output_sent == whole.size()) {
      output_done(connection);
    } else {
      connection.at.output_blocked = true;
      lifecycle_.arm_writable(slot);
    }
  }
  return true;
}

void Requests::begin_next_requests() {
  beginning_.swap(with_next_);
  for (const uring::Handle handle : beginning_) {
    Connection* const connection = find(handle);
    if (connection == nullptr || !connection->at.next_queued) continue;
    connection->at.next_queued = false;
    advance(*connection);
    if (connection == find(handle)) end_if_nothing_comes(*connection);
  }
  beginning_.clear();
}

void Requests::on_writable(uring::Slot slot) {
  Connection& connection = connection_of(slot);
  if (!connection.at.output_blocked) return;
  connection.at.output_blocked = false;
  queue_output(connection);
}

void Requests::output_done(Connection& connection) {
  connection.output.clear();
  if (connection.secure) connection.secure->leaving.clear();
  connection.at.output_sent = 0;
  if (connection.at.state != Connection::State::answering) return;  // 100 Continue
  const uring::Slot slot = connection.at.slot;
  switch (connection.at.after) {
    case AfterOutput::close:
      finish_now(slot);
      return;
    case AfterOutput::become_stream:
      become_stream(connection);
      return;
    case AfterOutput::catch_up:
      go_on_catching_up(connection);
      return;
    case AfterOutput::next_request:
      RC_ASSERT(!connection.at.stream_reserved);
      connection.parser.reset();
      ++connection.serial;
      connection.at.state = Connection::State::reading;
      connection.at.continue_sent = false;
      set_deadline(connection, Deadline::keep_alive);
      resume_receive(connection);
      if (connection.pending_input().empty()) {
        end_if_nothing_comes(connection);
      } else {
        connection.at.next_queued = true;
        with_next_.push_back(context_.table.handle(slot));
      }
      return;
  }
}

// --- deadlines

std::uint64_t Requests::deadline_ns(Deadline kind) const {
  switch (kind) {
    case Deadline::hello:
    case Deadline::handshake:
      return context_.options.tls.handshake_seconds * kNsPerSecond;
    case Deadline::head:
      return context_.options.limits.header_seconds * kNsPerSecond;
    case Deadline::body:
    case Deadline::write:
      return context_.options.limits.body_seconds * kNsPerSecond;
    case Deadline::keep_alive:
      return kKeepAliveNs;
    case Deadline::password:
      return kPasswordNs;
    case Deadline::page:
      return kPageNs;
    case Deadline::none:
      break;
  }
  return 0;
}

void Requests::set_deadline(Connection& connection, Deadline kind) {
  if (connection.at.deadline == kind)
    return;  // it runs from its first moment: a trickle does not help
  const Handle handle = context_.table[connection.at.slot].extra;
  if (connection.at.deadline != Deadline::none) {
    deadlines_[static_cast<std::size_t>(connection.at.deadline)].remove(pool_, handle);
  }
  connection.at.deadline = kind;
  connection.at.deadline_since_ns = context_.now.mono_ns;
  if (kind != Deadline::none) deadlines_[static_cast<std::size_t>(kind)].push_back(pool_, handle);
}

std::uint64_t Requests::expire_deadlines() {
  std::uint64_t next = 0;
  for (std::size_t kind = 1; kind < kDeadlineKinds; ++kind) {
    while (!deadlines_[kind].empty()) {
      Connection& connection = pool_[deadlines_[kind].front()];
      const std::uint64_t at =
          connection.at.deadline_since_ns + deadline_ns(static_cast<Deadline>(kind));
      if (at > context_.now.mono_ns) {
        next = next == 0 ? at : std::min(next, at);
        break;
      }
      expire(connection);
    }
  }
  return next;
}

bool Requests::room_is_short() const {
  const std::size_t wanted = lifecycle_.accepts_wanted();
  if (pool_.free_count() < wanted) return true;
  // Half of the slots beside those of streams: else a full house would end every publisher's
  // connection. Lingering ones will be free soon.
  const std::size_t reserve = context_.options.slots - context_.options.streams_max;
  return lifecycle_.slots_free() + context_.lingering.size() < std::min(wanted, reserve / 2);
}

std::uint64_t Requests::make_room() {
  const std::uint64_t for_requests = make_room_for_connections();
  const std::uint64_t for_handshakes = make_room_for_handshakes();
  if (for_requests == 0 || for_handshakes == 0) return std::max(for_requests, for_handshakes);
  return std::min(for_requests, for_handshakes);
}

std::uint64_t Requests::make_room_for_connections() {
  constexpr std::array<std::pair<Deadline, std::uint64_t>, 3> kMayBeEnded{
      {{Deadline::keep_alive, 0}, {Deadline::head, kSilentNs}, {Deadline::hello, kSilentNs}}};
  int ended = 0;
  std::uint64_t next = 0;
  for (const auto& [kind, after_ns] : kMayBeEnded) {
    const DeadlineList& list = deadlines_[static_cast<std::size_t>(kind)];
    while (!list.empty() && room_is_short()) {
      const Connection& oldest = pool_[list.front()];
      if (oldest.parser.started() || oldest.at.next_queued || oldest.at.handshake_queued) break;
      const std::uint64_t at = oldest.at.deadline_since_ns + after_ns;
      if (at > context_.now.mono_ns) {
        next = next == 0 ? at : std::min(next, at);
        break;
      }
      if (++ended > kEndedForRoomPerTurn) return context_.now.mono_ns;
      if (kind == Deadline::hello) context_.counters.handshakes_late.add();
      finish(oldest.at.slot);
    }
  }
  return next;
}

void Requests::expire(Connection& connection) {
  const uring::Slot slot = connection.at.slot;
  switch (connection.at.deadline) {
    case Deadline::hello:
    case Deadline::handshake:
      context_.counters.handshakes_late.add();
      abort(slot);
      return;
    case Deadline::head:
    case Deadline::body:
      if (!connection.parser.started()) {
        finish(slot);
        return;
      }
      context_.counters.responses_4xx.add();
      prepare(connection);
      http::write_error(connection.output, 408,
                        connection.at.deadline == Deadline::head
                            ? "the request head did not arrive in time"
                            : "the request body did not arrive in time",
                        head(false));
      answer(connection, AfterOutput::close);
      return;
    case Deadline::password:
      give_up_password(connection);
      prepare(connection);
      context_.counters.logins_overloaded.add();
      gate_.audit(auth::AuditAction::login_failed, connection, visitor_, connection.user,
                  "took-too-long");
      answer_error(connection, 503, "signing in takes too long, the server is busy",
                   kPasswordRetrySeconds);
      return;
    case Deadline::keep_alive:
      finish(slot);
      return;
    case Deadline::write:
      if (connection.waits_for_history()) {
        // It is not the client who is slow: others have the places, or the store does not answer.
        give_up_page(connection);
        return;
      }
      abort(slot);
      return;
    case Deadline::page:
      if (waiting_for_place_.empty()) {
        set_deadline(connection, Deadline::write);
      } else {
        abort(slot);  // it has its cursor, and goes on after what it took
      }
      return;
    case Deadline::none:
      abort(slot);
      return;
  }
}

}  // namespace ringcast::shard
