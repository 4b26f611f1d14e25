// Connections under TLS until they are streams: handshakes, and requests and answers as records.
// docs/design/tls.md.

#include <algorithm>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"

#include "requests.h"

namespace ringcast::shard {
namespace {

constexpr int kHandshakeStepsPerTurn = 4;
// Of these, that begin one: with the signature. 0.25 ms each with ECDSA, 1 ms with RSA of 2048
// bits.
constexpr int kHandshakesBegunPerTurn = 2;
// With fewer places left than this part of all, who takes long makes room.
constexpr std::size_t kCrowdedShare = 8;
constexpr char kTlsHello = 22;  // first byte of a record with a ClientHello
constexpr std::uint64_t kPatienceNs = 2 * kNsPerSecond;

}  // namespace

void Requests::expect_handshake(Connection& connection) {
  connection.at.tls = true;
  connection.at.in_handshake = true;
  ++in_handshake_;
  set_deadline(connection, Deadline::hello);
}

bool Requests::handshakes_crowded() const {
  const std::size_t most = context_.options.tls.handshakes_max;
  return handshakes_ + most / kCrowdedShare >= most;
}

bool Requests::begin_handshake(Connection& connection) {
  // Over a limit, it would be told so after the handshake, which costs more than the request.
  if (connection.at.over != Connection::Over::none && handshakes_crowded()) return false;
  RC_ASSERT(context_.policy->tls != nullptr);
  connection.secure->session = std::make_unique<tls::Session>(context_.policy->tls);
  connection.at.counts_as_handshake = true;
  ++handshakes_;
  context_.counters.handshakes_open.add();
  set_deadline(connection, Deadline::handshake);
  return true;
}

void Requests::end_handshake(Connection& connection) {
  if (!std::exchange(connection.at.in_handshake, false)) return;
  --in_handshake_;
  if (!std::exchange(connection.at.counts_as_handshake, false)) return;
  --handshakes_;
  context_.counters.handshakes_open.sub();
}

void Requests::on_records(Connection& connection, std::span<const std::byte> data) {
  if (!connection.at.in_handshake) {
    read_records(connection, as_text(data));
    return;
  }
  // Until its turn comes a client has cost what it sent, and no `SSL` object.
  if (!connection.secure) connection.secure = std::make_unique<SecureConnection>();
  SecureConnection& secure = *connection.secure;
  secure.arrived += as_text(data);
  if (!connection.at.handshake_queued) {
    connection.at.handshake_queued = true;
    (secure.session ? handshaking_ : beginning_handshakes_)
        .push_back(context_.table.handle(connection.at.slot));
  }
  pause_if_too_much(connection);
}

bool Requests::go_on_with_handshakes() {
  int begun = 0;
  for (int steps = 0; steps < kHandshakeStepsPerTurn;) {
    // What has begun is ended first, which gives back its memory; but the last steps of each turn
    // are for those who wait to begin.
    const bool may_begin = !beginning_handshakes_.empty() && begun < kHandshakesBegunPerTurn &&
                           handshakes_ < context_.options.tls.handshakes_max;
    const bool last = steps >= kHandshakeStepsPerTurn - kHandshakesBegunPerTurn;
    const bool begins = may_begin && (last || handshaking_.empty());
    if (!begins && handshaking_.empty()) break;
    std::deque<uring::Handle>& queue = begins ? beginning_handshakes_ : handshaking_;
    Connection* const connection = find(queue.front());
    queue.pop_front();
    if (connection == nullptr) continue;
    ++steps;
    begun += begins ? 1 : 0;
    take_handshake_step(*connection);
  }
  const bool room = handshakes_ < context_.options.tls.handshakes_max;
  return !handshaking_.empty() || (room && !beginning_handshakes_.empty());
}

void Requests::take_handshake_step(Connection& connection) {
  const uring::Handle handle = context_.table.handle(connection.at.slot);
  connection.at.handshake_queued = false;
  const bool begins = !connection.secure->session;
  if (begins && connection.at.ended_by_peer && connection.secure->arrived.front() == kTlsHello) {
    // It cannot end what it asks us to begin.
    context_.counters.handshakes_cut.add();
    abort(handle.slot);
    return;
  }
  if (begins && !begin_handshake(connection)) {
    (connection.at.over == Connection::Over::shard ? context_.counters.limited_connect
                                                   : context_.counters.limited_connect_address)
        .add();
    abort(handle.slot);
    return;
  }
  const std::string arrived = std::exchange(connection.secure->arrived, {});
  read_records(connection, arrived);
  if (&connection != find(handle)) return;
  resume_receive(connection);
  if (!connection.at.ended_by_peer) return;
  if (connection.at.in_handshake) {
    context_.counters.handshakes_cut.add();
    abort(handle.slot);
  } else {
    end_if_nothing_comes(connection);
  }
}

void Requests::read_records(Connection& connection, std::string_view records) {
  tls::Session& session = *connection.secure->session;
  const bool listens = session.state() == tls::SessionState::handshaking ||
                       session.state() == tls::SessionState::open;
  if (!listens) return;
  const std::size_t before = connection.input.size();
  const tls::SessionState state = session.feed(records, connection.input);
  if (session.has_output()) queue_output(connection);
  if (state == tls::SessionState::failed) {
    fail_tls(connection);
    return;
  }
  if (connection.at.in_handshake && state != tls::SessionState::handshaking) {
    end_handshake(connection);
    context_.counters.handshakes.add();
    if (session.resumed()) context_.counters.handshakes_resumed.add();
    set_deadline(connection, Deadline::head);
  }
  const uring::Handle handle = context_.table.handle(connection.at.slot);
  if (connection.input.size() > before) take_input(connection);
  if (state == tls::SessionState::half_closed && &connection == find(handle)) {
    end_of_input(connection);
  }
}

void Requests::fail_tls(Connection& connection) {
  Counters& counters = context_.counters;
  const bool answering = connection.at.state != Connection::State::reading;
  end_handshake(connection);
  // What was asked before is not answered any more.
  connection.output.clear();
  connection.input.clear();
  connection.at.input_used = 0;
  connection.at.next_queued = false;
  switch (connection.secure->session->fault()) {
    case tls::SessionFault::plain_http:
      counters.handshakes_plain_http.add();
      counters.responses_4xx.add();
      connection.secure.reset();
      connection.at.tls = false;
      prepare(connection);
      http::write_error(connection.output, 400, "this port speaks TLS: use https://", head(false));
      break;
    case tls::SessionFault::not_tls:
      counters.handshakes_not_tls.add();
      break;
    case tls::SessionFault::no_agreement:
      counters.handshakes_no_agreement.add();
      break;
    case tls::SessionFault::refused_by_client:
      counters.handshakes_refused_by_client.add();
      break;
    case tls::SessionFault::left:
      counters.handshakes_cut.add();
      break;
    case tls::SessionFault::protocol:
    case tls::SessionFault::none:
      counters.handshakes_broken.add();
      break;
  }
  if (answering) {
    abort(connection.at.slot);
    return;
  }
  // The alert is said, or what is in clear text, and nothing else.
  answer(connection, AfterOutput::close);
}

bool Requests::seal_output(Connection& connection) {
  tls::Session& session = *connection.secure->session;
  if (!connection.output.empty() && !session.write(connection.output)) return false;
  connection.output.clear();
  const bool last = connection.at.state == Connection::State::answering &&
                    connection.at.after == AfterOutput::close;
  if (last) session.close();
  if (session.has_output()) connection.secure->leaving += session.take_output();
  return true;
}

std::optional<std::string_view> Requests::outgoing(Connection& connection) {
  if (connection.secure && !seal_output(connection)) return std::nullopt;
  const std::string_view whole = connection.secure ? connection.secure->leaving : connection.output;
  return whole.substr(connection.at.output_sent);
}

std::uint64_t Requests::make_room_for_handshakes() {
  const DeadlineList& list = deadlines_[static_cast<std::size_t>(Deadline::handshake)];
  for (int ended = 0; !list.empty() && handshakes_crowded(); ++ended) {
    const Connection& oldest = pool_[list.front()];
    if (oldest.at.handshake_queued) break;  // it is us whom it waits for
    const std::uint64_t at = oldest.at.deadline_since_ns + kPatienceNs;
    if (at > context_.now.mono_ns) return at;
    if (ended == kEndedForRoomPerTurn) return context_.now.mono_ns;
    context_.counters.handshakes_late.add();
    abort(oldest.at.slot);
  }
  return 0;
}

}  // namespace ringcast::shard
