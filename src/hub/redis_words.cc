#include "redis_words.h"

#include <algorithm>
#include <cstddef>

namespace ringcast::hub {
namespace {

constexpr std::size_t kCleanedBytesMax = 200;

struct Meaning {
  std::string_view code;  ///< what the error begins with
  RedisFault fault;
  std::string_view words;  ///< behind "Redis at ADDRESS "; empty: it depends on more than the code
};

// What is not here is `refused`.
constexpr Meaning kMeanings[] = {
    {"NOAUTH", RedisFault::sign_in,
     "wants a password: put it into redis.url (redis://:PASSWORD@HOST:PORT) or "
     "redis.password_file"},
    {"WRONGPASS", RedisFault::sign_in, {}},
    {"NOPERM", RedisFault::sign_in, {}},
    {"DENIED", RedisFault::sign_in,
     "is in protected mode and takes no connections from other machines: give it a password "
     "(requirepass) and put that into redis.url, or set its `bind` and `protected-mode no`"},
    {"ERR AUTH", RedisFault::sign_in,
     "has no password for the default user, but redis.url or redis.password_file gives one: take "
     "it away, or set `requirepass` on the server"},
    {"ERR Client sent AUTH", RedisFault::sign_in,
     "has no password, but redis.url or redis.password_file gives one: take it away, or set "
     "`requirepass` on the server"},
    {"READONLY", RedisFault::moved_on,
     "is a replica, which takes no events: redis.url must name the primary"},
    {"MOVED", RedisFault::moved_on,
     "is a node of a Cluster that does not hold redis.stream: redis.url must name the node that "
     "does (see CLUSTER SHARDS)"},
    {"ASK", RedisFault::moved_on,
     "is a node of a Cluster that is handing redis.stream over to another: redis.url must name "
     "the node that holds it (see CLUSTER SHARDS)"},
    {"UNBLOCKED", RedisFault::moved_on,
     "has just become a replica: redis.url must name the primary"},
    {"CROSSSLOT", RedisFault::refused,
     "is a node of a Cluster: give redis.stream a hash tag, such as {ringcast}:events, so that all "
     "of its keys are on one node"},
    {"LOADING", RedisFault::transient, "is loading its data"},
    {"BUSY", RedisFault::transient,
     "is busy with somebody's script (SCRIPT KILL, or FUNCTION KILL, ends it)"},
    {"TRYAGAIN", RedisFault::transient, "is moving the keys of redis.stream to another node"},
    {"MASTERDOWN", RedisFault::transient, "is a replica that has lost its primary"},
    {"CLUSTERDOWN", RedisFault::transient,
     "is a node of a Cluster that is down (see CLUSTER INFO)"},
    {"NOREPLICAS", RedisFault::transient,
     "has fewer replicas than `min-replicas-to-write` wants, so it takes no events"},
    {"OOM", RedisFault::transient,
     "has reached its `maxmemory` and evicts nothing: raise it, or lower redis.max_events"},
    {"MISCONF", RedisFault::transient,
     "cannot save to its disk and therefore takes no events (`stop-writes-on-bgsave-error`): see "
     "its log"},
    {"ERR max number of clients", RedisFault::transient,
     "has no room for another connection: raise its `maxclients`"},
    {"NOSCRIPT", RedisFault::no_script, "does not know the script (any more)"},
    {"ERR DB index", RedisFault::refused, {}},
    {"ERR invalid DB index", RedisFault::refused, {}},
    {"ERR SELECT is not allowed in cluster mode", RedisFault::refused,
     "is a node of a Cluster, which has database 0 only: take the database out of redis.url"},
    {"WRONGTYPE", RedisFault::refused,
     "has something else under a key of ours (redis.stream, or the same with :relay, :epoch, "
     ":relayed, :signed-out): choose another redis.stream"},
};

const Meaning* find(std::string_view error) {
  for (const Meaning& meaning : kMeanings) {
    if (!error.starts_with(meaning.code)) continue;
    if (error.size() == meaning.code.size() || error[meaning.code.size()] == ' ') return &meaning;
  }
  return nullptr;
}

/// Redis before 7 wraps what a script ran into: `ERR Error running script (call to f_…):
/// @user_script:5: @user_script: 5: -OOM command not allowed …`.
std::string_view unwrapped(std::string_view error) {
  constexpr std::string_view kScript = "@user_script:";
  if (!error.starts_with("ERR Error running script")) return error;
  const std::size_t place = error.rfind(kScript);
  if (place == std::string_view::npos) return error;
  std::string_view inner = error.substr(place + kScript.size());
  const std::size_t text = inner.find(": ");
  if (text == std::string_view::npos) return error;
  inner.remove_prefix(text + 2);
  if (inner.starts_with('-')) inner.remove_prefix(1);
  return inner;
}

std::string user_of(const RedisAddress& address) {
  return address.user.empty() ? "default" : cleaned(address.user);
}

std::string missing_permission(std::string_view error, const RedisAddress& address) {
  const std::string user = user_of(address);
  const std::string rule = "ACL SETUSER " + user + " ";
  const std::string begin = "the Redis user '" + user + "' ";
  const std::size_t quote = error.find('\'');
  const std::size_t end = quote == std::string_view::npos ? quote : error.find('\'', quote + 1);
  if (end != std::string_view::npos && error.find("command") != std::string_view::npos) {
    const std::string command = cleaned(error.substr(quote + 1, end - quote - 1));
    return begin + "may not run the command " + command + ": allow it with " + rule + "+" + command;
  }
  if (error.find("channel") != std::string_view::npos) {
    return begin +
           "may not use a channel of ours (redis.channel, and redis.stream with :marks): "
           "allow them with " +
           rule + "&CHANNEL &STREAM:marks";
  }
  if (error.find("key") != std::string_view::npos) {
    return begin +
           "may not use a key of ours (redis.stream, and the same with :relay, :epoch, "
           ":relayed, :signed-out): allow them with " +
           rule + "~STREAM ~STREAM:*";
  }
  return begin + "lacks a permission: " + cleaned(error);
}

/// Without what an error may repeat of our own words: a Redis that does not know AUTH shows what
/// came with it.
std::string without_secret(std::string_view error, const RedisAddress& address) {
  std::string text(error.substr(0, error.find(", with args beginning with")));
  if (address.password.empty()) return text;
  for (std::size_t at = text.find(address.password); at != std::string::npos;
       at = text.find(address.password, at)) {
    text.replace(at, address.password.size(), "***");
    at += 3;
  }
  return text;
}

}  // namespace

std::string cleaned(std::string_view text) {
  std::string out(text.substr(0, kCleanedBytesMax));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() > kCleanedBytesMax) out += "...";
  return out;
}

