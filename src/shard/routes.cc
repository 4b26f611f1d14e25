// What each request is answered with; the mechanics are in requests.cc.

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "ringcast/base/assert.h"
#include "ringcast/http/media_type.h"
#include "ringcast/http/query.h"
#include "ringcast/http/redirect.h"
#include "ringcast/page/assets.h"

#include "requests.h"
#include "server_events.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kEventIdHeaderMax = 64;  // longer is refused unread
constexpr std::uint32_t kOverloadRetrySeconds = 1;
constexpr std::uint32_t kAddressRetrySeconds = 5;

bool wants_stream(const http::Request& request) {
  return request.path == "/events" && request.method == http::Method::get;
}

std::string_view not_done(const hub::Reply& reply) {
  if (reply.kind == hub::RecordKind::sign_out) {
    return "signed out on this server; the others take the token until Redis can tell them";
  }
  return reply.outcome == hub::Outcome::unknown
             ? "Redis has not confirmed the event: it may have been taken"
             : "the event was not taken: Redis does not take events at the moment";
}

std::string named(std::string_view before, std::string_view topic) {
  std::string text = "topic: you may not ";
  text += before;
  if (topic.empty()) return text += " the public room";
  text += " \"";
  text += topic;
  return text += '"';
}

}  // namespace

// --- what answers have in common

bool Requests::keep_alive(const http::Request& request) const {
  return request.keep_alive && !draining_;
}

void Requests::prepare(const Connection& connection) {
  visitor_ = gate_.visitor(connection, connection.parser.request());
  lines_.clear();
  context_.policy->cors.append_lines(lines_, visitor_.origin ? &*visitor_.origin : nullptr);
}

void Requests::add_line(std::string_view name, std::string_view value) {
  lines_ += name;
  lines_ += ": ";
  lines_ += value;
  lines_ += "\r\n";
}

void Requests::add_request_id(const Connection& connection) {
  add_line("X-Request-Id", auth::request_id_text(connection.at.request_id));
}

