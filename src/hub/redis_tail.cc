#include "redis_tail.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <span>
#include <utility>

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include "redis_socket.h"
#include "redis_words.h"

namespace ringcast::hub {
namespace {

constexpr std::string_view kBlockMs = "1000";
constexpr std::uint64_t kRetryNs = 500 * kNsPerMs;
constexpr std::size_t kKeptBytesMax = std::size_t{1} << 20;  // of the buffer, from page to page
constexpr std::size_t kSignOutsMax = 65'536;                 // loaded after a hole

// An explicit ID moves the end of the stream; the entry itself is no event, and goes at once. When
// the end is there already, another instance was faster.
constexpr std::string_view kRaise = R"(
local added = redis.pcall('XADD', KEYS[1], ARGV[1], 'raised', '1')
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller', 1, true) then return 0 end
  return added
end
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
)";

std::string after(std::uint64_t held_back) {
  return held_back == 0 ? std::string()
                        : " (and " + std::to_string(held_back) + " times since the last message)";
}

}  // namespace

RedisTail::RedisTail(const RedisStoreOptions& options, const RedisAddress& address,
                     const RedisKeys& keys, RedisConnection& connection, EventSink& sink,
                     TailWatcher& watcher, RedisCounters& counters, const Time& now)
    : keys_(keys),
      address_(address),
      event_bytes_max_(options.event_bytes_max),
      connection_(connection),
      sink_(sink),
      watcher_(watcher),
      counters_(counters),
      now_(now),
      last_(options.floor),
      delivered_(options.floor) {
  if (last_ == EventId{}) {
    unanchored_ = true;
    removed_ = 0;
  }
}

void RedisTail::on_ready() {
  outstanding_ = Command::none;
  next_ = Command::check;
  retry_ns_ = 0;
}

void RedisTail::on_lost() {
  if (outstanding_ == Command::check) on_page_lost();
  outstanding_ = Command::none;
  next_ = Command::check;
  retry_ns_ = 0;
  if (page_is_held_) drop_page();
}

// Perhaps because it was too large.
void RedisTail::on_page_lost() {
  const bool was_one = page_size_.entries() == 1;
  page_size_.on_lost();
  if (!was_one) return;
  if (const auto held_back = stuck_log_.pass(now_)) {
    spdlog::error(
        "the connection was lost again while one entry of the Redis stream was read, the first "
        "behind {}. If those two are larger than {} MiB, no event comes before XDEL takes the "
        "large one away{}",
        to_string(last_), RedisSocket::kReplyBytesMax >> 20, after(*held_back));
  }
}

bool RedisTail::turn() {
  waits_for_room_ = !hand_on();
  if (waits_for_room_) return false;
  send_next();
  return true;
}

std::uint64_t RedisTail::wake_ns() const {
  const bool may_send = !waits_for_room_ && outstanding_ == Command::none && connection_.ready();
  return may_send ? retry_ns_ : 0;
}

bool RedisTail::hand_on() {
  if (hole_) {
    if (!sink_.deliver_gap(*hole_)) return false;
    delivered_ = hole_->id;
    last_ = after_hole_;
    hole_.reset();
  }
  for (; next_sign_out_ < sign_outs_.size(); ++next_sign_out_) {
    const LoadedSignOut& loaded = sign_outs_[next_sign_out_];
    const auto member = parse_signed_out_member(loaded.member);
    if (!member) continue;
    const SignOut what{.session = member->session, .expires_ms = loaded.expires_ms};
    if (!sink_.deliver_sign_out(member->topic, what)) return false;
  }
  sign_outs_.clear();
  next_sign_out_ = 0;

  if (page_is_held_) return true;
  for (; !page_used_up(); ++next_entry_) {
    if (!hand_on_entry(entries_[next_entry_])) return false;
  }
  if (page_is_last_) is_current();
  drop_page();
  return true;
}

bool RedisTail::hand_on_entry(const PageEntry& page_entry) {
  const auto fields =
      std::span<const std::string_view>(texts_).subspan(page_entry.first_text, page_entry.texts);
  const auto entry = read_entry(fields, event_bytes_max_);
  std::string_view nonce;
  std::string_view channel_number;
  if (!entry) {
    counters_.entries_invalid.add();
    complain_of(page_entry.id, entry.error().message);
    channel_number = find_field(fields, "c");  // it is in the stream all the same
  } else {
    const RedisEntry& read = entry.value();
    if (read.kind == RedisEntry::Kind::sign_out) {
      if (!sink_.deliver_sign_out(read.publication.topic, read.sign_out)) return false;
    } else {
      if (!sink_.reserve(read.publication)) return false;
      sink_.deliver(page_entry.id, read.publication);
      delivered_ = page_entry.id;
    }
    nonce = read.nonce;
    channel_number = read.channel_number;
  }
  counters_.entries.add();
  last_ = page_entry.id;
  unanchored_ = false;
  if (!nonce.empty()) {
    if (const auto parsed = parse_nonce(nonce)) watcher_.on_nonce(*parsed, page_entry.id);
  }
  if (!channel_number.empty()) watcher_.on_channel_number(channel_number);
  return true;
}