RedisFault classify_redis_error(std::string_view error) {
  const Meaning* const meaning = find(unwrapped(error));
  return meaning == nullptr ? RedisFault::refused : meaning->fault;
}

std::string describe_redis_error(std::string_view error, const RedisAddress& address) {
  const std::string_view inner = unwrapped(error);
  const std::string server = "Redis at " + to_string(address) + " ";
  if (const Meaning* const meaning = find(inner); meaning != nullptr) {
    if (!meaning->words.empty()) return server + std::string(meaning->words);
    if (meaning->code == "NOPERM") return missing_permission(inner, address);
    if (meaning->code == "WRONGPASS") {
      return server + "does not know the user '" + user_of(address) +
             "' with this password: see redis.url and redis.password_file";
    }
    if (inner.starts_with("ERR DB index") || inner.starts_with("ERR invalid DB index")) {
      return "Redis at " + to_string(RedisAddress{address.host, address.port, address.socket}) +
             " has no database " + std::to_string(address.database) +
             ": change it in redis.url, or raise `databases` on the server";
    }
  }
  const std::string text = cleaned(without_secret(inner, address));
  if (inner.starts_with("ERR unknown command") || inner.starts_with("ERR unknown subcommand") ||
      inner.starts_with("ERR Unknown subcommand")) {
    return server +
           "does not know a command that is needed (it is too old, or the command was "
           "renamed): " +
           text;
  }
  return server + "answered: " + text;
}

}  // namespace ringcast::hub