void Requests::answer_error(Connection& connection, std::uint16_t status, std::string_view reason,
                            std::uint32_t retry_after_seconds) {
  const bool keep = keep_alive(connection.parser.request());
  (status >= 500 ? context_.counters.responses_5xx : context_.counters.responses_4xx).add();
  if (status == 401) add_line("WWW-Authenticate", "Bearer");  // RFC 9110 section 11.6.1
  add_request_id(connection);
  const bool head_only = connection.parser.request().method == http::Method::head;
  http::write_error(connection.output, status, reason, head(keep), retry_after_seconds, head_only);
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::refuse(Connection& connection, Refused refused) {
  if (draining_ && refused.status == 503) refused.reason = "the server is stopping";
  context_.counters.streams_refused.add();
  const http::Request& request = connection.parser.request();
  const Refusal refusal = context_.policy->limits.refusal;
  const bool as_stream = wants_stream(request) &&
                         (refusal == Refusal::retry ||
                          (refusal == Refusal::automatic &&
                           request.accept.find("text/event-stream") != std::string_view::npos));
  if (!as_stream) {
    (refused.status >= 500 ? context_.counters.responses_5xx : context_.counters.responses_4xx)
        .add();
    add_request_id(connection);
    http::write_error(connection.output, refused.status, refused.reason, head(false),
                      refused.retry_after_seconds, request.method == http::Method::head);
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
  const std::string data = reason_data(refused.reason);
  add_request_id(connection);
  http::write_stream_head(connection.output, request.minor_version, head(false));
  append_event(connection.output, wire, std::nullopt,
               {.event = context_.options.stream.names.refused,
                .data = data,
                .retry_ms = retry_ms + jitter_ms});
  append_end(connection.output, wire);
  answer(connection, AfterOutput::close);
}

bool Requests::identify(Connection& connection, const http::Request& request) {
  const std::string_view fault = gate_.identify(request, identity_);
  if (fault.empty()) return true;
  context_.counters.tokens_refused.add();
  gate_.audit(auth::AuditAction::token_refused, connection, visitor_, {}, fault);
  answer_error(connection, 401, "unauthorized");
  return false;
}

void Requests::refuse_origin(Connection& connection) {
  context_.counters.origins_refused.add();
  const http::Request& request = connection.parser.request();
  gate_.audit(auth::AuditAction::origin_refused, connection, visitor_, {},
              request.origin.empty() ? "absent, " + std::string(request.sec_fetch_site)
                                     : std::string(request.origin));
  answer_error(connection, 403, "this origin may not do that");
}

bool Requests::refuse_forged(Connection& connection, const http::Request& request) {
  if (!gate_.is_forged(visitor_, request)) return false;
  refuse_origin(connection);
  return true;
}

bool Requests::take_connect(const IpAddress& address) {
  const std::uint32_t limit = context_.policy->limits.connect_per_second_per_address;
  return context_.services.addresses.try_take(
             gate_.address_key(address), static_cast<std::size_t>(AddressBucket::connect),
             TokenRate::per_second(limit, limit), context_.now) == 0;
}

// --- routes

void Requests::handle(Connection& connection) {
  const http::Request& request = connection.parser.request();
  connection.at.request_id = context_.services.request_id_base +
                             (std::uint64_t{context_.options.index} << 40) + ++requests_;
  prepare(connection);
  const bool post = request.method == http::Method::post;
  if (!visitor_.secure && !context_.policy->redirect_to.empty()) {
    handle_redirect(connection, request);
  } else if (connection.at.over == Connection::Over::shard) {
    context_.counters.limited_connect.add();
    refuse(connection, {.reason = "too many new connections"});
  } else if (connection.at.over == Connection::Over::address) {
    context_.counters.limited_connect_address.add();
    refuse(connection, {.reason = "too many new connections from your address", .status = 429});
  } else if (wants_stream(request)) {
    handle_events(connection, request, true);
  } else if (request.path == "/publish" && post) {
    handle_publish(connection, request);
  } else if (request.path == "/login" && post) {
    handle_login(connection, request);
  } else if (request.path == "/logout" && post) {
    handle_logout(connection, request);
  } else if (request.path == "/session" && request.method == http::Method::get) {
    handle_session(connection, request);
  } else {
    handle_other(connection, request);
  }
}

void Requests::handle_redirect(Connection& connection, const http::Request& request) {
  const std::string& origin = context_.policy->redirect_to;
  const auto location = http::moved_to(origin, request);
  const bool reads = request.method == http::Method::get || request.method == http::Method::head;
  if (!reads || !location) {
    // What was sent in clear text is not to be sent again unnoticed.
    answer_error(connection, 403, "not over plain HTTP: use " + origin);
    return;
  }
  context_.counters.redirects.add();
  const bool keep = keep_alive(request);
  http::ResponseWriter(connection.output, 308, head(keep))
      .header("Location", *location)
      .header("Cache-Control", "no-cache")  // else browsers keep it for ever
      .body("text/plain; charset=utf-8", "moved to HTTPS\n", request.method == http::Method::head);
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

Requests::Subscription Requests::read_subscription(const http::Request& request) {
  Subscription wanted;
  const auto fault = [&wanted](std::uint16_t status, std::string text) {
    wanted.status = status;
    wanted.fault = std::move(text);
    return wanted;
  };
  http::QueryFields fields(request.query);
  position_text_.clear();
  std::size_t topics = 0;
  while (const auto field = fields.next()) {
    if (field->name != "topic" && field->name != "last_event_id") continue;
    if (!http::percent_decode(field->value, decoded_)) {
      return fault(400, std::string(field->name == "topic" ? "topic" : "last_event_id") +
                            ": has a broken percent escape");
    }
    if (field->name == "last_event_id") {
      position_text_ = decoded_;
      continue;
    }
    if (const std::string_view bad = hub::topic_fault(decoded_); !bad.empty()) {
      return fault(400, "topic: " + std::string(bad));
    }
    if (++topics > kTopicsPerStreamMax) return fault(400, "topic: more than 64 of them");
    if (!identity_.may_read(decoded_)) return fault(403, named("read", decoded_));
    wanted.topics.push_back(context_.topics.intern(decoded_, topic_hash(decoded_)));
  }
  const bool by_header = request.last_event_id && !request.last_event_id->empty();
  if (by_header) position_text_ = *request.last_event_id;
  wanted.position = {.asked = !position_text_.empty(), .text = position_text_};
  if (position_text_.size() > kEventIdHeaderMax) {
    return fault(400, by_header ? "Last-Event-ID: longer than 64 bytes"
                                : "last_event_id: longer than 64 bytes");
  }
  if (identity_.signed_in) {
    decoded_ = auth::kUserTopicPrefix;
    decoded_ += identity_.claims.user;
    wanted.topics.push_back(context_.topics.intern(decoded_, topic_hash(decoded_)));
  }
  return wanted;
}

bool Requests::reserve_owner(Connection& connection) {
  const std::uint32_t most = context_.policy->limits.streams_per_address;
  Owner owner{.slot = connection.at.slot, .ends_s = Owners::kNever};
  if (most != 0) {
    owner.address = gate_.address_key(visitor_.address);
    owner.holds_address = context_.services.addresses.try_hold(owner.address, most);
    if (!owner.holds_address) return false;
  }
  if (identity_.signed_in) {
    // By the monotonic clock from now on: a step of the wall clock ends no stream.
    // The leeway is for clocks that differ when a token is shown; what is open ends at `exp`.
    const auto now_ms = static_cast<std::int64_t>(context_.now.unix_ms);
    auto left_ms = static_cast<std::int64_t>(identity_.claims.expires_ms) - now_ms;
    const std::int64_t leeway_ms =
        std::int64_t{1000} * context_.policy->access->tokens.leeway_seconds;
    if (left_ms > leeway_ms) left_ms -= leeway_ms;
    const std::uint64_t ends_ms =
        context_.now.mono_ms() + static_cast<std::uint64_t>(std::max<std::int64_t>(left_ms, 0));
    owner.session = identity_.claims.session;
    owner.ends_s = static_cast<std::uint32_t>(
        std::min<std::uint64_t>((ends_ms + 999) / 1000, Owners::kNever - 1));
  }
  if (owner.holds_address || identity_.signed_in) {
    connection.at.owner = context_.owners.add(owner);
  }
  return true;
}

void Requests::retry_waiting_for_log() {
  // In the order of what they wait for, so the first one that must go on waiting ends the search.
  const std::uint64_t reached = context_.exchange.events().position(context_.options.index);
  while (!waiting_for_log_.empty()) {
    Connection* const connection = find(waiting_for_log_.front());
    const bool waits = connection != nullptr && connection->at.waits_for_position != 0;
    if (waits && connection->at.waits_for_position > reached) return;
    waiting_for_log_.pop_front();
    if (!waits) continue;
    connection->at.waits_for_position = 0;
    if (connection->at.history.catching_up) {
      go_on_catching_up(*connection);
      continue;
    }
    prepare(*connection);
    handle_events(*connection, connection->parser.request(), false);
  }
}

void Requests::handle_events(Connection& connection, const http::Request& request, bool first_try) {
  if (visitor_.from == Visitor::From::foreign && !Gate::has_bearer(request)) {
    refuse_origin(connection);
    return;
  }
  if (!identify(connection, request)) return;
  // A proxy's connections are its own; what a client does through it is opening streams.
  if (first_try && visitor_.by_proxy && !take_connect(visitor_.address)) {
    context_.counters.limited_connect_address.add();
    refuse(connection, {.reason = "too many new streams from your address", .status = 429});
    return;
  }
  Subscription wanted = read_subscription(request);
  std::sort(wanted.topics.begin(), wanted.topics.end());
  wanted.topics.erase(std::unique(wanted.topics.begin(), wanted.topics.end()), wanted.topics.end());
  // Another shard may have been faster: then the event is on its way to this one, among what waits
  // in the inbox at this moment, and not an unknown position. Once that is read, the log decides.
  const bool ahead = wanted.fault.empty() && first_try && streams_.is_ahead_of_log(wanted.position);
  const bool room = wanted.fault.empty() && !ahead && !draining_ && streams_.reserve();
  const bool welcome = room && reserve_owner(connection);
  if (!welcome) {
    for (const sse::TopicId topic : wanted.topics) context_.topics.release_unused(topic);
    if (wanted.status == 403) {
      context_.counters.forbidden.add();
      gate_.audit(auth::AuditAction::forbidden, connection, visitor_, identity_.claims.user,
                  wanted.fault);
    }
    if (!wanted.fault.empty()) {
      answer_error(connection, wanted.status, wanted.fault);
    } else if (ahead) {
      connection.at.state = Connection::State::waiting;
      connection.at.waits_for_position = context_.exchange.events().written();
      set_deadline(connection, Deadline::write);
      waiting_for_log_.push_back(context_.table.handle(connection.at.slot));
    } else if (room) {
      streams_.unreserve();
      context_.counters.limited_streams_address.add();
      refuse(connection, {.reason = "too many streams from your address",
                          .status = 429,
                          .retry_after_seconds = kAddressRetrySeconds});
    } else {
      refuse(connection, {.reason = "no room for more streams"});
    }
    return;
  }
  connection.at.stream_reserved = true;
  connection.at.topic_set = context_.sets.intern(std::move(wanted.topics));
  if (const auto requested = streams_.beyond_log(wanted.position)) {
    // Publishers and new streams need connections too.
    if (context_.counters.streams_catching_up.get() >= pool_.size_max() / 2) {
      give_up_stream(connection);
      refuse(connection, {.reason = "too many streams read older events at the moment"});
      return;
    }
    connection.at.history = {.position = *requested, .catching_up = true};
    context_.counters.streams_catching_up.add();
    ask_history(connection);
    return;
  }
  const sse::Wire wire = request.minor_version == 0 ? sse::Wire::plain : sse::Wire::chunked;
  http::write_stream_head(connection.output, request.minor_version, head(true));
  streams_.begin(connection.at.slot, wanted.position, wire, connection.output);
  answer(connection, AfterOutput::become_stream);
}

void Requests::handle_publish(Connection& connection, const http::Request& request) {
  if (context_.policy->access->required && refuse_forged(connection, request)) return;
  if (!identify(connection, request)) return;
  const std::uint32_t limit = context_.policy->limits.publish_per_second_per_user;
  const RateTable::Key publisher = identity_.signed_in ? gate_.user_key(identity_.claims.user)
                                                       : gate_.address_key(visitor_.address);
  if (const std::uint64_t wait_ns =
          context_.services.users.try_take(publisher, static_cast<std::size_t>(UserBucket::publish),
                                           TokenRate::per_second(limit, limit), context_.now);
      wait_ns != 0) {
    context_.counters.limited_publish_user.add();
    answer_error(connection, 429, "you publish too fast", whole_seconds(wait_ns));
    return;
  }
  if (!http::is_media_type(request.content_type, "application/json")) {
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
  if (!identity_.may_publish(publication.topic)) {
    context_.counters.forbidden.add();
    const std::string reason = named("publish to", publication.topic);
    gate_.audit(auth::AuditAction::forbidden, connection, visitor_, identity_.claims.user, reason);
    answer_error(connection, 403, reason);
    return;
  }
  const hub::Command command{.kind = hub::RecordKind::event,
                             .retry_ms = publication.retry_ms.value_or(0),
                             .has_retry = publication.retry_ms.has_value()};
  if (!send_command(
          connection, command,
          {.event = publication.event, .topic = publication.topic, .data = publication.data})) {
    context_.counters.publishes_overloaded.add();
    answer_error(connection, 503, "too many events are waiting to be sent", kOverloadRetrySeconds);
  }
}

bool Requests::send_command(Connection& connection, hub::Command command,
                            const CommandParts& parts) {
  command.origin = context_.table.handle(connection.at.slot);
  command.serial = connection.serial;
  command.event_bytes = static_cast<std::uint32_t>(parts.event.size());
  command.topic_bytes = static_cast<std::uint32_t>(parts.topic.size());
  command.data_bytes = static_cast<std::uint32_t>(parts.data.size());
  const std::size_t bytes =
      sizeof command + parts.event.size() + parts.topic.size() + parts.data.size();
  if (commands_in_flight_ == context_.exchange.options().publishes_in_flight) return false;
  const std::span<std::byte> record = context_.port.commands->reserve(bytes);
  if (record.empty()) return false;
  std::memcpy(record.data(), &command, sizeof command);
  std::byte* at = record.data() + sizeof command;
  for (const std::string_view part : {parts.event, parts.topic, parts.data}) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  context_.port.commands->commit(bytes);
  ++commands_in_flight_;
  wrote_commands_ = true;
  connection.at.state = Connection::State::waiting;
  connection.at.reply_keep_alive = connection.parser.request().keep_alive;
  return true;
}

void Requests::take_replies() {
  hub::Reply reply;
  while (context_.port.replies.try_pop(reply)) {
    --commands_in_flight_;
    const std::unique_ptr<hub::HistoryPage> page(reply.page);
    handle_reply(reply, page.get());
  }
}

void Requests::handle_reply(const hub::Reply& reply, const hub::HistoryPage* page) {
  const bool done = reply.outcome == hub::Outcome::done;
  if (reply.kind == hub::RecordKind::event) {
    (done ? context_.counters.publishes_accepted : context_.counters.publishes_overloaded).add();
  }
  // The connection may be gone, and its slot another's: then the event stands and nobody hears of
  // it.
  Connection* const found = find(reply.origin);
  if (found == nullptr) return;
  Connection& connection = *found;
  if (connection.serial != reply.serial || connection.at.state != Connection::State::waiting) {
    return;
  }
  const bool keep = connection.at.reply_keep_alive && !draining_;
  prepare(connection);
  if (reply.kind == hub::RecordKind::history) {
    handle_history(connection, reply.outcome, page);
    return;
  }
  if (reply.kind == hub::RecordKind::sign_out) add_line("Set-Cookie", cookie({}));
  if (!done) {
    answer_error(connection, 503, not_done(reply), kOverloadRetrySeconds);
    return;
  }
  if (reply.kind == hub::RecordKind::sign_out) {
    add_request_id(connection);
    http::ResponseWriter(connection.output, 204, head(keep)).no_body();
  } else {
    std::array<char, kEventIdTextMax> id;
    const std::size_t length = format_event_id(reply.id, id);
    http::ResponseWriter(connection.output, 204, head(keep))
        .header("Event-Id", {id.data(), length})
        .no_body();
  }
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::handle_preflight(Connection& connection, const http::Request& request) {
  if (!request.origin.empty() && !request.request_method.empty()) {
    lines_.clear();
    context_.policy->cors.append_preflight_lines(lines_,
                                                 visitor_.origin ? &*visitor_.origin : nullptr);
    if (visitor_.from == Visitor::From::foreign) {
      context_.counters.origins_refused.add();
      gate_.audit(auth::AuditAction::origin_refused, connection, visitor_, {}, request.origin);
    }
  }
  const bool keep = keep_alive(request);
  http::ResponseWriter(connection.output, 204, head(keep))
      .header("Allow", "GET, HEAD, POST, OPTIONS")
      .no_body();
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::handle_other(Connection& connection, const http::Request& request) {
  const bool keep = keep_alive(request);
  const auto done = [&] {
    answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
  };
  if (request.method == http::Method::options) {
    handle_preflight(connection, request);
    return;
  }
  const bool get = request.method == http::Method::get || request.method == http::Method::head;
  const page::Asset* const asset = page::find_asset(request.path);
  if (asset != nullptr && get) {
    const bool known = request.if_none_match == asset->etag;
    http::ResponseWriter writer(connection.output, known ? 304 : 200, head(keep));
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
                            : request.path == "/session" ? "GET, OPTIONS"
                            : request.path == "/publish" ? "POST, OPTIONS"
                            : request.path == "/login"   ? "POST, OPTIONS"
                            : request.path == "/logout"  ? "POST, OPTIONS"
                                                         : nullptr;
  if (allow == nullptr) {
    answer_error(connection, 404, "there is nothing at this path");
    return;
  }
  context_.counters.responses_4xx.add();
  http::ResponseWriter(connection.output, 405, head(keep))
      .header("Allow", allow)
      .body("application/json", R"({"error":"this path does not take this method"})",
            request.method == http::Method::head);
  done();
}

}  // namespace ringcast::shard
