// What each request is answered with; the mechanics are in requests.cc.

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "ringcast/base/assert.h"
#include "ringcast/http/query.h"
#include "ringcast/page/assets.h"

#include "requests.h"
#include "server_events.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kEventIdHeaderMax = 64;  // longer is refused unread
constexpr std::uint32_t kOverloadRetrySeconds = 1;
constexpr std::uint32_t kFullRetrySeconds = 5;

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  return same_ignoring_case(type, "application/json");
}

}  // namespace

bool Requests::keep_alive(const http::Request& request) const {
  return request.keep_alive && !draining_;
}

void Requests::handle(Connection& connection) {
  const http::Request& request = connection.parser.request();
  const bool wants_stream = request.path == "/events" && request.method == http::Method::get;
  if (connection.at.over_connect_limit) {
    refuse(connection, "too many new connections", wants_stream);
  } else if (wants_stream) {
    handle_events(connection, request);
  } else if (request.path == "/publish" && request.method == http::Method::post) {
    handle_publish(connection, request);
  } else {
    handle_other(connection, request);
  }
}

void Requests::answer_error(Connection& connection, std::uint16_t status, std::string_view reason,
                            std::uint32_t retry_after_seconds) {
  const bool keep = keep_alive(connection.parser.request());
  (status >= 500 ? context_.counters.responses_5xx : context_.counters.responses_4xx).add();
  const bool head_only = connection.parser.request().method == http::Method::head;
  http::write_error(connection.output, status, reason, date(), keep, retry_after_seconds,
                    head_only);
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::refuse(Connection& connection, std::string_view reason, bool wants_stream) {
  context_.counters.streams_refused.add();
  const http::Request& request = connection.parser.request();
  const Refusal refusal = context_.options.limits.refusal;
  const bool as_stream =
      wants_stream && (refusal == Refusal::retry ||
                       (refusal == Refusal::automatic &&
                        request.accept.find("text/event-stream") != std::string_view::npos));
  if (!as_stream) {
    context_.counters.responses_5xx.add();
    http::write_error(connection.output, 503, reason, date(), false, kFullRetrySeconds,
                      request.method == http::Method::head);
    answer(connection, AfterOutput::close);
    return;
  }
  // Between one and three times the usual wait, spread evenly over those who are refused.
  const std::uint32_t retry_ms = context_.options.stream.retry_ms;
  const std::uint32_t spread_ms = std::max<std::uint32_t>(2 * retry_ms, 1000);
  constexpr std::uint32_t kGoldenFraction = 2654435769;  // 2^32 / golden ratio
  const std::uint64_t turn = static_cast<std::uint32_t>(++refusals_ * kGoldenFraction);
  const auto jitter_ms = static_cast<std::uint32_t>(turn * spread_ms >> 32);
  const sse::Wire wire = request.minor_version == 0 ? sse::Wire::plain : sse::Wire::chunked;
  const std::string data = reason_data(reason);
  http::write_stream_head(connection.output, request.minor_version, date());
  append_event(connection.output, wire, std::nullopt,
               {.event = context_.options.stream.names.refused,
                .data = data,
                .retry_ms = retry_ms + jitter_ms});
  append_end(connection.output, wire);
  answer(connection, AfterOutput::close);
}

Requests::Subscription Requests::read_subscription(const http::Request& request) {
  Subscription wanted;
  http::QueryFields fields(request.query);
  position_text_.clear();
  std::size_t topics = 0;
  while (const auto field = fields.next()) {
    if (field->name != "topic" && field->name != "last_event_id") continue;
    if (!http::percent_decode(field->value, decoded_)) {
      wanted.fault = std::string(field->name == "topic" ? "topic" : "last_event_id") +
                     ": has a broken percent escape";
      return wanted;
    }
    if (field->name == "last_event_id") {
      position_text_ = decoded_;
      continue;
    }
    if (const std::string_view fault = hub::topic_fault(decoded_); !fault.empty()) {
      wanted.fault = "topic: " + std::string(fault);
      return wanted;
    }
    if (++topics > kTopicsPerStreamMax) {
      wanted.fault = "topic: more than 64 of them";
      return wanted;
    }
    wanted.topics.push_back(context_.topics.intern(decoded_, topic_hash(decoded_)));
  }
  const bool by_header = request.last_event_id && !request.last_event_id->empty();
  if (by_header) position_text_ = *request.last_event_id;
  wanted.position = {.asked = !position_text_.empty(), .text = position_text_};
  if (position_text_.size() > kEventIdHeaderMax) {
    wanted.fault =
        by_header ? "Last-Event-ID: longer than 64 bytes" : "last_event_id: longer than 64 bytes";
  }
  return wanted;
}

void Requests::retry_waiting_for_log() {
  // In the order of what they wait for, so the first one that must go on waiting ends the search.
  const std::uint64_t reached = context_.exchange.events().position(context_.options.index);
  while (!waiting_for_log_.empty()) {
    Connection* const connection = find(waiting_for_log_.front());
    const bool waits = connection != nullptr && connection->at.waits_for_position != 0;
    if (waits && connection->at.waits_for_position > reached) return;
    waiting_for_log_.pop_front();
    if (waits) handle_events(*connection, connection->parser.request());
  }
}

void Requests::handle_events(Connection& connection, const http::Request& request) {
  Subscription wanted = read_subscription(request);
  std::sort(wanted.topics.begin(), wanted.topics.end());
  wanted.topics.erase(std::unique(wanted.topics.begin(), wanted.topics.end()), wanted.topics.end());
  // Another shard may have been faster: then the event is on its way to this one, among what waits
  // in the inbox at this moment, and not an unknown position. Once that is read, the log decides.
  const bool ahead = wanted.fault.empty() && connection.at.waits_for_position == 0 &&
                     streams_.is_ahead_of_log(wanted.position);
  if (ahead || !wanted.fault.empty() || draining_ || !streams_.reserve()) {
    for (const sse::TopicId topic : wanted.topics) context_.topics.release_unused(topic);
    if (!wanted.fault.empty()) {
      answer_error(connection, 400, wanted.fault);
    } else if (ahead) {
      connection.at.state = Connection::State::waiting;
      connection.at.waits_for_position = context_.exchange.events().written();
      set_deadline(connection, Deadline::write);
      waiting_for_log_.push_back(context_.table.handle(connection.at.slot));
    } else {
      refuse(connection, draining_ ? "the server is stopping" : "no room for more streams", true);
    }
    return;
  }
  connection.at.stream_reserved = true;
  connection.at.topic_set = context_.sets.intern(std::move(wanted.topics));
  const sse::Wire wire = request.minor_version == 0 ? sse::Wire::plain : sse::Wire::chunked;
  http::write_stream_head(connection.output, request.minor_version, date());
  streams_.begin(connection.at.slot, wanted.position, wire, connection.output);
  answer(connection, AfterOutput::become_stream);
}

void Requests::handle_publish(Connection& connection, const http::Request& request) {
  if (!is_json(request.content_type)) {
    context_.counters.publishes_refused.add();
    answer_error(connection, 415, "Content-Type: must be application/json");
    return;
  }
  const auto parsed = publications_.parse(request.body);
  if (!parsed) {
    context_.counters.publishes_refused.add();
    answer_error(connection, 400, parsed.error().message);
    return;
  }
  const hub::Publication& publication = parsed.value();
  const hub::PublishCommand command{
      .origin = context_.table.handle(connection.at.slot),
      .serial = connection.serial,
      .event_bytes = static_cast<std::uint32_t>(publication.event.size()),
      .topic_bytes = static_cast<std::uint32_t>(publication.topic.size()),
      .data_bytes = static_cast<std::uint32_t>(publication.data.size()),
      .retry_ms = publication.retry_ms.value_or(0),
      .has_retry = publication.retry_ms.has_value()};
  const std::size_t bytes = sizeof command + publication.event.size() + publication.topic.size() +
                            publication.data.size();
  std::span<std::byte> record;
  if (publishes_in_flight_ < context_.exchange.options().publishes_in_flight) {
    record = context_.port.commands->reserve(bytes);
  }
  if (record.empty()) {
    context_.counters.publishes_overloaded.add();
    answer_error(connection, 503, "too many events are waiting to be sent", kOverloadRetrySeconds);
    return;
  }
  std::memcpy(record.data(), &command, sizeof command);
  std::byte* at = record.data() + sizeof command;
  for (const std::string_view part : {publication.event, publication.topic, publication.data}) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  context_.port.commands->commit(bytes);
  ++publishes_in_flight_;
  wrote_commands_ = true;
  connection.at.state = Connection::State::waiting;
  connection.at.reply_keep_alive = request.keep_alive;
}

void Requests::take_replies() {
  hub::PublishReply reply;
  while (context_.port.replies.try_pop(reply)) {
    --publishes_in_flight_;
    context_.counters.publishes_accepted.add();
    handle_reply(reply);
  }
}

void Requests::handle_reply(const hub::PublishReply& reply) {
  // The connection may be gone, and its slot another's: then the event stands and nobody hears of
  // it.
  Connection* const found = find(reply.origin);
  if (found == nullptr) return;
  Connection& connection = *found;
  if (connection.serial != reply.serial || connection.at.state != Connection::State::waiting) {
    return;
  }
  const bool keep = connection.at.reply_keep_alive && !draining_;
  std::array<char, kEventIdTextMax> id;
  const std::size_t length = format_event_id(reply.id, id);
  http::ResponseWriter(connection.output, 204, date(), keep)
      .header("Event-Id", {id.data(), length})
      .no_body();
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::handle_other(Connection& connection, const http::Request& request) {
  const bool keep = keep_alive(request);
  const auto done = [&] {
    answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
  };
  if (request.method == http::Method::options) {
    http::ResponseWriter(connection.output, 204, date(), keep)
        .header("Allow", "GET, HEAD, POST, OPTIONS")
        .no_body();
    done();
    return;
  }
  const bool get = request.method == http::Method::get || request.method == http::Method::head;
  const page::Asset* const asset = page::find_asset(request.path);
  if (asset != nullptr && get) {
    const bool known = request.if_none_match == asset->etag;
    http::ResponseWriter writer(connection.output, known ? 304 : 200, date(), keep);
    writer.header("ETag", asset->etag)
        .header("Cache-Control", "no-cache")
        .header("X-Content-Type-Options", "nosniff")
        .header("Referrer-Policy", "no-referrer")
        .header("Content-Security-Policy", page::kContentSecurityPolicy);
    if (known) {
      writer.no_body();
    } else {
      writer.body(asset->content_type, asset->bytes, request.method == http::Method::head);
    }
    done();
    return;
  }
  const char* const allow = asset != nullptr             ? "GET, HEAD, OPTIONS"
                            : request.path == "/events"  ? "GET, OPTIONS"
                            : request.path == "/publish" ? "POST, OPTIONS"
                                                         : nullptr;
  if (allow == nullptr) {
    answer_error(connection, 404, "there is nothing at this path");
    return;
  }
  context_.counters.responses_4xx.add();
  http::ResponseWriter(connection.output, 405, date(), keep)
      .header("Allow", allow)
      .body("application/json", R"({"error":"this path does not take this method"})",
            request.method == http::Method::head);
  done();
}

}  // namespace ringcast::shard
