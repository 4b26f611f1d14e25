// Connections under TLS until they are streams: handshakes, and requests and answers as records.
// docs/design/tls.md.

#include <algorithm>
#include <utility>

#include "ringcast/base/assert.h"

#include "requests.h"

namespace ringcast::shard {
namespace {

// A step with a signature takes 0.2 to 0.5 ms; with RSA of 4096 bits up to 3 ms.
constexpr int kHandshakeStepsPerTurn = 4;
// With fewer places left than this part of all, a silent client makes room.
constexpr std::size_t kCrowdedShare = 8;
constexpr std::uint64_t kSilentNs = 2 * kNsPerSecond;
constexpr int kEndedForRoomPerTurn = 16;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::size_t Requests::handshakes_free() const {
  const std::size_t most = context_.options.tls.handshakes_max;
  return most - std::min(most, handshakes_);
}

void Requests::begin_handshake(Connection& connection) {
  connection.at.tls = true;
  connection.at.in_handshake = true;
  ++handshakes_;
  context_.counters.handshakes_open.add();
  set_deadline(connection, Deadline::handshake);
}

void Requests::end_handshake(Connection& connection) {
  if (!connection.at.in_handshake) return;
  connection.at.in_handshake = false;
  --handshakes_;
  context_.counters.handshakes_open.sub();
}

void Requests::on_records(Connection& connection, std::span<const std::byte> data) {
  // Whoever says nothing costs no `SSL` object.
  if (!connection.secure) {
    RC_ASSERT(context_.policy->tls != nullptr);
    connection.secure = std::make_unique<SecureConnection>(context_.policy->tls);
  }
  if (!connection.at.in_handshake) {
    read_records(connection, as_text(data));
    return;
  }
  std::string& arrived = connection.secure->arrived;
  arrived += as_text(data);
  if (!connection.at.handshake_queued) {
    connection.at.handshake_queued = true;
    handshaking_.push_back(context_.table.handle(connection.at.slot));
  }
  pause_if_too_much(connection);
}

bool Requests::go_on_with_handshakes() {
  for (int steps = 0; steps < kHandshakeStepsPerTurn && !handshaking_.empty();) {
    const uring::Handle handle = handshaking_.front();
    handshaking_.pop_front();
    Connection* const connection = find(handle);
    if (connection == nullptr) continue;
    ++steps;
    connection->at.handshake_queued = false;
    const std::string arrived = std::exchange(connection->secure->arrived, {});
    read_records(*connection, arrived);
    if (connection != find(handle)) continue;
    resume_receive(*connection);
    if (!connection->at.ended_by_peer) continue;
    if (connection->at.in_handshake) {
      context_.counters.handshakes_cut.add();
      abort(handle.slot);
    } else {
      end_if_nothing_comes(*connection);
    }
  }
  return !handshaking_.empty();
}

void Requests::read_records(Connection& connection, std::string_view records) {
  tls::Session& session = *connection.secure->session;
  const bool over =
      session.state() == tls::SessionState::failed || session.state() == tls::SessionState::closed;
  if (over) return;
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
  if (state == tls::SessionState::closed && &connection == find(handle)) end_of_input(connection);
}

void Requests::fail_tls(Connection& connection) {
  Counters& counters = context_.counters;
  const bool handshaking = connection.at.in_handshake;
  end_handshake(connection);
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
    case tls::SessionFault::protocol:
    case tls::SessionFault::none:
      counters.handshakes_broken.add();
      break;
  }
  if (!handshaking && connection.at.state != Connection::State::reading) {
    abort(connection.at.slot);  // in the middle of an answer
    return;
  }
  // Nothing but the alert can be said any more, or what is in clear text.
  answer(connection, AfterOutput::close);
}

void Requests::seal_output(Connection& connection) {
  tls::Session& session = *connection.secure->session;
  if (!connection.output.empty()) (void)session.write(connection.output);
  connection.output.clear();
  const bool last = connection.at.state == Connection::State::answering &&
                    connection.at.after == AfterOutput::close;
  if (last) session.close();
  if (session.has_output()) connection.secure->leaving += session.take_output();
}

std::string_view Requests::outgoing(Connection& connection) {
  if (connection.secure) seal_output(connection);
  const std::string_view whole = connection.secure ? connection.secure->leaving : connection.output;
  return whole.substr(connection.at.output_sent);
}

void Requests::say_goodbye(Connection& connection) {
  // A record after one that has left in part would be another's middle.
  if (!connection.secure || !connection.secure->leaving.empty()) return;
  tls::Session& session = *connection.secure->session;
  session.close();
  const std::string record = session.take_output();
  if (record.empty()) return;
  context_.ring.send(connection.at.slot, std::as_bytes(std::span(record)), 0);
  (void)context_.ring.flush_sends();  // as far as it goes: the end follows anyhow
}

std::uint64_t Requests::make_room_for_handshakes() {
  const std::size_t most = context_.options.tls.handshakes_max;
  const DeadlineList& list = deadlines_[static_cast<std::size_t>(Deadline::handshake)];
  for (int ended = 0; !list.empty() && handshakes_free() <= most / kCrowdedShare; ++ended) {
    Connection& oldest = pool_[list.front()];
    if (oldest.at.handshake_queued) break;  // it is us whom it waits for
    const std::uint64_t at = oldest.at.deadline_since_ns + kSilentNs;
    if (at > context_.now.mono_ns) return at;
    if (ended == kEndedForRoomPerTurn) return context_.now.mono_ns;
    context_.counters.handshakes_late.add();
    abort(oldest.at.slot);
  }
  return 0;
}

}  // namespace ringcast::shard
