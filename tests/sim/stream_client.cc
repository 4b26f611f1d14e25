#include "stream_client.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "ringcast/base/event_id.h"

namespace ringcast::sim {
namespace {

constexpr std::size_t kPositionBytesMax = 64;
constexpr std::uint64_t kPageNs = 5 * kNsPerSecond;  // if others wait for its place

std::string percent_encoded(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += kHex[byte >> 4];
      result += kHex[byte & 15];
    }
  }
  return result;
}

// The value of a member of the small JSON objects that the server itself makes.
std::string member(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return "missing";
  const std::size_t begin = at + key.size();
  const std::size_t end = json.find_first_of(",}", begin);
  std::string value = json.substr(begin, end - begin);
  if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
  return value;
}

std::optional<EventId> id_member(const std::string& json, const std::string& name) {
  return parse_event_id(member(json, name));
}

}  // namespace

StreamClient::StreamClient(Rules& rules, Network& network, const Kind& kind)
    : rules_(rules),
      world_(rules.world),
      model_(rules.model),
      channel_(rules, network, *this),
      kind_(kind) {}

void StreamClient::fail(const std::string& what) {
  world_.fail("stream client %u (topics %x, connection %u, shard %zu): %s", kind_.number,
              kind_.topics, connection_ == nullptr ? 0 : connection_->number(), shard_,
              what.c_str());
}

// ── Coming and going ────────────────────────────────────────────────────────────────────────────

