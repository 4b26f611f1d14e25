#include "redis_rights.h"

#include <algorithm>

namespace ringcast::hub {
namespace {

/// One command as it is sent, but for its values.
struct Need {
  std::string_view rule;  ///< of the ACL
  std::vector<std::string_view> arguments;
  std::vector<std::string_view> keys{};
  std::vector<std::string_view> channels{};
};

constexpr std::string_view kNoScript = "0000000000000000000000000000000000000000";

// Kept complete by a test that runs all of the store as a user with only these rights.
std::vector<Need> needs(const RedisKeys& k) {
  return {
      {"+info", {"INFO"}},
      {"+ping", {"PING"}},
      {"+role", {"ROLE"}},
      {"+select", {"SELECT", "0"}},
      {"+client|id", {"CLIENT", "ID"}},
      {"+client|kill", {"CLIENT", "KILL", "ID", "1"}},
      {"+client|setname", {"CLIENT", "SETNAME", "ringcast"}},
      {"+time", {"TIME"}},
      {"+xadd", {"XADD", k.stream, "*", "data", ""}, {k.stream}},
      {"+xread", {"XREAD", "STREAMS", k.stream, "$"}, {k.stream}},
      {"+xrange", {"XRANGE", k.stream, "-", "+", "COUNT", "1"}, {k.stream}},
      {"+xrevrange", {"XREVRANGE", k.stream, "+", "-", "COUNT", "1"}, {k.stream}},
      {"+xinfo|stream", {"XINFO", "STREAM", k.stream}, {k.stream}},
      {"+xdel", {"XDEL", k.stream, "0-1"}, {k.stream}},
      {"+get", {"GET", k.relay}, {k.relay}},
      {"+get", {"GET", k.epoch}, {k.epoch}},
      {"+set", {"SET", k.relay, ""}, {k.relay}},
      {"+set", {"SET", k.epoch, ""}, {k.epoch}},
      {"+del", {"DEL", k.relay}, {k.relay}},
      {"+pexpire", {"PEXPIRE", k.relay, "1"}, {k.relay}},
      {"+hget", {"HGET", k.relayed, "0"}, {k.relayed}},
      {"+hset", {"HSET", k.relayed, "0", "0"}, {k.relayed}},
      {"+hdel", {"HDEL", k.relayed, "0"}, {k.relayed}},
      {"+hkeys", {"HKEYS", k.relayed}, {k.relayed}},
      {"+zadd", {"ZADD", k.signed_out, "0", ""}, {k.signed_out}},
      {"+zrangebyscore", {"ZRANGEBYSCORE", k.signed_out, "0", "0"}, {k.signed_out}},
      {"+zremrangebyscore", {"ZREMRANGEBYSCORE", k.signed_out, "0", "0"}, {k.signed_out}},
      {"+eval",
       {"EVAL", "return 1", "5", k.stream, k.relay, k.epoch, k.relayed, k.signed_out},
       {k.stream, k.relay, k.epoch, k.relayed, k.signed_out}},
      {"+evalsha", {"EVALSHA", kNoScript, "1", k.stream}, {k.stream}},
      {"+script|load", {"SCRIPT", "LOAD", "return 1"}},
      {"+publish", {"PUBLISH", k.marks, ""}, {}, {k.marks}},
      {"+subscribe", {"SUBSCRIBE", k.marks}, {}, {k.marks}},
      {"+subscribe", {"SUBSCRIBE", k.channel}, {}, {k.channel}},
  };
}

void add_once(std::vector<std::string>& to, std::string_view text) {
  if (std::ranges::find(to, text) == to.end()) to.emplace_back(text);
}

/// `XINFO STREAM` for the rule `+xinfo|stream`.
std::string command_name(std::string_view rule) {
  std::string name;
  for (const char c : rule.substr(1)) {
    name += c == '|' ? ' ' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

bool is_refusal(std::string_view error) {
  return error.starts_with("NOPERM") || error.starts_with("ERR unknown command") ||
         error.starts_with("ERR unknown subcommand");
}

/// Redis 6.2 and 7 say it in different words, but all of them name keys or channels where these are
/// what is missing.
void note_refusal(std::string_view error, const Need& need, MissingRights& missing) {
  if (!error.starts_with("NOPERM")) return add_once(missing.commands, command_name(need.rule));
  if (!need.keys.empty() && error.find(" key") != std::string_view::npos) {
    for (const std::string_view key : need.keys) add_once(missing.keys, key);
  } else if (!need.channels.empty() && error.find(" channel") != std::string_view::npos) {
    for (const std::string_view channel : need.channels) add_once(missing.channels, channel);
  } else {
    add_once(missing.commands, command_name(need.rule));
  }
}

/// A name as a pattern that only it fits.
std::string literal(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// As one argument of redis-cli.
std::string quoted(const std::string& argument) {
  if (argument.find_first_of(" \"'\\") == std::string::npos) return argument;
  std::string out = "\"";
  for (const char c : argument) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

MissingRights find_missing_rights(RedisSync& redis, const RedisAddress& address,
                                  const RedisKeys& keys, std::string& error) {
  MissingRights missing;
  const auto note = [&](const SyncReply& reply, const Need& need) {
    const std::string_view text = reply.error();
    if (text.empty()) return;
    if (is_refusal(text)) {
      note_refusal(text, need, missing);
    } else if (error.empty()) {
      error = text;
    }
  };
  const std::string database = std::to_string(address.database);
  const SyncReply begun = redis({"MULTI"});
  if (!begun) return missing;
  note(begun, {"+multi", {}});
  if (!begun.error().empty()) return missing;
  for (Need& need : needs(keys)) {
    if (need.arguments[0] == "SELECT") {
      if (address.database == 0) continue;  // SELECT is not allowed in a cluster, and not needed
      need.arguments[1] = database;
    }
    note(redis(need.arguments), need);
  }
  note(redis({"DISCARD"}), {"+discard", {}});
  return missing;
}

std::string sufficient_rule(const RedisAddress& address, const RedisKeys& keys) {
  std::string out = "ACL SETUSER " + quoted(address.user.empty() ? "ringcast" : address.user) +
                    " on >PASSWORD resetkeys " + quoted("~" + literal(keys.stream)) + " " +
                    quoted("~" + literal(keys.stream) + ":*") + " resetchannels " +
                    quoted("&" + literal(keys.channel)) + " " + quoted("&" + literal(keys.marks)) +
                    " -@all";
  std::vector<std::string> rules;
  for (const Need& need : needs(keys)) add_once(rules, need.rule);
  for (const std::string& rule : rules) out += " " + rule;
  return out + " +multi +discard";
}

}  // namespace ringcast::hub
