#include "schema.h"

#include <array>

#include "ringcast/hub/publication.h"
#include "ringcast/uring/operation.h"

#include "access_values.h"
#include "redis_values.h"
#include "tls_values.h"

namespace ringcast::config {
namespace {

constexpr std::size_t kListenMax = 16;
constexpr std::uint32_t kShardsMax = 256;
constexpr std::uint32_t kDaySeconds = 86'400;
// Half of what the codec of completions can number: the rest is for connections that do not stream
// yet.
constexpr std::uint32_t kStreamsPerShardMax = uring::kSlotsMax / 2;
constexpr std::uint32_t kRateMax = 1'000'000;
// These are searched one after the other.
constexpr std::size_t kProxiesMax = 256;
constexpr std::size_t kOwnOriginsMax = 64;
constexpr std::size_t kAllowedOriginsMax = 1'000;
constexpr std::uint32_t kEventBytesMax = 64u << 20;
// The smallest history in which half holds two events, as `contradictions` asks for bytes.
constexpr std::uint64_t kHistoryEventsMin = 4;
constexpr std::uint64_t kHistoryEventsMax = std::uint64_t{1} << 24;
constexpr std::uint64_t kHistoryBytesMax = std::uint64_t{64} << 30;
constexpr std::uint32_t kHandshakesMax = 65'536;
constexpr std::uint64_t kRedisEventsMax = 100'000'000;

constexpr Choice<DescriptorChoice> kDescriptors[] = {{"auto", DescriptorChoice::automatic},
                                                     {"direct", DescriptorChoice::direct},
                                                     {"ordinary", DescriptorChoice::ordinary}};
constexpr Choice<auth::SameSite> kSameSites[] = {{"lax", auth::SameSite::lax},
                                                 {"strict", auth::SameSite::strict},
                                                 {"none", auth::SameSite::none}};
constexpr Choice<shard::SlowConsumer> kSlowConsumers[] = {
    {"disconnect", shard::SlowConsumer::disconnect}, {"skip", shard::SlowConsumer::skip}};
constexpr Choice<shard::Refusal> kRefusals[] = {{"auto", shard::Refusal::automatic},
                                                {"status", shard::Refusal::status},
                                                {"retry", shard::Refusal::retry}};
constexpr Choice<shard::StreamRecords> kRecordLayers[] = {
    {"own", shard::StreamRecords::own}, {"openssl", shard::StreamRecords::openssl}};
constexpr Choice<admin::LogLevel> kLevels[] = {
    {"trace", admin::LogLevel::trace}, {"debug", admin::LogLevel::debug},
    {"info", admin::LogLevel::info},   {"warning", admin::LogLevel::warning},
    {"error", admin::LogLevel::error}, {"critical", admin::LogLevel::critical},
    {"off", admin::LogLevel::off}};
constexpr Choice<admin::LogFormat> kFormats[] = {{"text", admin::LogFormat::text},
                                                 {"json", admin::LogFormat::json}};

std::string text(bool value) {
  return value ? "true" : "false";
}
std::string text(std::uint32_t value) {
  return std::to_string(value);
}
std::string text(std::size_t value) {
  return std::to_string(value);
}
std::string text(const std::vector<ListenAddress>& addresses) {
  std::string out = "[";
  for (const ListenAddress& address : addresses) {
    if (out.size() > 1) out += ", ";
    out += string_text(to_string(address));
  }
  return out + "]";
}
template <class Enum, std::size_t kCount>
std::string text(Enum value, const Choice<Enum> (&choices)[kCount]) {
  for (const Choice<Enum>& choice : choices) {
    if (choice.value == value) return string_text(choice.name);
  }
  return string_text(choices[0].name);
}

constexpr Effect kRestart = Effect::restart;
constexpr Effect kReload = Effect::reload;

constexpr std::array kSchema = std::to_array<Key>({
    {"server", "listen", kRestart, "plain HTTP, [] = none; port 0 = any free one",
     [](const Value& v, Config& c) { v.read(c.server.listen, kListenMax); },
     [](const Config& c) { return text(c.server.listen); }},
    {"server", "admin_listen", kRestart, "metrics, health, readiness; \"\" = off",
     [](const Value& v, Config& c) { v.read(c.server.admin_listen); },
     [](const Config& c) {
       return string_text(c.server.admin_listen ? to_string(*c.server.admin_listen) : "");
     }},
    {"server", "shards", kRestart, "threads; 0 = one for each CPU that the process may use",
     [](const Value& v, Config& c) {
       v.read(c.server.shards, 0, kShardsMax, "0 = one for each CPU");
     },
     [](const Config& c) { return text(c.server.shards); }},
    {"server", "pin", kRestart, "each shard to a CPU of its own",
     [](const Value& v, Config& c) { v.read(c.server.pin); },
     [](const Config& c) { return text(c.server.pin); }},
    {"server", "drain_seconds", kRestart, "seconds that a stop may take; 0 = at once",
     [](const Value& v, Config& c) { v.read(c.server.drain_seconds, 0, 3'600, "0 = at once"); },
     [](const Config& c) { return text(c.server.drain_seconds); }},
    {"server", "descriptors", kRestart,
     "\"auto\" = by trying what the kernel can; \"direct\", \"ordinary\"",
     [](const Value& v, Config& c) { v.read(c.server.descriptors, kDescriptors); },
     [](const Config& c) { return text(c.server.descriptors, kDescriptors); }},
    {"server", "state_directory", kRestart,
     "\"\" = $STATE_DIRECTORY, $XDG_STATE_HOME/ringcast or ~/.local/state/ringcast",
     [](const Value& v, Config& c) { v.read_path(c.server.state_directory); },
     [](const Config& c) { return string_text(c.server.state_directory); }},
    {"server", "streams_per_shard", kRestart, "0 = as many as descriptors allow",
     [](const Value& v, Config& c) {
       v.read(c.server.streams_per_shard, 0, kStreamsPerShardMax,
              "0 = as many as descriptors allow");
     },
     [](const Config& c) { return text(c.server.streams_per_shard); }},
    {"server", "trusted_proxies", kReload,
     "addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed",
     [](const Value& v, Config& c) { read_networks(v, c.server.trusted_proxies, kProxiesMax); },
     [](const Config& c) { return networks_text(c.server.trusted_proxies); }},
    {"server", "public_origins", kReload, "own origins as browsers see them, behind a proxy",
     [](const Value& v, Config& c) {
       read_own_origins(v, c.server.public_origins, kOwnOriginsMax);
     },
     [](const Config& c) { return strings_text(c.server.public_origins); }},

    {"tls", "listen", kRestart, "HTTPS, [] = none; port 0 = any free one",
     [](const Value& v, Config& c) { v.read(c.tls.listen, kListenMax); },
     [](const Config& c) { return text(c.tls.listen); }},
    {"tls", "certificate", kReload, "PEM, one file or several: the server's, then its issuers",
     [](const Value& v, Config& c) { read_certificates(v, c.tls.certificates); },
     [](const Config& c) { return files_text(c.tls.certificates); }},
    {"tls", "private_key", kReload, "PEM, as many files in the same order",
     [](const Value& v, Config& c) { read_private_keys(v, c.tls.private_keys); },
     [](const Config& c) { return files_text(c.tls.private_keys); }},
    {"tls", "redirect_to", kReload,
     "\"https://host[:port]\", where requests on server.listen are sent; \"\" = they are served",
     [](const Value& v, Config& c) { read_redirect(v, c.tls.redirect_to); },
     [](const Config& c) { return string_text(c.tls.redirect_to); }},
    {"tls", "handshake_seconds", kRestart, "seconds in which a handshake must begin, and then end",
     [](const Value& v, Config& c) { v.read(c.tls.connections.handshake_seconds, 1, 600); },
     [](const Config& c) { return text(c.tls.connections.handshake_seconds); }},
    {"tls", "handshakes_max", kRestart, "of each shard at a time; others wait to begin",
     [](const Value& v, Config& c) { v.read(c.tls.connections.handshakes_max, 1, kHandshakesMax); },
     [](const Config& c) { return text(c.tls.connections.handshakes_max); }},
    {"tls", "record_layer", kRestart,
     "of streams under TLS 1.3: \"own\", small; or \"openssl\", 16 KB each",
     [](const Value& v, Config& c) { v.read(c.tls.connections.records, kRecordLayers); },
     [](const Config& c) { return text(c.tls.connections.records, kRecordLayers); }},

    {"auth", "required", kReload, "false = everybody is anonymous and may do everything",
     [](const Value& v, Config& c) { v.read(c.auth.required); },
     [](const Config& c) { return text(c.auth.required); }},
    {"auth", "algorithms", kReload, "signatures that are accepted; the first HS… one signs",
     [](const Value& v, Config& c) { read_algorithms(v, c.auth.algorithms); },
     [](const Config& c) { return algorithms_text(c.auth.algorithms); }},
    {"auth", "secret_file", kReload, "secret of HS…; without any key file one is made",
     [](const Value& v, Config& c) { v.read_path(c.auth.keys.secret_file); },
     [](const Config& c) { return string_text(c.auth.keys.secret_file); }},
    {"auth", "key_files", kReload, "PEM, public keys or certificates",
     [](const Value& v, Config& c) { read_paths(v, c.auth.keys.key_files, auth::kKeysMax); },
     [](const Config& c) { return strings_text(c.auth.keys.key_files); }},
    {"auth", "jwks_file", kReload, "JSON Web Key Set; \"\" = none",
     [](const Value& v, Config& c) { v.read_path(c.auth.keys.jwks_file); },
     [](const Config& c) { return string_text(c.auth.keys.jwks_file); }},
    {"auth", "users_file", kReload, "of htpasswd -B; \"\" = none, but with a secret that was made",
     [](const Value& v, Config& c) { v.read_path(c.auth.users_file); },
     [](const Config& c) { return string_text(c.auth.users_file); }},
    {"auth", "cookie", kReload, "name of the cookie that holds the token",
     [](const Value& v, Config& c) { read_cookie_name(v, c.auth.cookie); },
     [](const Config& c) { return string_text(c.auth.cookie); }},
    {"auth", "same_site", kReload, "of the cookie: \"lax\", \"strict\", \"none\"",
     [](const Value& v, Config& c) { v.read(c.auth.same_site, kSameSites); },
     [](const Config& c) { return text(c.auth.same_site, kSameSites); }},
    {"auth", "token_seconds", kReload, "seconds that a token is good for",
     [](const Value& v, Config& c) { v.read(c.auth.token_seconds, 60, kTokenSecondsMax); },
     [](const Config& c) { return text(c.auth.token_seconds); }},
    {"auth", "issuer", kReload, "iss of each token; \"\" = not looked at",
     [](const Value& v, Config& c) { read_claim(v, c.auth.issuer); },
     [](const Config& c) { return string_text(c.auth.issuer); }},
    {"auth", "audience", kReload, "in aud of each token; \"\" = not looked at",
     [](const Value& v, Config& c) { read_claim(v, c.auth.audience); },
     [](const Config& c) { return string_text(c.auth.audience); }},
    {"auth", "leeway_seconds", kReload, "seconds by which clocks may differ",
     [](const Value& v, Config& c) { v.read(c.auth.leeway_seconds, 0, 600); },
     [](const Config& c) { return text(c.auth.leeway_seconds); }},

    {"cors", "allow_origins", kReload,
     "\"https://app.example.com\", \"https://*.example.org\", \"null\", or \"*\" for all",
     [](const Value& v, Config& c) {
       read_origin_patterns(v, c.cors.allow_origins, kAllowedOriginsMax);
     },
     [](const Config& c) { return strings_text(c.cors.allow_origins); }},
    {"cors", "allow_credentials", kReload, "cookies from those origins; not with \"*\"",
     [](const Value& v, Config& c) { v.read(c.cors.allow_credentials); },
     [](const Config& c) { return text(c.cors.allow_credentials); }},
    {"cors", "max_age_seconds", kReload, "seconds that a browser keeps a preflight; 0 = not at all",
     [](const Value& v, Config& c) {
       v.read(c.cors.max_age_seconds, 0, kDaySeconds, "0 = not at all");
     },
     [](const Config& c) { return text(c.cors.max_age_seconds); }},

    {"stream", "heartbeat_seconds", kRestart, "seconds of silence, may be a fraction; 0 = off",
     [](const Value& v, Config& c) {
       v.read_seconds_or_off(c.stream.heartbeat_ms, 10, kDaySeconds * 1'000);
     },
     [](const Config& c) { return seconds_text(c.stream.heartbeat_ms); }},
    {"stream", "retry_ms", kRestart, "milliseconds that a client waits before it connects again",
     [](const Value& v, Config& c) { v.read(c.stream.retry_ms, 0, hub::kRetryMsMax); },
     [](const Config& c) { return text(c.stream.retry_ms); }},
    {"stream", "slow_consumer", kRestart, "\"disconnect\", or \"skip\" with a gap",
     [](const Value& v, Config& c) { v.read(c.stream.slow_consumer, kSlowConsumers); },
     [](const Config& c) { return text(c.stream.slow_consumer, kSlowConsumers); }},
    {"stream", "replay_on_connect", kRestart,
     "true = the whole history for a stream without Last-Event-ID",
     [](const Value& v, Config& c) { v.read(c.stream.replay_on_connect); },
     [](const Config& c) { return text(c.stream.replay_on_connect); }},

    {"stream.event_names", "heartbeat", kRestart,
     "names of the events that the server itself sends",
     [](const Value& v, Config& c) { v.read_event_name(c.stream.names.heartbeat); },
     [](const Config& c) { return string_text(c.stream.names.heartbeat); }},
    {"stream.event_names", "gap", kRestart, "",
     [](const Value& v, Config& c) { v.read_event_name(c.stream.names.gap); },
     [](const Config& c) { return string_text(c.stream.names.gap); }},
    {"stream.event_names", "refused", kRestart, "",
     [](const Value& v, Config& c) { v.read_event_name(c.stream.names.refused); },
     [](const Config& c) { return string_text(c.stream.names.refused); }},
    {"stream.event_names", "closing", kRestart, "",
     [](const Value& v, Config& c) { v.read_event_name(c.stream.names.closing); },
     [](const Config& c) { return string_text(c.stream.names.closing); }},

    {"history", "events", kRestart, "kept for replay by each shard, whichever limit comes first",
     [](const Value& v, Config& c) {
       v.read_count(c.history.events, kHistoryEventsMin, kHistoryEventsMax);
     },
     [](const Config& c) { return text(c.history.events); }},
    {"history", "bytes", kRestart, "of encoded events, for each shard",
     [](const Value& v, Config& c) { v.read_bytes(c.history.bytes, 4'096, kHistoryBytesMax); },
     [](const Config& c) { return bytes_text(c.history.bytes); }},

    {"limits", "event_bytes", kRestart,
     "body of a publish request; its encoded event may have 8 times that",
     [](const Value& v, Config& c) { v.read_bytes(c.limits.event_bytes, 64, kEventBytesMax); },
     [](const Config& c) { return bytes_text(c.limits.event_bytes); }},
    {"limits", "header_bytes", kRestart, "head of a request",
     [](const Value& v, Config& c) { v.read_bytes(c.limits.header_bytes, 1'024, 1u << 20); },
     [](const Config& c) { return bytes_text(c.limits.header_bytes); }},
    {"limits", "connect_per_second", kReload, "new connections of each shard; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.connect_per_second, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.connect_per_second); }},
    {"limits", "connect_burst", kReload, "connections at once; 0 = as many as in one second",
     [](const Value& v, Config& c) {
       v.read(c.limits.connect_burst, 0, kRateMax, "0 = as many as in one second");
     },
     [](const Config& c) { return text(c.limits.connect_burst); }},
    {"limits", "streams_per_address", kReload, "open streams; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.streams_per_address, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.streams_per_address); }},
    {"limits", "connect_per_second_per_address", kReload, "new connections; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.connect_per_second_per_address, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.connect_per_second_per_address); }},
    {"limits", "publish_per_second_per_user", kReload, "events; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.publish_per_second_per_user, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.publish_per_second_per_user); }},
    {"limits", "login_per_minute_per_address", kReload, "attempts to sign in; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.login_per_minute_per_address, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.login_per_minute_per_address); }},
    {"limits", "login_per_minute_per_user", kReload,
     "attempts to sign in under one name; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.login_per_minute_per_user, 0, kRateMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.login_per_minute_per_user); }},
    {"limits", "stream_sends_per_second", kRestart,
     "sends to each stream: what is over waits; 0 = no limit",
     [](const Value& v, Config& c) {
       v.read(c.limits.stream_sends_per_second, 0, shard::kStreamSendsPerSecondMax, "0 = no limit");
     },
     [](const Config& c) { return text(c.limits.stream_sends_per_second); }},
    {"limits", "header_seconds", kRestart, "seconds in which a request head must arrive",
     [](const Value& v, Config& c) { v.read(c.limits.header_seconds, 1, 3'600); },
     [](const Config& c) { return text(c.limits.header_seconds); }},
    {"limits", "body_seconds", kRestart, "seconds in which a request body must arrive",
     [](const Value& v, Config& c) { v.read(c.limits.body_seconds, 1, 3'600); },
     [](const Config& c) { return text(c.limits.body_seconds); }},
    {"limits", "refusal", kReload, "\"status\", \"retry\", or \"auto\" = by what the client is",
     [](const Value& v, Config& c) { v.read(c.limits.refusal, kRefusals); },
     [](const Config& c) { return text(c.limits.refusal, kRefusals); }},

    {"redis", "url", kRestart,
     "\"redis://[[user]:password@]host[:port][/database]\"; \"\" = no Redis",
     [](const Value& v, Config& c) { read_redis_url(v, c.redis.url); },
     [](const Config& c) { return string_text(c.redis.url); },
     [](const Config& c) { return string_text(hub::masked_redis_url(c.redis.url)); }},
    {"redis", "password_file", kRestart, "its first line is the password; \"\" = that in the url",
     [](const Value& v, Config& c) { v.read_path(c.redis.password_file); },
     [](const Config& c) { return string_text(c.redis.password_file); }},
    {"redis", "channel", kRestart, "what is published there are events",
     [](const Value& v, Config& c) { read_redis_name(v, c.redis.channel); },
     [](const Config& c) { return string_text(c.redis.channel); }},
    {"redis", "stream", kRestart, "key of the stream that gives the IDs; other keys begin with it",
     [](const Value& v, Config& c) { read_redis_name(v, c.redis.stream); },
     [](const Config& c) { return string_text(c.redis.stream); }},
    {"redis", "max_events", kRestart, "kept in the stream, approximately",
     [](const Value& v, Config& c) { v.read_count(c.redis.max_events, 1, kRedisEventsMax); },
     [](const Config& c) { return text(c.redis.max_events); }},
    {"redis", "publish_timeout_seconds", kRestart,
     "seconds until a publisher is told that Redis did not answer, may be a fraction",
     [](const Value& v, Config& c) { v.read_seconds(c.redis.publish_timeout_ms, 100, 60'000); },
     [](const Config& c) { return seconds_text(c.redis.publish_timeout_ms); }},
    {"redis", "start_timeout_seconds", kRestart,
     "seconds that a start waits for Redis, may be a fraction; 0 = not at all",
     [](const Value& v, Config& c) {
       v.read_seconds(c.redis.start_timeout_ms, 0, 600'000, "0 = not at all");
     },
     [](const Config& c) { return seconds_text(c.redis.start_timeout_ms); }},

    {"log", "level", kReload,
     "\"trace\", \"debug\", \"info\", \"warning\", \"error\", \"critical\", \"off\"",
     [](const Value& v, Config& c) { v.read(c.log.level, kLevels); },
     [](const Config& c) { return text(c.log.level, kLevels); }},
    {"log", "format", kReload, "\"text\" or \"json\"",
     [](const Value& v, Config& c) { v.read(c.log.format, kFormats); },
     [](const Config& c) { return text(c.log.format, kFormats); }},
});

}  // namespace

std::span<const Key> schema() {
  return kSchema;
}

}  // namespace ringcast::config