std::string StreamClient::request_text(const std::optional<std::string>& position) {
  std::string query;
  for (std::uint32_t topic = 1; topic < kTopics; ++topic) {
    if ((kind_.topics >> topic & 1u) != 0) query += "&topic=" + percent_encoded(topic_name(topic));
  }
  const bool by_header = world_.random.chance(0.5);
  if (position && !by_header) query += "&last_event_id=" + percent_encoded(*position);
  if (position && by_header && world_.random.chance(0.1)) query += "&last_event_id=1-1";
  if (!query.empty()) query[0] = '?';
  std::string text = "GET /events" + query + (kind_.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  text += "Host: sim\r\nAccept: text/event-stream\r\n";
  if (position && by_header) text += "Last-Event-ID: " + *position + "\r\n";
  return text + "\r\n";
}

void StreamClient::open(int listener, std::size_t shard, std::optional<std::string> position) {
  connection_ = &channel_.open(listener, kind_.line, kind_.tls);
  shard_ = shard;
  state_ = State::waiting;
  position_ = std::move(position);
  reader_.emplace(*this);
  events_ = {};
  message_ended_ = gap_must_follow_ = live_ = false;
  opened_ns_ = world_.timeline.now();
  history_refused_before_ = rules_.history_refused();
  events_seen_ = 0;
  closing_.reset();
  too_long_ = position_ && position_->size() > kPositionBytesMax;
  last_heard_ns_ = world_.timeline.now();
  world_.trace("client %u: connection %u to shard %zu, topics %x, position %s", kind_.number,
               connection_->number(), shard, kind_.topics, position_ ? position_->c_str() : "none");
  channel_.write(request_text(position_));
}

void StreamClient::leave() {
  connection_ = nullptr;
  channel_.leave();
}
void StreamClient::reset() {
  connection_ = nullptr;
  channel_.reset();
}
void StreamClient::vanish() {
  connection_ = nullptr;
  channel_.vanish();
}

void StreamClient::stall(bool stalled) {
  connection_->set_reading(!stalled);
}

void StreamClient::hurry() {
  Line quick = kind_.line;
  quick.read_bytes_max = Line{}.read_bytes_max;
  quick.read_delay_ns_max = Line{}.read_delay_ns_max;
  connection_->set_line(quick);
  stall(false);
  channel_.go_on();
}

void StreamClient::fidget() {
  constexpr double kEnds = 0.15;
  Random& random = world_.random;
  if (random.chance(kEnds)) {
    switch (random.below(3)) {
      case 0:
        channel_.say_close();
        break;
      case 1:
        channel_.say_too_much();
        break;
      default:
        channel_.misbehave();
    }
    return;
  }
  if (random.chance(0.3)) channel_.stop_inside_record();
  for (std::uint64_t times = random.between(1, 3); times > 0; --times) channel_.change_key();
  if (random.chance(0.3)) channel_.go_on();
}

bool StreamClient::history_may_fail() const {
  const std::uint64_t answer_ns = rules_.setup.shard.limits.body_seconds * kNsPerSecond;
  return rules_.history_may_fail(history_refused_before_) ||
         (rules_.setup.remote && !rules_.setup.all_read &&
          world_.timeline.now() - opened_ns_ >= answer_ns);
}

void StreamClient::on_end(bool clean) {
  world_.trace("client %u: connection %u ended (%s)", kind_.number, connection_->number(),
               clean ? "FIN" : "reset");
  const bool held_back = connection_->ever_held_back();
  const bool reads_to_the_end = fair() && !held_back;
  if (state_ == State::waiting) {
    // A connection may be lost before it was accepted.
    const bool excused = channel_.secure() && rules_.setup.scarce_slots;
    if (connection_->answered() && reads_to_the_end && !rules_.draining && !excused)
      fail("ended before its answer");
  } else if (state_ == State::streaming && !channel_.ends_by_client()) {
    if (clean && !kind_.http10 && !message_ended_) fail("ended without the last chunk");
    if (clean && events_.in_the_middle()) fail("ended inside an event");
    if (!closing_ && !rules_.draining) {
      const bool skips = rules_.setup.shard.stream.slow_consumer == shard::SlowConsumer::skip;
      // A page must be taken in time, and so must the first words, whatever the policy for slow
      // streams.
      const std::uint64_t taken_ns =
          rules_.setup.remote ? kPageNs : rules_.setup.shard.limits.body_seconds * kNsPerSecond;
      const bool gave_up = (rules_.setup.remote || !has_first_words()) && !live_ &&
                           world_.timeline.now() - opened_ns_ >= taken_ns;
      if (clean && !live_ && history_may_fail()) {
        ++rules_.met["ended in the middle of history"];
      } else if (clean) {
        fail("ended without a word");
      } else if (connection_->server_finished()) {
        world_.trace("client %u: did not read to the end in time", kind_.number);
      } else if (!held_back) {
        fail("a healthy stream was ended");
      } else if (skips && !gave_up && !connection_->send_failed() &&
                 rules_.tails_full(shard_) == 0) {
        fail("a slow stream was ended, although it should skip");
      }
    }
    if (closing_ && reads_to_the_end && !clean) fail("was told of the end, but reset");
    if (rules_.draining && !closing_ && reads_to_the_end) fail("was not told of the drain");
  }
  connection_->leave();
  connection_ = nullptr;
}

// ── The response ────────────────────────────────────────────────────────────────────────────────

void StreamClient::on_bytes(std::string_view bytes) {
  reader_->feed(bytes);
}

void StreamClient::on_malformed(const std::string& why) {
  fail("malformed response: " + why);
}

void StreamClient::on_head(const ResponseHead& head) {
  if (head.status == 503 && (rules_.setup.scarce_slots || rules_.draining || history_may_fail())) {
    if (rules_.history_refused() != history_refused_before_)
      ++rules_.met["refused because the store was away"];
    state_ = State::refused;
    if (head.header("retry-after").empty()) fail("503 without Retry-After");
    return;
  }
  if (too_long_) {
    state_ = State::refused;
    if (head.status != 400)
      fail("a position of more than 64 bytes was answered " + std::to_string(head.status));
    return;
  }
  if (head.status != 200) {
    fail("the stream was answered " + std::to_string(head.status));
    return;
  }
  state_ = State::streaming;
  if (head.header("content-type") != "text/event-stream" ||
      head.header("cache-control") != "no-cache" || head.header("x-accel-buffering") != "no" ||
      head.header("connection") != (kind_.http10 ? "close" : "keep-alive") ||
      head.header("transfer-encoding") != (kind_.http10 ? "" : "chunked")) {
    fail("the head of the stream is not as it should be");
  }
}

void StreamClient::on_message_end() {
  message_ended_ = true;
  if (state_ == State::streaming && !closing_ && (live_ || !history_may_fail()))
    fail("the last chunk came without a word");
}

void StreamClient::on_body(std::string_view bytes) {
  if (state_ != State::streaming) return;
  if (!events_.feed(bytes)) fail("a CR or NUL in the stream");
  while (const auto event = events_.next()) {
    on_event(*event);
    if (world_.failed()) return;
  }
}

// ── Events ──────────────────────────────────────────────────────────────────────────────────────

void StreamClient::on_event(const ReceivedEvent& event) {
  const shard::ServerEventNames& names = rules_.setup.shard.stream.names;
  world_.trace("client %u: %s %s (%zu bytes)", kind_.number, event.type.c_str(),
               event.id ? event.id->c_str() : "-", event.data.size());
  const bool first = events_seen_++ == 0;
  last_heard_ns_ = world_.timeline.now();
  if (closing_) fail("an event after `closing`");
  const bool gap_must_be_this = std::exchange(gap_must_follow_, false);
  if (gap_must_be_this && event.type != names.gap) fail("no gap after a heartbeat without an ID");
  if (first && event.type == names.refused) {
    const bool by_store = history_may_fail();
    if (!rules_.setup.scarce_slots && !rules_.draining && !by_store) fail("refused: " + event.data);
    if (by_store) ++rules_.met["refused because the store was away"];
    if (!event.retry) fail("refused without retry");
    closing_ = "refused";
  } else if (first) {
    on_first_heartbeat(event);
  } else if (event.type == names.heartbeat) {
    on_heartbeat(event);
  } else if (event.type == names.gap) {
    on_gap(event, gap_must_be_this);
  } else if (event.type == names.closing) {
    on_closing(event);
  } else {
    on_published(event);
  }
  if (event.id) last_id_ = event.id;
}

std::optional<bool> StreamClient::gap_expected() const {
  const auto id = parse_event_id(*position_);
  if (!id) return true;
  if (*id == EventId{}) return false;
  if (rules_.setup.remote) return gap_of_store_expected(*id);
  const auto ordinal = model_.find(*id);
  if (!ordinal && *id != model_.floor()) return true;
  // A shard that has not come so far yet must wait, not take it for unknown.
  const std::size_t from = ordinal ? *ordinal + 1 : 0;
  if (from >= connection_->kept_at_answer().closed_to_newcomers) return false;
  if (from < connection_->kept_at_request().evicted) return true;
  return std::nullopt;
}

void StreamClient::on_first_heartbeat(const ReceivedEvent& event) {
  const shard::StreamOptions& options = rules_.setup.shard.stream;
  if (event.type != options.names.heartbeat || !event.data.empty()) {
    fail("a stream begins with " + event.type);
  }
  if (event.retry != options.retry_ms) fail("a stream begins without the configured retry");
  const Kept low = connection_->kept_at_request();
  const Kept high = connection_->kept_at_answer();
  if (!event.id) {
    if (!position_) fail("a fresh stream has no position");
    if (position_ && gap_expected() == false)
      fail("the position " + *position_ + " is kept, but was not found");
    ++rules_.met["positions not kept"];
    gap_must_follow_ = true;
    return;
  }
  const auto id = parse_event_id(*event.id);
  if (!id) {
    fail("a heartbeat has the ID '" + *event.id + "'");
    return;
  }
  next_ = certain_ = model_.count_up_to(*id);
  if (position_) {
    if (gap_expected() == true)
      fail("no gap, although the position " + *position_ + " is not kept");
    ++rules_.met["positions resumed"];
    if (next_ > low.appended) ++rules_.met["positions ahead of their shard"];
    if (*id != parse_event_id(*position_))
      fail("resumed from " + *event.id + ", not from " + *position_);
    if (*id == EventId{}) {
      next_ = rules_.setup.remote ? 0 : low.evicted;
      certain_ = rules_.setup.remote ? model_.trimmed() : high.closed_to_newcomers;
    }
    if (next_ < high.evicted) ++rules_.met["positions older than the log"];
    return;
  }
  if (!model_.find(*id) && *id != model_.floor() && !model_.is_hole(*id))
    fail("a fresh stream begins at the unknown " + *event.id);
  const bool replays = options.replay_on_connect;
  if (next_ < (replays ? low.evicted : low.appended) ||
      next_ > (replays ? high.closed_to_newcomers : high.appended)) {
    fail("a fresh stream begins at " + *event.id + ", which is not the " +
         (replays ? "oldest" : "newest"));
  }
}

void StreamClient::on_heartbeat(const ReceivedEvent& event) {
  const auto id = event.id ? parse_event_id(*event.id) : std::nullopt;
  if (!id || !event.data.empty()) {
    fail("a heartbeat without an ID, or with data");
    return;
  }
  live_ = true;
  if (!model_.find(*id) && *id != model_.floor() && !model_.is_hole(*id))
    fail("a heartbeat with the unknown ID " + *event.id);
  const std::size_t after = model_.count_up_to(*id);
  if (after < next_) fail("a heartbeat goes back to " + *event.id);
  check_no_hole(after, "the heartbeat " + *event.id);
  next_ = std::max(next_, after);
  // After a hole that has no end yet, it may name the hole.
  certain_ = model_.any_hole() ? std::max(next_, certain_) : next_;
}

void StreamClient::on_gap(const ReceivedEvent& event, bool first) {
  if (event.id) fail("a gap with an ID");
  const auto requested = id_member(event.data, "requested");
  const auto oldest = id_member(event.data, "oldest");
  const auto newest = id_member(event.data, "newest");
  for (const char* name : {"requested", "oldest", "newest"}) {
    if (member(event.data, name) != "null" && !id_member(event.data, name))
      fail("a gap says " + event.data);
  }
  if (first) {
    on_first_gap(requested, oldest, newest);
    return;
  }
  if (rules_.setup.remote && requested) {
    // Of a page, or of a hole in what the hub delivers: all that it has up to here must be there.
    ++rules_.met[newest ? "gaps in the middle of history" : "holes told to open streams"];
    check_no_hole(model_.count_up_to(*requested), "the gap after " + to_string(*requested));
    next_ = std::max(next_, model_.count_up_to(*requested));
    skip_trimmed(oldest);
    return;
  }
  if (rules_.setup.shard.stream.slow_consumer != shard::SlowConsumer::skip) {
    fail("a gap, although slow streams are to be ended");
  }
  if (!connection_->ever_held_back()) fail("a gap in a healthy stream: " + event.data);
  auto from = oldest ? model_.find(*oldest) : std::nullopt;
  if (oldest && model_.is_hole(*oldest)) from = model_.count_before(*oldest);
  if (requested || !from) {
    fail("the gap of a slow stream says " + event.data);
    return;
  }
  ++rules_.met["gaps of slow streams"];
  if (channel_.secure()) ++rules_.met["gaps of slow streams under TLS"];
  if (!model_.first_for(kind_.topics, next_, *from) && !model_.any_hole())
    fail("a gap that skips nothing: " + event.data);
  next_ = certain_ = std::max(next_, *from);
}

void StreamClient::on_first_gap(std::optional<EventId> requested, std::optional<EventId> oldest,
                                std::optional<EventId> newest) {
  const Kept low = connection_->kept_at_request();
  const Kept high = connection_->kept_at_answer();
  if (!position_) {
    fail("a gap in a fresh stream");
    return;
  }
  if (requested != parse_event_id(*position_))
    fail("the gap names another position than " + *position_);
  if (rules_.setup.remote) {
    on_first_gap_of_store(requested, oldest);
    return;
  }
  if (!oldest) {
    if (high.closed_to_newcomers < low.appended) fail("the gap says that nothing is kept");
    next_ = low.appended;
    certain_ = high.appended;
    return;
  }
  const auto from = model_.find(*oldest);
  const auto to = newest ? model_.find(*newest) : std::nullopt;
  if (!from || !to || *from < low.evicted || *from > high.closed_to_newcomers ||
      *to + 1 < low.appended || *to + 1 > high.appended) {
    fail("the gap says that " + to_string(*oldest) + " to " +
         (newest ? to_string(*newest) : "nothing") + " are kept");
    return;
  }
  next_ = *from;
  if (requested) next_ = std::max(next_, std::min(model_.count_up_to(*requested), *to + 1));
  certain_ = next_;
}

void StreamClient::on_first_gap_of_store(std::optional<EventId> requested,
                                         std::optional<EventId> oldest) {
  const Kept low = connection_->kept_at_request();
  const Kept high = connection_->kept_at_answer();
  if (!oldest) {
    next_ = low.appended;
    certain_ = high.stored;
    return;
  }
  if (!requested) {
    next_ = certain_ = model_.count_before(*oldest);
    if (next_ < low.evicted || next_ > high.closed_to_newcomers)
      fail("the gap says that " + to_string(*oldest) + " is the oldest");
    return;
  }
  next_ = certain_ = model_.count_up_to(*requested);
  skip_trimmed(oldest);
  // A position inside a hole of the log goes on behind the hole.
  if (model_.any_hole()) certain_ = std::max(certain_, model_.trimmed());
}

void StreamClient::skip_trimmed(std::optional<EventId> oldest) {
  if (!oldest) {
    certain_ = std::max(next_, model_.trimmed());
    return;
  }
  const std::size_t from = model_.count_before(*oldest);
  if (from > std::max(next_, model_.trimmed()))
    fail("a gap up to " + to_string(*oldest) + ", although the store has what lies before");
  next_ = certain_ = std::max(next_, from);
}

std::optional<bool> StreamClient::gap_of_store_expected(EventId id) const {
  if (model_.is_hole(id)) return std::nullopt;
  const auto ordinal = model_.find(id);
  if (!ordinal) return id == model_.floor() ? std::nullopt : std::optional(true);
  if (*ordinal >= model_.trimmed()) return false;
  const Kept& low = connection_->kept_at_request();
  if (*ordinal < low.trimmed && *ordinal + 1 < low.evicted) return true;
  return std::nullopt;
}

void StreamClient::on_closing(const ReceivedEvent& event) {
  closing_ = member(event.data, "reason");
  if (*closing_ == "drain") {
    if (!rules_.draining) fail("told of a drain that is not");
    if (!event.retry) {
      fail("closing without retry");
    } else if (!rules_.drain_retries[shard_].insert(*event.retry).second) {
      fail("told to retry at the same moment as another");
    }
  } else if (*closing_ == "slow") {
    if (rules_.setup.shard.stream.slow_consumer != shard::SlowConsumer::disconnect) {
      fail("ended as slow, although it should skip");
    }
    if (!connection_->ever_held_back()) fail("a healthy stream is ended as slow");
    if (!model_.first_for(kind_.topics, next_, rules_.kept(shard_).evicted) && !model_.any_hole()) {
      fail("ended as slow, although it has missed nothing");
    }
  } else {
    fail("closing because of " + *closing_);
  }
}

void StreamClient::check_no_hole(std::size_t end, const std::string& before_what) {
  const auto missed = model_.first_for(kind_.topics, std::max(next_, certain_), end);
  if (missed) {
    fail("event " + std::to_string(*missed) + " (" + to_string(model_.truth()[*missed].id) +
         ") is missing before " + before_what);
  }
}

void StreamClient::on_published(const ReceivedEvent& event) {
  const auto id = event.id ? parse_event_id(*event.id) : std::nullopt;
  const auto ordinal = id ? model_.find(*id) : std::nullopt;
  if (!ordinal) {
    fail("an event that nobody published: " + event.type + " " + event.id.value_or("-") + " " +
         event.data);
    return;
  }
  const Publication& publication = *model_.truth()[*ordinal].publication;
  if (event.type != publication.event || event.data != publication.data ||
      event.retry != publication.retry) {
    fail("event " + *event.id + " is not what was published");
  }
  if (!model_.first_for(kind_.topics, *ordinal, *ordinal + 1)) {
    fail("event " + *event.id + " is of a topic that it did not ask for");
  }
  if (*ordinal < next_) fail("event " + *event.id + " came twice or late");
  check_no_hole(*ordinal, "event " + *event.id);
  next_ = certain_ = *ordinal + 1;
}

// ── At rest ─────────────────────────────────────────────────────────────────────────────────────

void StreamClient::check_complete() {
  if (!connected() || connection_->client_gone()) return;
  channel_.check_all_read();
  channel_.check_fault_ended();
  if (channel_.ends_by_client()) return;
  if (state_ == State::waiting) {
    if (!rules_.setup.scarce_slots) fail("was never answered");
    return;
  }
  if (state_ != State::streaming || closing_) return;
  const bool held_back = connection_->ever_held_back();
  ++rules_.met[held_back ? "complete streams that were held back" : "complete healthy streams"];
  if (held_back && channel_.secure())
    ++rules_.met["complete streams under TLS that were held back"];
  if (!has_first_words()) {
    fail("the first words never came");
    return;
  }
  check_no_hole(model_.truth().size(), "the end: it waits for nothing but this");
}

void StreamClient::check_heartbeats() {
  const std::uint64_t period_ns = rules_.setup.shard.stream.heartbeat_ms * kNsPerMs;
  if (!streaming() || channel_.ends_by_client() || !fair() || connection_->ever_held_back() ||
      period_ns == 0 || closing_)
    return;
  if (rules_.setup.remote && !live_) return;  // while it catches up there are none
  const std::uint64_t silence_ns = world_.timeline.now() - last_heard_ns_;
  if (silence_ns > period_ns + period_ns / 4 + rules_.patience_ns()) {
    fail("has heard nothing for " + std::to_string(silence_ns / kNsPerMs) + " ms");
  }
}

void StreamClient::check_ended() {
  if (connected() && !connection_->client_gone()) fail("is still connected");
}

}  // namespace ringcast::sim