void RedisTail::complain_of(EventId id, const std::string& reason) {
  const auto held_back = entry_log_.pass(now_);
  if (!held_back) return;
  spdlog::warn("the Redis stream has an entry that is no event, skipped: {}: {}{}", to_string(id),
               reason, after(*held_back));
}

void RedisTail::is_current() {
  counters_.last_current_ms.set(page_unix_ms_);
  counters_.caught_up.set(1);
}

void RedisTail::send_next() {
  if (outstanding_ != Command::none || !connection_.ready()) return;
  if (retry_ns_ > now_.mono_ns) return;
  retry_ns_ = 0;
  if (page_is_held_) {
    ask(Command::inspect);
  } else if (raise_) {
    ask(Command::raise);
  } else if (load_) {
    ask(Command::load);
  } else {
    ask(next_);
  }
}

void RedisTail::ask(Command command) {
  static const std::string sign_outs_max = std::to_string(kSignOutsMax);
  const std::string last = to_string(last_);
  const std::string count = std::to_string(page_size_.entries() + 1);  // with our last one
  const auto send = [&](Command tag, std::initializer_list<std::string_view> words) {
    connection_.send(std::span(words.begin(), words.size()), *this,
                     static_cast<std::uint64_t>(tag));
  };
  outstanding_ = command;
  switch (command) {
    case Command::read:
      // A bell, no more: what it shows may have a hole before it. Redis executes the next command
      // as soon as this one has rung, or has not within its time.
      send(Command::read,
           {"XREAD", "COUNT", "1", "BLOCK", kBlockMs, "STREAMS", keys_.stream, last});
      [[fallthrough]];
    case Command::check:
      asked_ = page_size_.entries() + 1;
      send(Command::check, {"XRANGE", keys_.stream, last, "+", "COUNT", count});
      break;
    case Command::inspect:
      send(command, {"XINFO", "STREAM", keys_.stream});
      break;
    case Command::raise:
      send(command, {"EVAL", kRaise, "1", keys_.stream, last});
      break;
    case Command::load: {
      const std::string passed = "(" + std::to_string(now_.unix_ms);
      send(command, {"ZRANGEBYSCORE", keys_.signed_out, passed, "+inf", "WITHSCORES", "LIMIT", "0",
                     sign_outs_max});
      break;
    }
    case Command::none:
      break;
  }
}

void RedisTail::on_reply(std::uint64_t tag, const redisReply* reply) {
  if (reply == nullptr) return;  // on_lost comes
  const auto command = static_cast<Command>(tag);
  outstanding_ = command == Command::read ? Command::check : Command::none;
  if (is_error(reply) && command != Command::inspect) {
    on_error({reply->str, reply->len});
    return;
  }
  switch (command) {
    case Command::check:
      on_checked(reply);
      break;
    case Command::inspect:
      on_inspected(reply);
      break;
    case Command::read:
      break;
    case Command::raise:
      raise_ = false;
      next_ = Command::inspect;
      break;
    case Command::load:
      on_loaded(reply);
      break;
    case Command::none:
      break;
  }
}

void RedisTail::on_checked(const redisReply* reply) {
  if (!is_array(reply)) return on_error("not a list");
  const bool full = reply->elements >= asked_;
  page_size_.on_reply(asked_, reply->elements, field_bytes(reply));
  next_ = full ? Command::check : Command::read;
  if (reply->elements == 0) {
    next_ = Command::inspect;
    return;
  }
  const auto first = first_id(reply);
  if (!first) return on_error("not an entry");
  const bool is_exact = *first == last_;
  if (!copy_page(reply, is_exact)) return on_error("entries that make no sense");
  page_is_last_ = !full;
  const bool gap_is_told = std::exchange(gap_is_told_, false);
  if (is_exact) {
    unanchored_ = false;
  } else if (gap_is_told) {
    // Appended before the stream could be raised.
  } else if (unanchored_) {
    page_is_held_ = true;
  } else {
    begin_hole(first, last_);
  }
}

