// Streams that ask for events which the log no longer holds, or does not hold yet: pages of the
// event store's history, one after the other, until the log can take over. docs/design/redis.md.

#include <cstring>
#include <string>

#include "ringcast/base/assert.h"

#include "requests.h"
#include "server_events.h"

namespace ringcast::shard {
namespace {

sse::Wire wire_of(const Connection& connection) {
  return connection.parser.request().minor_version == 0 ? sse::Wire::plain : sse::Wire::chunked;
}

}  // namespace

void Requests::ask_history(Connection& connection) {
  connection.at.state = Connection::State::waiting;
  set_deadline(connection, Deadline::none);
  set_deadline(connection, Deadline::write);  // anew for each page
  if (history_places_used_ == context_.options.history_places) {
    waiting_for_place_.push_back(context_.table.handle(connection.at.slot));
    return;
  }
  send_history_command(connection);
}

void Requests::send_history_command(Connection& connection) {
  connection.at.history.holds_place = true;
  ++history_places_used_;
  const EventId after = connection.at.history.position;
  std::string data(sizeof after, '\0');
  std::memcpy(data.data(), &after, sizeof after);
  if (!send_command(connection, {.kind = hub::RecordKind::history}, {.data = data})) {
    handle_history(connection, hub::Outcome::not_taken, nullptr);
  }
}

void Requests::give_back_place(Connection& connection) {
  if (!connection.at.history.holds_place) return;
  connection.at.history.holds_place = false;
  --history_places_used_;
  // One that is refused at once gives its place back in here.
  if (giving_places_) return;
  giving_places_ = true;
  while (!waiting_for_place_.empty() && history_places_used_ < context_.options.history_places) {
    Connection* const next = find(waiting_for_place_.front());
    waiting_for_place_.pop_front();
    const bool waits =
        next != nullptr && next->waits_for_history() && !next->at.history.holds_place;
    if (waits) send_history_command(*next);
  }
  giving_places_ = false;
}

void Requests::give_up_page(Connection& connection) {
  set_deadline(connection, Deadline::none);
  connection.at.waits_for_position = 0;
  handle_history(connection, hub::Outcome::not_taken, nullptr);
}

void Requests::handle_history(Connection& connection, hub::Outcome outcome,
                              const hub::HistoryPage* page) {
  Connection::Progress::History& history = connection.at.history;
  RC_ASSERT(history.catching_up);
  const sse::Wire wire = wire_of(connection);
  if (outcome != hub::Outcome::done) {
    give_back_place(connection);  // it has no page, and may be slow
    if (!history.began) {
      prepare(connection);
      refuse(connection, {.reason = "older events cannot be read at the moment"});
      return;
    }
    end_history(connection, draining_ ? "drain" : "");
    return;
  }
  if (connection.at.ended_by_peer) {
    abort(connection.at.slot);
    return;
  }
  if (const std::string_view reason = streams_.over(connection.at.owner); !reason.empty()) {
    if (history.began) {
      end_history(connection, reason);
    } else {
      give_up_stream(connection);
      prepare(connection);
      context_.counters.tokens_refused.add();
      gate_.audit(auth::AuditAction::token_refused, connection, visitor_, {}, reason);
      answer_error(connection, 401, "unauthorized");
    }
    return;
  }
  if (!history.began) {
    history.began = true;
    http::write_stream_head(connection.output, connection.parser.request().minor_version,
                            head(true));
    streams_.begin_history(history.position, *page, wire, connection.output);
  }
  streams_.append_history(history.position, *page, connection.at.topic_set, wire,
                          connection.output);
  history.position = page->last;
  // What the hub delivered before the page is in the inbox by now.
  history.log_there_at.reset();
  if (page->at_end) history.log_there_at = context_.exchange.events().written();
  if (connection.output.empty()) {
    go_on_catching_up(connection);
  } else {
    answer(connection, AfterOutput::catch_up);
    set_deadline(connection, Deadline::page);
  }
}

void Requests::end_history(Connection& connection, std::string_view reason) {
  const sse::Wire wire = wire_of(connection);
  if (!reason.empty()) {
    const std::string data = reason_data(reason);
    sse::EventFields fields{.event = context_.options.stream.names.closing, .data = data};
    if (reason == "drain") fields.retry_ms = streams_.next_drain_retry_ms();
    append_event(connection.output, wire, std::nullopt, fields);
  }
  append_end(connection.output, wire);
  answer(connection, AfterOutput::close);
}

void Requests::go_on_catching_up(Connection& connection) {
  const uring::Slot slot = connection.at.slot;
  const Connection::Progress::History& history = connection.at.history;
  if (connection.at.ended_by_peer) {
    abort(slot);
    return;
  }
  const std::string_view over = draining_ ? "drain" : streams_.over(connection.at.owner);
  if (!over.empty()) {
    end_history(connection, over);
    return;
  }
  const RecordRing& inbox = context_.exchange.events();
  const bool at_end = history.log_there_at.has_value();
  const bool log_is_there =
      streams_.may_join(history.position) ||
      (at_end && inbox.position(context_.options.index) >= *history.log_there_at);
  if (log_is_there && streams_.join_at(slot, history.position)) {
    become_stream(connection);
  } else if (at_end && !log_is_there) {
    give_back_place(connection);
    connection.at.state = Connection::State::waiting;
    // Not `log_there_at`: those who wait stand in the order of what they wait for.
    connection.at.waits_for_position = inbox.written();
    waiting_for_log_.push_back(context_.table.handle(slot));
  } else {
    give_back_place(connection);
    ask_history(connection);
  }
}

void Requests::become_stream(Connection& connection) {
  const uring::Slot slot = connection.at.slot;
  if (connection.at.ended_by_peer) {
    abort(slot);
    return;
  }
  Streams::Opening opening{.topic_set = connection.at.topic_set,
                           .owner = connection.at.owner,
                           .wire = wire_of(connection)};
  if (connection.secure) {
    auto taken = context_.secure->take_over(std::move(connection.secure->session),
                                            context_.options.tls.records);
    if (!taken) {
      context_.counters.handshakes_broken.add();
      abort(slot);
      return;
    }
    opening.tls = std::move(*taken);
  }
  connection.at.stream_reserved = false;  // the stream's from now on
  const bool paused = connection.at.receive_paused;
  release(slot);
  streams_.open(slot, opening);
  const Stream& stream = context_.table[slot];
  const bool lives = stream.phase == Phase::stream;
  if (paused && lives && !stream.is(Armed::receive)) lifecycle_.arm_receive(slot);
}

}  // namespace ringcast::shard
