#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/config/config.h"

// What holds for every key that there is.
namespace ringcast::config {
namespace {

constexpr bool kRestart = true;
constexpr bool kReload = false;

struct Example {
  std::string_view value;  ///< not the default
  bool restart;
  std::string_view beside = {};  ///< what it cannot be without
};

constexpr std::string_view kFiles = "tls.certificate = \"c\"\ntls.private_key = \"k\"\n";
constexpr std::string_view kTls =
    "tls.certificate = \"c\"\ntls.private_key = \"k\"\ntls.listen = [\"1.1.1.1:1\"]\n";

const std::map<std::string, Example> kExamples = {
    {"server.listen", {"[\"1.1.1.1:1\"]", kRestart}},
    {"server.admin_listen", {"\"\"", kRestart}},
    {"server.shards", {"1", kRestart}},
    {"server.pin", {"false", kRestart}},
    {"server.drain_seconds", {"1", kRestart}},
    {"server.descriptors", {"\"direct\"", kRestart}},
    {"server.state_directory", {"\"x\"", kRestart}},
    {"server.streams_per_shard", {"1", kRestart}},
    {"server.trusted_proxies", {"[\"10.0.0.0/8\"]", kReload}},
    {"server.public_origins", {"[\"https://a.example\"]", kReload}},
    {"tls.listen", {"[\"1.1.1.1:1\"]", kRestart, kFiles}},
    {"tls.certificate", {"[\"x\", \"y\"]", kReload}},
    {"tls.private_key", {"\"x\"", kReload}},
    {"tls.redirect_to", {"\"https://a.example\"", kReload, kTls}},
    {"tls.handshake_seconds", {"1", kRestart}},
    {"tls.handshakes_max", {"1", kRestart}},
    {"tls.record_layer", {"\"openssl\"", kRestart}},
    {"auth.required", {"false", kReload}},
    {"auth.algorithms", {"[\"HS512\"]", kReload}},
    {"auth.secret_file", {"\"x\"", kReload}},
    {"auth.key_files", {"[\"x\"]", kReload}},
    {"auth.jwks_file", {"\"x\"", kReload}},
    {"auth.users_file", {"\"x\"", kReload}},
    {"auth.cookie", {"\"x\"", kReload}},
    {"auth.same_site", {"\"strict\"", kReload}},
    {"auth.token_seconds", {"60", kReload}},
    {"auth.issuer", {"\"x\"", kReload}},
    {"auth.audience", {"\"x\"", kReload}},
    {"auth.leeway_seconds", {"0", kReload}},
    {"auth.grants.*.subscribe", {"[\"x\"]", kReload}},
    {"auth.grants.*.publish", {"[\"x\"]", kReload}},
    {"cors.allow_origins", {"[\"https://a.example\"]", kReload}},
    {"cors.allow_credentials", {"false", kReload}},
    {"cors.max_age_seconds", {"0", kReload}},
    {"stream.heartbeat_seconds", {"1", kRestart}},
    {"stream.retry_ms", {"1", kRestart}},
    {"stream.slow_consumer", {"\"skip\"", kRestart}},
    {"stream.replay_on_connect", {"true", kRestart}},
    {"stream.event_names.heartbeat", {"\"x\"", kRestart}},
    {"stream.event_names.gap", {"\"x\"", kRestart}},
    {"stream.event_names.refused", {"\"x\"", kRestart}},
    {"stream.event_names.closing", {"\"x\"", kRestart}},
    {"history.events", {"4", kRestart}},
    {"history.bytes", {"\"2MiB\"", kRestart}},
    {"limits.event_bytes", {"64", kRestart}},
    {"limits.header_bytes", {"1024", kRestart}},
    {"limits.connect_per_second", {"1", kReload}},
    {"limits.connect_burst", {"1", kReload}},
    {"limits.streams_per_address", {"1", kReload}},
    {"limits.connect_per_second_per_address", {"1", kReload}},
    {"limits.publish_per_second_per_user", {"1", kReload}},
    {"limits.login_per_minute_per_address", {"1", kReload}},
    {"limits.login_per_minute_per_user", {"1", kReload}},
    {"limits.stream_sends_per_second", {"1", kRestart}},
    {"limits.header_seconds", {"1", kRestart}},
    {"limits.body_seconds", {"1", kRestart}},
    {"limits.refusal", {"\"status\"", kReload}},
    {"redis.url", {"\"redis://h\"", kRestart}},
    {"redis.password_file", {"\"x\"", kRestart}},
    {"redis.channel", {"\"x\"", kRestart}},
    {"redis.stream", {"\"x\"", kRestart}},
    {"redis.max_events", {"1", kRestart}},
    {"redis.publish_timeout_seconds", {"0.1", kRestart}},
    {"redis.start_timeout_seconds", {"0", kRestart}},
    {"log.level", {"\"off\"", kReload}},
    {"log.format", {"\"json\"", kReload}},
};

std::string assignment(std::string key, std::string_view value) {
  if (const std::size_t star = key.find('*'); star != std::string::npos) {
    key.replace(star, 1, "\"*\"");
  }
  return key + " = " + std::string(value);
}

Config read(const std::string& toml) {
  const Result<Config> config = parse(toml, "f");
  if (config) return config.value();
  ADD_FAILURE() << toml << "\nis refused:\n" << config.error().message;
  return defaults();
}

Config without(const Example& example) {
  return read(std::string(example.beside));
}

Config with(const std::string& key, const Example& example) {
  return read(std::string(example.beside) + assignment(key, example.value));
}

TEST(Keys, EachHasAnExampleHere) {
  std::vector<std::string> names;
  for (const auto& [key, example] : kExamples) names.push_back(key);
  std::vector<std::string> known = known_keys();
  std::ranges::sort(known);
  EXPECT_EQ(names, known);
}

TEST(Keys, EqualityLooksAtEachAndPrintingKeepsIt) {
  for (const auto& [key, example] : kExamples) {
    const Config config = with(key, example);
    EXPECT_FALSE(config == without(example)) << key;
    const Result<Config> again = parse(to_toml(config), "printed");
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again.value(), config) << key;
  }
}

TEST(Keys, EachThatNeedsARestartIsNamedAndNoOther) {
  EXPECT_TRUE(restart_keys(defaults(), defaults()).empty());
  for (const auto& [key, example] : kExamples) {
    const std::vector<std::string> expected(example.restart ? 1 : 0, key);
    EXPECT_EQ(restart_keys(without(example), with(key, example)), expected) << key;
    EXPECT_EQ(restart_keys(with(key, example), without(example)), expected) << key;
  }
}

TEST(Keys, AllThatNeedARestartAreNamedInTheOrderOfTheFile) {
  const auto fresh = parse(
      "history.events = 100\nstream.retry_ms = 1\nlog.level = \"off\"\nserver.shards = 3", "f");
  EXPECT_EQ(restart_keys(defaults(), fresh.value()),
            (std::vector<std::string>{"server.shards", "stream.retry_ms", "history.events"}));
}

}  // namespace
}  // namespace ringcast::config