void RedisTail::on_inspected(const redisReply* reply) {
  const auto state = read_stream_state(reply);
  if (!state) {
    if (page_is_held_) drop_page();
    return on_error(is_error(reply) ? std::string_view(reply->str, reply->len) : "not a stream");
  }
  const auto removed = state->exists ? state->removed : std::optional<std::uint64_t>(0);

  if (page_is_held_) {
    page_is_held_ = false;
    const bool nothing_removed = removed && removed_ ? *removed == *removed_ : last_ == EventId{};
    if (!nothing_removed) begin_hole(entries_.front().id, last_);
    return;
  }
  if (state->last_generated == last_) {
    unanchored_ = true;
    gap_is_told_ = false;
    removed_ = removed;
    page_is_last_ = true;
    page_unix_ms_ = now_.unix_ms;
    next_ = Command::read;
  } else if (state->last_generated < last_) {
    begin_raise(state->last_generated);
  } else {
    next_ = Command::check;
    if (state->last_entry && *state->last_entry > last_) return;  // it has just come
    begin_hole(std::nullopt, state->last_generated);
    unanchored_ = true;
    removed_ = removed;
  }
}

void RedisTail::begin_hole(std::optional<EventId> oldest, EventId then) {
  if (oldest == next_id(last_)) return;  // no event fits between
  ++holes_;
  counters_.holes.add();
  load_ = true;
  // The largest ID that fits: a stream that was served from history may stand inside the hole, and
  // has to be told too.
  hole_ = {.id = oldest ? id_before(*oldest) : then, .newest = last_, .oldest = oldest};
  after_hole_ = then;
  if (const auto held_back = hole_log_.pass(now_)) {
    spdlog::warn(
        "events after {} are missing in the Redis stream, and every client is told so: it was "
        "trimmed before it was read (redis.max_events is how many are kept), or Redis lost them "
        "and has newer ones{}",
        to_string(last_), after(*held_back));
  }
}

void RedisTail::begin_raise(EventId found) {
  ++holes_;
  counters_.went_backwards.add();
  load_ = true;
  raise_ = true;
  gap_is_told_ = true;
  // The raised entry counts as what is missing; what is appended after it is newer.
  const EventId id = next_id(last_);
  hole_ = {.id = id, .newest = last_, .oldest = std::nullopt};
  after_hole_ = id;
  spdlog::error(
      "Redis has lost events: its stream ends at {}, and {} has been read from it before. Clients "
      "are told of the gap; new events get IDs that go on from there",
      to_string(found), to_string(last_));
}

void RedisTail::on_loaded(const redisReply* reply) {
  load_ = false;
  if (!is_array(reply)) return;
  for (std::size_t i = 0; i + 1 < reply->elements; i += 2) {
    const std::string_view score = text_of(reply->element[i + 1]);
    double expires_ms = 0;
    std::from_chars(score.data(), score.data() + score.size(), expires_ms);
    constexpr double kNever = 18'446'744'073'709'549'568.0;  // largest below 2^64
    sign_outs_.push_back(
        {.member = std::string(text_of(reply->element[i])),
         .expires_ms = static_cast<std::uint64_t>(std::clamp(expires_ms, 0.0, kNever))});
  }
}

void RedisTail::on_error(std::string_view error) {
  next_ = Command::check;
  retry_ns_ = now_.mono_ns + kRetryNs;
  const std::string words = describe_redis_error(error, address_);
  if (const auto held_back = error_log_.pass(now_)) {
    spdlog::error("the Redis stream cannot be read: {}{}", words, after(*held_back));
  }
  if (classify_redis_error(error) == RedisFault::moved_on) connection_.fail(words);
}

bool RedisTail::copy_page(const redisReply* entries, bool skip_first) {
  drop_page();
  page_unix_ms_ = now_.unix_ms;
  std::size_t bytes = 0;
  EventId newest = last_;
  for (std::size_t i = skip_first ? 1 : 0; i < entries->elements; ++i) {
    if (!read_raw_entry(entries->element[i], raw_) || raw_.id <= newest) return false;
    newest = raw_.id;
    for (const auto text : raw_.fields) bytes += text.size();
  }
  bytes_.reserve(bytes);  // so that the views stay valid
  for (std::size_t i = skip_first ? 1 : 0; i < entries->elements; ++i) {
    (void)read_raw_entry(entries->element[i], raw_);
    entries_.push_back({.id = raw_.id, .first_text = texts_.size(), .texts = raw_.fields.size()});
    for (const auto text : raw_.fields) {
      const std::size_t at = bytes_.size();
      bytes_.append(text);
      texts_.push_back(std::string_view(bytes_).substr(at, text.size()));
    }
  }
  return true;
}

void RedisTail::drop_page() {
  entries_.clear();
  texts_.clear();
  next_entry_ = 0;
  page_is_held_ = false;
  page_is_last_ = false;
  bytes_.clear();
  if (bytes_.capacity() > kKeptBytesMax) std::string().swap(bytes_);
}

}  // namespace ringcast::hub
