#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ringcast/auth/password_workers.h"
#include "ringcast/base/token_bucket.h"
#include "ringcast/http/response.h"
#include "ringcast/hub/publication.h"

#include "connection.h"
#include "context.h"
#include "gate.h"
#include "lifecycle.h"
#include "streams.h"

namespace ringcast::shard {

/// The request phase: bytes in, requests answered, publications handed to the hub, streams opened.
///
/// One request at a time on each connection; what arrives behind it waits in `input`, and when too
/// much waits the receive is paused, so that the client feels it. Answers leave at the end of the
/// turn.
class Requests {
 public:
  Requests(Context& context, Lifecycle& lifecycle, Streams& streams, std::size_t connections_max);

  /// Connections whose next request has begun, or is their first: it may ask for a stream.
  [[nodiscard]] std::size_t connections_busy() const {
    return pool_.size() - deadlines_[static_cast<std::size_t>(Deadline::keep_alive)].size();
  }
  [[nodiscard]] std::size_t connections_free() const { return pool_.free_count(); }
  /// How many more may come under TLS: those whose handshake is not over have half of all, so that
  /// a flood of them leaves the other half to plain listeners and to requests.
  [[nodiscard]] std::size_t tls_connections_free() const {
    return pool_.size_max() / 2 - std::min(pool_.size_max() / 2, in_handshake_);
  }

  void release_memory() { pool_.release_memory(); }

  void on_connected(const Lifecycle::Accepted& accepted);
  void on_receive(uring::Slot slot, std::int32_t result, std::span<const std::byte> data);
  void on_receive_end(uring::Slot slot);
  void on_cancelled(uring::Slot slot);
  void on_writable(uring::Slot slot);

  /// The policy of the context was replaced.
  void take_policy();

  /// Answers the publishers whose event has its ID, and those who signed out.
  void take_replies();
  /// Answers those whose password was checked.
  void take_verdicts();
  /// Answers those who named a position that this shard's log had not reached yet.
  void retry_waiting_for_log();
  /// Goes on with a few of the handshakes of TLS for which something has arrived: their
  /// cryptography takes as long as a hundred sends each, and streams go on in between. True when
  /// more wait.
  [[nodiscard]] bool go_on_with_handshakes();
  /// Looks at the next pipelined request of those who were answered: one for each connection in a
  /// turn, so that nobody who sends a thousand at once delays the others or the events.
  void begin_next_requests();
  /// Sends what is to be sent, within a bound, first come first served. True when it sent something
  /// or something is left: there is more to do in the next turn.
  [[nodiscard]] bool flush_output();
  [[nodiscard]] bool output_waits() const { return !with_output_.empty() || !with_next_.empty(); }
  /// True once after commands were written for the hub.
  [[nodiscard]] bool take_wrote_commands() { return std::exchange(wrote_commands_, false); }

  /// Ends connections whose deadline has passed. Returns the next deadline, or 0.
  [[nodiscard]] std::uint64_t expire_deadlines();
  /// When connections or slots run short, ends some connections that are without a request: idle
  /// ones first, then those that have said nothing for a while. Returns when to call again, or 0.
  [[nodiscard]] std::uint64_t make_room();
  /// Ends the idle ones, and those that wait for older events; the others end after their answer.
  void begin_drain();
  /// Ends the rest.
  void abort_all();

 private:
  using Handle = ConnectionPool::Handle;
  static constexpr int kEndedForRoomPerTurn = 16;

  [[nodiscard]] Connection& connection_of(uring::Slot slot) {
    return pool_[context_.table[slot].extra];
  }
  void advance(Connection& connection);
  void take_input(Connection& connection);
  void end_of_input(Connection& connection);
  void resume_receive(Connection& connection);
  void pause_if_too_much(Connection& connection);
  /// The peer has ended its direction: ends the connection unless something is still to be
  /// answered.
  void end_if_nothing_comes(Connection& connection);
  void handle(Connection& connection);
  /// Not the `first_try`: it waited for the log to reach its position.
  void handle_events(Connection& connection, const http::Request& request, bool first_try);
  void handle_publish(Connection& connection, const http::Request& request);
  void handle_login(Connection& connection, const http::Request& request);
  void handle_logout(Connection& connection, const http::Request& request);
  void handle_session(Connection& connection, const http::Request& request);
  void handle_other(Connection& connection, const http::Request& request);
  void handle_redirect(Connection& connection, const http::Request& request);
  void handle_preflight(Connection& connection, const http::Request& request);
  void handle_reply(const hub::Reply& reply, const hub::HistoryPage* page);

  // TLS: handshakes.cc.

  void expect_handshake(Connection& connection);
  /// Takes one of the places of `handshakes_max`. False: the client is not worth it.
  [[nodiscard]] bool begin_handshake(Connection& connection);
  void take_handshake_step(Connection& connection);
  void end_handshake(Connection& connection);
  void on_records(Connection& connection, std::span<const std::byte> data);
  void read_records(Connection& connection, std::string_view records);
  void fail_tls(Connection& connection);
  /// Encrypts what is to be said. False when nothing can be said any more.
  [[nodiscard]] bool seal_output(Connection& connection);
  /// What is to be sent, and was not: the output, or the records that it became. Nothing as above.
  [[nodiscard]] std::optional<std::string_view> outgoing(Connection& connection);
  /// The head of a stream that has missed events leaves with the first of them, which are sent in
  /// the same turn: one segment for both, and one wake-up of the client.
  [[nodiscard]] uring::Push push(const Connection& connection) const;
  [[nodiscard]] bool handshakes_crowded() const;
  /// Ends handshakes that take long when there is hardly room for others.
  [[nodiscard]] std::uint64_t make_room_for_handshakes();

  // A stream that asks for what the log does not hold: history.cc.

