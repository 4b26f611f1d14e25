#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringcast/base/token_bucket.h"
#include "ringcast/http/response.h"
#include "ringcast/hub/publication.h"

#include "connection.h"
#include "context.h"
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

  [[nodiscard]] std::size_t connections_free() const { return pool_.free_count(); }

  void on_connected(uring::Slot slot);
  void on_receive(uring::Slot slot, std::int32_t result, std::span<const std::byte> data);
  void on_receive_end(uring::Slot slot);
  void on_cancelled(uring::Slot slot);
  void on_writable(uring::Slot slot);

  /// Answers the publishers whose event has its ID.
  void take_replies();
  /// Answers those who named a position that this shard's log had not reached yet.
  void retry_waiting_for_log();
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
  /// Ends the idle ones; the others end after their answer.
  void begin_drain();
  /// Ends the rest.
  void abort_all();

 private:
  using Handle = ConnectionPool::Handle;

  [[nodiscard]] Connection& connection_of(uring::Slot slot) {
    return pool_[context_.table[slot].extra];
  }
  void advance(Connection& connection);
  void resume_receive(Connection& connection);
  /// The peer has ended its direction: ends the connection unless something is still to be
  /// answered.
  void end_if_nothing_comes(Connection& connection);
  void handle(Connection& connection);
  void handle_events(Connection& connection, const http::Request& request);
  void handle_publish(Connection& connection, const http::Request& request);
  void handle_other(Connection& connection, const http::Request& request);
  void handle_reply(const hub::PublishReply& reply);

  struct Subscription {
    std::vector<sse::TopicId> topics;
    Streams::Position position;
    std::string fault;  ///< why not, or empty
  };
  [[nodiscard]] Subscription read_subscription(const http::Request& request);

  /// The connection that the handle means, if it still is in its request phase.
  [[nodiscard]] Connection* find(uring::Handle handle);

  void answer(Connection& connection, AfterOutput after);
  void answer_error(Connection& connection, std::uint16_t status, std::string_view reason,
                    std::uint32_t retry_after_seconds = 0);
  /// Over a limit: what this client can use (R2).
  void refuse(Connection& connection, std::string_view reason, bool wants_stream);
  [[nodiscard]] bool keep_alive(const http::Request& request) const;
  [[nodiscard]] std::string_view date() { return date_.at(context_.now); }

  void queue_output(Connection& connection);
  void output_done(Connection& connection);
  void set_deadline(Connection& connection, Deadline kind);
  [[nodiscard]] std::uint64_t deadline_ns(Deadline kind) const;
  [[nodiscard]] bool room_is_short() const;
  void expire(Connection& connection);

  /// Gives the connection back; the slot lives on.
  void release(uring::Slot slot);
  void abort(uring::Slot slot);
  void finish(uring::Slot slot);

  Context& context_;
  Lifecycle& lifecycle_;
  Streams& streams_;
  ConnectionPool pool_;
  std::array<DeadlineList, kDeadlineKinds> deadlines_;
  TokenBucket connect_bucket_;
  hub::PublicationParser publications_;
  http::DateCache date_;
  std::vector<uring::Handle> with_output_;
  std::vector<uring::Handle> sending_;
  std::vector<uring::Handle> with_next_;
  std::vector<uring::Handle> beginning_;
  std::deque<uring::Handle> waiting_for_log_;  // in the order of what they wait for
  std::string decoded_;
  std::string position_text_;  // what the subscription's position views
  std::size_t publishes_in_flight_ = 0;
  std::uint32_t refusals_ = 0;
  bool wrote_commands_ = false;
  bool draining_ = false;
};

}  // namespace ringcast::shard
