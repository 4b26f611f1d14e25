#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include <spdlog/spdlog.h>

#include "ringcast/base/assert.h"
#include "ringcast/hub/redis_store.h"

#include "redis_entry.h"
#include "redis_reply.h"
#include "redis_rights.h"
#include "redis_sync.h"
#include "redis_words.h"

namespace ringcast::hub {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kConnectTimeout{2'000};
constexpr milliseconds kReplyTimeoutMin{1'000};
constexpr milliseconds kReplyTimeoutMax{4'000};
constexpr milliseconds kPauseMin{100};
constexpr milliseconds kPauseMax{1'000};
constexpr milliseconds kPauseSlice{50};
constexpr milliseconds kSayEvery{5'000};

// The pages in which the stream is walked back: large ones cost Redis a long turn.
constexpr std::size_t kFirstPageEntries = 16;
constexpr std::size_t kPageEntriesMax = 500;
constexpr std::size_t kPageBytes = std::size_t{1} << 20;
constexpr std::size_t kEntryOverheadBytes = 64;  // of an encoded event: ID, names of fields

constexpr std::size_t kSignedOutMax = 65'536;

/// Why there was no start, and whether waiting may mend it.
struct Setback {
  std::string why;
  bool later = false;
};

/// `key:value`, a line each, in sections: the value, or nothing.
std::string_view info_field(std::string_view info, std::string_view key) {
  const std::string wanted = "\n" + std::string(key) + ":";
  const std::size_t found = info.find(wanted);
  if (found == std::string_view::npos) return {};
  const std::string_view rest = info.substr(found + wanted.size());
  return rest.substr(0, rest.find_first_of("\r\n"));
}

template <class Integer>
std::optional<Integer> number_of(std::string_view text) {
  Integer value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || stopped != end) return {};
  return value;
}

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
};
constexpr Version kOldestVersion{6, 2};
constexpr Version kGoodVersion{7, 0};

Version parse_version(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view rest = text.substr(dot + 1);
  return {number_of<unsigned>(text.substr(0, dot)).value_or(0),
          number_of<unsigned>(rest.substr(0, rest.find('.'))).value_or(0)};
}

/// Of `{…}` only what stands inside decides on the node of a cluster, so all keys are on one.
bool has_hash_tag(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return false;
  const std::size_t close = key.find('}', open);
  return close != std::string_view::npos && close > open + 1;
}

void append_list(std::string& out, std::string_view noun, const std::vector<std::string>& names) {
  if (names.empty()) return;
  out += out.empty() ? "" : "; ";
  out += noun;
  for (std::size_t i = 0; i < names.size(); ++i) out += (i == 0 ? " " : ", ") + names[i];
}

/// One attempt on one connection.
class Attempt {
 public:
  Attempt(const RedisAddress& address, const RedisOptions& options, const WarmUp& warm_up,
          milliseconds left)
      : address_(address),
        keys_(options),
        warm_up_(warm_up),
        redis_(address, std::clamp(left, kPauseMin, kConnectTimeout),
               std::clamp(left, kReplyTimeoutMin, kReplyTimeoutMax)) {}

  /// Nothing: see `setback`.
  std::optional<RedisStart> run() {
    if (!redis_.failure().empty()) {
      setback_ = {here("cannot be reached: " + redis_.failure()), !redis_.hopeless()};
      return {};
    }
    const bool good = sign_in() && look_at_server() && check_rights() && find_log() &&
                      check_other_keys() && find_signed_out();
    if (!good) return {};
    warn();
    return std::move(start_);
  }

  [[nodiscard]] const Setback& setback() const { return setback_; }

 private:
  [[nodiscard]] std::string here(const std::string& what) const {
    return "Redis at " + to_string(address_) + " " + what;
  }
  bool fail(const std::string& why) {
    setback_ = {here(why), false};
    return false;
  }

  /// Whether the reply is there and no error; else the setback says why.
  bool good(const SyncReply& reply) {
    if (!reply) {
      setback_ = {here("does not answer as it should: " + redis_.failure()), true};
      return false;
    }
    if (reply.error().empty()) return true;
    note_error(reply.error());
    return false;
  }

  void note_error(std::string_view error) {
    const bool later = classify_redis_error(error) == RedisFault::transient;
    setback_ = {describe_redis_error(error, address_), later};
  }

  bool sign_in() {
    if (!address_.password.empty()) {
      const SyncReply reply = address_.user.empty()
                                  ? redis_({"AUTH", address_.password})
                                  : redis_({"AUTH", address_.user, address_.password});
      if (!good(reply)) return false;
    }
    if (address_.database == 0) return true;
    const std::string database = std::to_string(address_.database);
    const SyncReply reply = redis_({"SELECT", database});
    if (reply.error().starts_with("NOPERM")) return check_rights();  // all that is missing at once
    return good(reply);
  }

  bool look_at_server() {
    const SyncReply reply = redis_({"INFO"});
    if (reply.error().starts_with("NOPERM")) return check_rights();
    if (!good(reply)) return false;
    const std::string_view info = text_of(&*reply);
    start_.version = cleaned(info_field(info, "redis_version"));
    if (info_field(info, "redis_mode") == "sentinel") {
      return fail(
          "is a Sentinel, which holds no events: redis.url must name the primary that it "
          "watches, or an address that follows it");
    }
    const Version version = parse_version(start_.version);
    if (version < kOldestVersion) {
      return fail("is Redis " + describe_version() +
                  ", which is too old: 6.2 or newer is needed, "
                  "7.0 or newer is recommended");
    }
    recommended_ = version >= kGoodVersion;
    if (info_field(info, "loading") == "1") {
      setback_ = {here("is loading its data"), true};
      return false;
    }
    if (const std::string_view role = info_field(info, "role"); role == "slave") {
      return fail("is a replica and takes no events: set redis.url to its primary, " +
                  cleaned(info_field(info, "master_host")) + ":" +
                  cleaned(info_field(info, "master_port")) +
                  ", or to an address that follows the primary");
    }
    cluster_ = info_field(info, "cluster_enabled") == "1";
    if (cluster_ && !has_hash_tag(keys_.stream)) {
      return fail(
          "is a node of a cluster, where all keys of ours must be on one node: give "
          "redis.stream a part in braces, as \"{ringcast}:events\"");
    }
    eviction_ = info_field(info, "maxmemory_policy");
    in_memory_ = info_field(info, "aof_enabled") == "0";
    return true;
  }

  [[nodiscard]] std::string describe_version() const {
    return start_.version.empty() ? "of an unknown version" : start_.version.substr(0, 32);
  }

  bool check_rights() {
    std::string error;
    const MissingRights missing = find_missing_rights(redis_, address_, keys_, error);
    if (!missing.empty()) {
      std::string what;
      append_list(what, "the commands", missing.commands);
      append_list(what, "the keys", missing.keys);
      append_list(what, "the channels", missing.channels);
      const std::string user = address_.user.empty() ? "default" : address_.user;
      return fail("does not let the user \"" + user + "\" use " + what +
                  ". This is enough, in redis-cli:\n  " + sufficient_rule(address_, keys_));
    }
    if (!redis_.failure().empty()) return good({});
    if (error.empty()) return true;
    // Streams can be held while nothing can be appended.
    if (error.starts_with("OOM") || error.starts_with("MISCONF")) {
      spdlog::warn("redis: {}", describe_redis_error(error, address_));
      return true;
    }
    note_error(error);
    return false;
  }

  bool wrong_type(const SyncReply& reply, std::string_view key, std::string_view kind) {
    if (!reply.error().starts_with("WRONGTYPE")) return false;
    fail("holds something else than " + std::string(kind) + " under the key \"" + std::string(key) +
         "\": choose another redis.stream, or delete that key");
    return true;
  }

  bool find_log() {
    const SyncReply info = redis_({"XINFO", "STREAM", keys_.stream});
    if (wrong_type(info, keys_.stream, "a stream")) return false;
    const auto state = info ? read_stream_state(&*info) : std::nullopt;
    if (!state && good(info)) return fail("gave an answer to XINFO STREAM that makes no sense");
    if (!state) return false;
    if (!state->exists) return true;  // all is 0-0
    start_.newest = state->last_generated;
    const bool whole = state->last_entry && state->removed == 0u;
    return walk_back(whole);
  }

  /// Sets the floor. `whole`: nothing was ever trimmed or deleted.
  bool walk_back(bool whole) {
    std::size_t events = 0;
    std::size_t bytes = 0;
    std::size_t page = kFirstPageEntries;
    std::string from = "+";
    RawEntry entry;
    std::optional<EventId> oldest;  // that is wanted
    for (;;) {
      const std::string count = std::to_string(page);
      const SyncReply reply = redis_({"XREVRANGE", keys_.stream, from, "-", "COUNT", count});
      if (!good(reply)) return false;
      const auto entries = reply.elements();
      for (const redisReply* const raw : entries) {
        if (!read_raw_entry(raw, entry)) {
          return fail("gave an answer to XREVRANGE that makes no sense");
        }
        std::size_t entry_bytes = kEntryOverheadBytes;
        for (const std::string_view text : entry.fields) entry_bytes += text.size();
        if (events + 1 > warm_up_.events || bytes + entry_bytes > warm_up_.bytes) {
          start_.floor = entry.id;
          return true;
        }
        events += 1;
        bytes += entry_bytes;
        oldest = entry.id;
      }
      if (entries.size() < page) break;
      page = std::clamp<std::size_t>(kPageBytes * events / std::max<std::size_t>(bytes, 1), 1,
                                     kPageEntriesMax);
      from = "(" + to_string(*oldest);
    }
    // The oldest that is left is the anchor by which the tail sees that nothing was trimmed. Who
    // asks for it is served from Redis.
    start_.floor = whole ? EventId{} : oldest.value_or(start_.newest);
    return true;
  }

  bool check_other_keys() {
    for (const std::string& key : {keys_.relay, keys_.epoch}) {
      const SyncReply reply = redis_({"GET", key});
      if (wrong_type(reply, key, "a string") || !good(reply)) return false;
    }
    const SyncReply reply = redis_({"HGET", keys_.relayed, "0"});
    return !wrong_type(reply, keys_.relayed, "a hash") && good(reply);
  }

  bool find_signed_out() {
    const auto now = std::chrono::duration_cast<milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    const std::string least = "(" + std::to_string(now.count());
    const std::string most = std::to_string(kSignedOutMax);
    const SyncReply reply = redis_(
        {"ZRANGEBYSCORE", keys_.signed_out, least, "+inf", "WITHSCORES", "LIMIT", "0", most});
    if (wrong_type(reply, keys_.signed_out, "a sorted set") || !good(reply)) return false;
    const auto elements = reply.elements();
    std::size_t odd = 0;
    for (std::size_t i = 0; i + 1 < elements.size(); i += 2) {
      const auto member = parse_signed_out_member(text_of(elements[i]));
      const auto expires = number_of<std::uint64_t>(text_of(elements[i + 1]));
      if (member && expires) {
        start_.signed_out.push_back({.session = member->session, .expires_ms = *expires});
      } else {
        ++odd;
      }
    }
    if (odd > 0) {
      spdlog::warn("redis: {} members of {} are no sign-outs and were skipped", odd,
                   keys_.signed_out);
    }
    return true;
  }

  /// Once, of what is allowed and rarely meant.
  void warn() const {
    if (!recommended_) {
      spdlog::warn("redis: version {} works; 7.0 or newer is recommended", describe_version());
    }
    if (cluster_) {
      spdlog::warn(
          "redis: {} is a node of a cluster. Redirections are not followed: when the stream moves "
          "to another node, publishing fails until redis.url leads there",
          to_string(address_));
    }
    if (!eviction_.empty() && eviction_ != "noeviction") {
      spdlog::warn(
          "redis: maxmemory-policy is {}: when memory is short Redis may throw the whole stream "
          "away; set it to noeviction",
          eviction_.substr(0, 32));
    }
    if (in_memory_) {
      spdlog::warn(
          "redis: appendonly is off: events that were acknowledged live in the memory of Redis "
          "alone, and a restart of it may lose them");
    }
  }

  const RedisAddress& address_;
  const RedisKeys keys_;
  const WarmUp warm_up_;
  RedisSync redis_;
  RedisStart start_;
  Setback setback_;
  std::string eviction_;
  bool recommended_ = true;
  bool cluster_ = false;
  bool in_memory_ = false;
};

std::string seconds(std::uint32_t ms) {
  std::string out = std::to_string(ms / 1000);
  if (ms % 1000 != 0) out += "." + std::to_string(ms % 1000 / 100);
  return out;
}

/// False when it was cut short.
bool pause(milliseconds time, const std::function<bool()>& give_up) {
  const auto end = Clock::now() + time;
  do {
    if (give_up && give_up()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(
        kPauseSlice, std::max<Clock::duration>(end - Clock::now(), Clock::duration::zero())));
  } while (Clock::now() < end);
  return !(give_up && give_up());
}

}  // namespace

Result<RedisStart> check_redis(const RedisOptions& options, const WarmUp& warm_up,
                               const std::function<bool()>& give_up) {
  RC_ASSERT(options.password_file.empty());
  const auto address = parse_redis_url(options.url);
  if (!address) return Error{"redis.url: " + address.error().message};
  const auto deadline = Clock::now() + milliseconds(options.start_timeout_ms);
  std::optional<Clock::time_point> said;
  milliseconds wait = kPauseMin;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    Attempt attempt(address.value(), options, warm_up, left);
    if (auto start = attempt.run()) {
      if (said) spdlog::info("Redis at {} answers", to_string(address.value()));
      return std::move(*start);
    }
    const Setback& setback = attempt.setback();
    if (!setback.later) return Error{setback.why};
    const auto now = Clock::now();
    if (now >= deadline) {
      return Error{setback.why + " (waited " + seconds(options.start_timeout_ms) +
                   " s, redis.start_timeout_seconds)"};
    }
    if (!said || now - *said >= kSayEvery) {
      spdlog::warn("{}; waiting for it, {} s more", setback.why,
                   std::chrono::ceil<std::chrono::seconds>(deadline - now).count());
      said = now;
    }
    const auto rest = std::chrono::ceil<milliseconds>(deadline - now);
    if (!pause(std::min(wait, rest), give_up)) {
      return Error{"stopped while waiting: " + setback.why};
    }
    wait = std::min(2 * wait, kPauseMax);
  }
}

}  // namespace ringcast::hub