  /// Asks the hub for the page after the connection's position, now or when there is a place.
  void ask_history(Connection& connection);
  void send_history_command(Connection& connection);
  /// Goes on as if the hub had none.
  void give_up_page(Connection& connection);
  void handle_history(Connection& connection, hub::Outcome outcome, const hub::HistoryPage* page);
  /// The client has what it was sent: the next page, or the log.
  void go_on_catching_up(Connection& connection);
  void become_stream(Connection& connection);
  /// Ends it in good order; it has its cursor, and comes back with it. `reason` of the `closing`
  /// event, empty = without one.
  void end_history(Connection& connection, std::string_view reason);
  /// Gives back what was reserved for the stream that the request asked for.
  void give_up_stream(Connection& connection);
  /// The page is with the client, or the connection ends: another may ask.
  void give_back_place(Connection& connection);
  void handle_verdict(const auth::PasswordVerdict& verdict);

  struct Subscription {
    std::vector<sse::TopicId> topics;
    Streams::Position position;
    std::uint16_t status = 0;  ///< why not: 400 or 403
    std::string fault;
  };
  [[nodiscard]] Subscription read_subscription(const http::Request& request);
  /// Counts the stream among those of its address; false when it has too many.
  [[nodiscard]] bool reserve_owner(Connection& connection);
  /// A token of the client's address for a new connection, unless it has none left.
  [[nodiscard]] bool take_connect(const IpAddress& address);

  /// Fills `identity_`, or answers 401.
  [[nodiscard]] bool identify(Connection& connection, const http::Request& request);
  /// Answers 403 to a request that somebody else's page sent. True when it did.
  bool refuse_forged(Connection& connection, const http::Request& request);
  void refuse_origin(Connection& connection);
  /// Nobody waits for the verdict any more.
  void give_up_password(const Connection& connection);
  void refuse_login(Connection& connection, std::uint64_t wait_ns);

  /// Hands a command to the hub; the connection waits for the reply. False when there is no room.
  struct CommandParts {
    std::string_view event{};
    std::string_view topic{};
    std::string_view data{};
  };
  [[nodiscard]] bool send_command(Connection& connection, hub::Command command,
                                  const CommandParts& parts);

  /// The cookie with the token, or, without one, its removal.
  [[nodiscard]] std::string cookie(std::string_view token) const;

  /// Before an answer that was not prepared by `handle`: who asked, and the header lines for them.
  void prepare(const Connection& connection);
  [[nodiscard]] http::HeadFields head(bool keep_alive) { return {date(), keep_alive, lines_}; }
  void add_line(std::string_view name, std::string_view value);
  void add_request_id(const Connection& connection);

  /// The connection that the handle means, if it still is in its request phase.
  [[nodiscard]] Connection* find(uring::Handle handle);

  void answer(Connection& connection, AfterOutput after);
  void answer_error(Connection& connection, std::uint16_t status, std::string_view reason,
                    std::uint32_t retry_after_seconds = 0);
  /// Over a limit: what this client can use (R2).
  struct Refused {
    std::string_view reason;     ///< of a 503 in a drain it is another: that the server is stopping
    std::uint16_t status = 503;  ///< 429 when it is the client's own limit
    std::uint32_t retry_after_seconds = 5;
  };
  void refuse(Connection& connection, Refused refused);
  [[nodiscard]] bool keep_alive(const http::Request& request) const;
  [[nodiscard]] std::string_view date() { return date_.at(context_.now); }

  void queue_output(Connection& connection);
  void output_done(Connection& connection);
  void set_deadline(Connection& connection, Deadline kind);
  [[nodiscard]] std::uint64_t deadline_ns(Deadline kind) const;
  [[nodiscard]] bool room_is_short() const;
  [[nodiscard]] std::uint64_t make_room_for_connections();
  void expire(Connection& connection);

  /// Gives the connection back; the slot lives on.
  void release(uring::Slot slot);
  void abort(uring::Slot slot);
  /// Ends it in good order, under TLS with a close_notify. Not while it is being answered.
  void finish(uring::Slot slot);
  /// What is to be said was said.
  void finish_now(uring::Slot slot);

  Context& context_;
  Lifecycle& lifecycle_;
  Streams& streams_;
  ConnectionPool pool_;
  std::array<DeadlineList, kDeadlineKinds> deadlines_;
  Gate gate_;
  TokenBucket connect_bucket_;
  hub::PublicationParser publications_;
  http::DateCache date_;
  std::vector<uring::Handle> with_output_;
  std::vector<uring::Handle> sending_;
  std::vector<uring::Handle> with_next_;
  std::vector<uring::Handle> beginning_;
  // Something has arrived for them, and waits for its turn.
  std::deque<uring::Handle> beginning_handshakes_;
  std::deque<uring::Handle> handshaking_;
  std::size_t in_handshake_ = 0;               // or are to begin one
  std::size_t handshakes_ = 0;                 // under way
  std::deque<uring::Handle> waiting_for_log_;  // in the order of what they wait for
  // Of the request that is being answered.
  Visitor visitor_;
  Identity identity_;
  std::string lines_;  // of its head
  std::string decoded_;
  std::string position_text_;  // what the subscription's position views
  std::unordered_map<std::uint64_t, uring::Handle> waiting_for_password_;  // by request ID
  std::vector<auth::PasswordVerdict> verdicts_;
  std::uint64_t requests_ = 0;
  std::size_t commands_in_flight_ = 0;
  std::deque<uring::Handle> waiting_for_place_;  // to ask for history
  std::size_t history_places_used_ = 0;
  bool giving_places_ = false;
  std::uint32_t refusals_ = 0;
  bool wrote_commands_ = false;
  bool draining_ = false;
};

}  // namespace ringcast::shard
