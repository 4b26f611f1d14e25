#include "ringcast/config/config.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace ringcast::config {
namespace {

/// The configuration, or the errors as a test failure and the defaults.
Config sound(std::string_view toml) {
  const Result<Config> result = parse(toml, "f");
  if (result) return result.value();
  ADD_FAILURE() << toml << "\nis refused:\n" << result.error().message;
  return defaults();
}

std::string errors(std::string_view toml) {
  const Result<Config> result = parse(toml, "f");
  return result ? "accepted" : result.error().message;
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  EXPECT_EQ(sound(""), defaults());
  EXPECT_EQ(to_string(defaults().server.listen.at(0)), "127.0.0.1:8080");
  EXPECT_EQ(to_string(*defaults().server.admin_listen), "127.0.0.1:9080");
}

TEST(Config, EachValueArrivesInItsField) {
  const Config config = sound(R"(
    [server]
    listen = ["0.0.0.0:80", "[::]:80"]
    admin_listen = "[::1]:9"
    shards = 4
    pin = false
    drain_seconds = 0
    descriptors = "ordinary"
    state_directory = "/var/lib/x"
    streams_per_shard = 1000
    trusted_proxies = ["10.0.0.0/8", "::1"]
    public_origins = ["https://push.example.com"]
    [tls]
    listen = ["0.0.0.0:443"]
    certificate = ["/ecdsa.pem", "/rsa.pem"]
    private_key = ["/ecdsa.key", "/rsa.key"]
    redirect_to = "https://push.example.com:8443"
    handshake_seconds = 16
    handshakes_max = 17
    record_layer = "openssl"
    [auth]
    required = false
    algorithms = ["ES256", "HS512"]
    secret_file = "/s"
    key_files = ["/k", "/l"]
    jwks_file = "/j"
    users_file = "/u"
    cookie = "__Host-t"
    same_site = "none"
    token_seconds = 60
    issuer = "me"
    audience = "you"
    leeway_seconds = 0
    [auth.grants.alice]
    subscribe = ["*"]
    publish = ["orders", "user/*"]
    [cors]
    allow_origins = ["https://app.example.com", "null"]
    allow_credentials = false
    max_age_seconds = 1
    [stream]
    heartbeat_seconds = 0.25
    retry_ms = 86400000
    slow_consumer = "skip"
    replay_on_connect = true
    [stream.event_names]
    heartbeat = "h"
    gap = "g"
    refused = "größe 漢字"
    closing = "c"
    [history]
    events = 100
    bytes = "1GiB"
    [limits]
    event_bytes = 1000
    header_bytes = "4KiB"
    connect_per_second = 5
    connect_burst = 6
    streams_per_address = 7
    connect_per_second_per_address = 8
    publish_per_second_per_user = 9
    login_per_minute_per_address = 10
    login_per_minute_per_user = 11
    stream_sends_per_second = 12
    header_seconds = 13
    body_seconds = 14
    refusal = "retry"
    [redis]
    url = "redis://u:p@h:1/2"
    password_file = "/p"
    channel = "c"
    stream = "s"
    max_events = 15
    publish_timeout_seconds = 0.5
    start_timeout_seconds = 1.5
    [log]
    level = "warning"
    format = "json"
  )");
  Config expected;
  expected.server.listen = {parse_address("0.0.0.0:80").value(), parse_address("[::]:80").value()};
  expected.server.admin_listen = parse_address("[::1]:9").value();
  expected.server.shards = 4;
  expected.server.pin = false;
  expected.server.drain_seconds = 0;
  expected.server.descriptors = DescriptorChoice::ordinary;
  expected.server.state_directory = "/var/lib/x";
  expected.server.streams_per_shard = 1000;
  expected.server.trusted_proxies = {parse_ip_network("10.0.0.0/8").value(),
                                     parse_ip_network("::1").value()};
  expected.server.public_origins = {"https://push.example.com"};
  expected.tls = {.listen = {parse_address("0.0.0.0:443").value()},
                  .certificates = {"/ecdsa.pem", "/rsa.pem"},
                  .private_keys = {"/ecdsa.key", "/rsa.key"},
                  .redirect_to = "https://push.example.com:8443",
                  .connections = {16, 17, shard::StreamRecords::openssl}};
  expected.auth = {.required = false,
                   .algorithms = {auth::Algorithm::es256, auth::Algorithm::hs512},
                   .keys = {"/s", {"/k", "/l"}, "/j"},
                   .users_file = "/u",
                   .cookie = "__Host-t",
                   .same_site = auth::SameSite::none,
                   .token_seconds = 60,
                   .issuer = "me",
                   .audience = "you",
                   .leeway_seconds = 0,
                   .grants = {{"alice", {{"*"}, {"orders", "user/*"}}}}};
  expected.cors = {{"https://app.example.com", "null"}, false, 1};
  expected.stream.heartbeat_ms = 250;
  expected.stream.retry_ms = 86'400'000;
  expected.stream.slow_consumer = shard::SlowConsumer::skip;
  expected.stream.replay_on_connect = true;
  expected.stream.names = {"h", "g", "größe 漢字", "c"};
  expected.history = {100, std::size_t{1} << 30};
  expected.limits = {1000, 4096, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, shard::Refusal::retry};
  expected.redis = {"redis://u:p@h:1/2", "/p", "c", "s", 15, 500, 1'500};
  expected.log = {admin::LogLevel::warning, admin::LogFormat::json};
  EXPECT_EQ(config, expected);
  expected.redis.url = "redis://u:***@h:1/2";
  EXPECT_EQ(sound(to_toml(config)), expected) << to_toml(config);
}

TEST(Config, WhatIsPrintedIsReadAgain) {
  EXPECT_EQ(sound(to_toml(defaults())), defaults());
  Config odd;
  odd.server.admin_listen.reset();
  odd.server.state_directory = "quote \" backslash \\ tab \t line\nend \x1f\x7f 漢字";
  odd.auth.issuer = "\"\\\n漢";
  odd.auth.grants["a.b \"c\" ]\\"].publish = {"", "{self}", "\"", "\\", "漢/*"};
  odd.auth.grants["*"];
  odd.stream.heartbeat_ms = 0;
  odd.stream.names.gap = "a \"gap\" \\ #";
  odd.limits.event_bytes = 1001;
  odd.history.bytes = (std::size_t{16} << 20) + 1;
  EXPECT_EQ(sound(to_toml(odd)), odd) << to_toml(odd);
  for (const std::uint32_t ms : {10u, 999u, 1'001u, 1'010u, 1'100u, 86'400'000u}) {
    odd.stream.heartbeat_ms = ms;
    EXPECT_EQ(sound(to_toml(odd)).stream.heartbeat_ms, ms);
  }
}

TEST(Config, EachKeyIsPrinted) {
  const std::string text = to_toml(sound("[auth.grants.alice]"));
  for (const std::string& key : known_keys()) {
    EXPECT_NE(text.find("\n" + key.substr(key.rfind('.') + 1) + " = "), std::string::npos) << key;
  }
}

TEST(Config, DottedAndInlineFormsAreTheSame) {
  EXPECT_EQ(sound("server.shards = 3").server.shards, 3u);
  EXPECT_EQ(sound("stream = { event_names = { gap = \"x\" } }").stream.names.gap, "x");
}

TEST(Config, BytesHaveUnits) {
  EXPECT_EQ(sound("history.bytes = 16777217").history.bytes, 16'777'217u);
  EXPECT_EQ(sound("history.bytes = \"16777217B\"").history.bytes, 16'777'217u);
  EXPECT_EQ(sound("history.bytes = \"20000KiB\"").history.bytes, 20'480'000u);
  EXPECT_EQ(sound("history.bytes = \"64GiB\"").history.bytes, std::size_t{64} << 30);
  for (const char* wrong : {"16MB", "16", "MiB", "", "-1MiB", "+1MiB", "1.5MiB", "16 MiB", "16mib",
                            "16MiBs", "18446744073709551616B", "18014398509481985KiB"}) {
    EXPECT_EQ(errors("history.bytes = \"" + std::string(wrong) + "\""),
              "f:1:17: history.bytes: must be a number of bytes, as 65536, \"64KiB\", \"16MiB\" or "
              "\"1GiB\", not \"" +
                  std::string(wrong) + "\"");
  }
}

TEST(Config, SecondsOfAHeartbeatMayBeAFraction) {
  EXPECT_EQ(sound("stream.heartbeat_seconds = 2").stream.heartbeat_ms, 2'000u);
  EXPECT_EQ(sound("stream.heartbeat_seconds = 1.5").stream.heartbeat_ms, 1'500u);
  EXPECT_EQ(sound("stream.heartbeat_seconds = 0").stream.heartbeat_ms, 0u);
  EXPECT_EQ(sound("stream.heartbeat_seconds = 0.0").stream.heartbeat_ms, 0u);
  EXPECT_EQ(sound("stream.heartbeat_seconds = 0.01").stream.heartbeat_ms, 10u);
  for (const char* wrong : {"nan", "inf", "-inf", "-1", "-0.5", "0.0001", "1e300", "86400.001",
                            "9223372036854775807"}) {
    EXPECT_EQ(errors("stream.heartbeat_seconds = " + std::string(wrong)),
              "f:1:28: stream.heartbeat_seconds: must be 0 (off) or 0.01 to 86400 seconds");
  }
}

TEST(Config, TheEdgesOfEachRangeAreAllowedAndNoMore) {
  struct Range {
    std::string key, smallest, largest, below, above;
  };
  const Range ranges[] = {
      {"server.shards", "0", "256", "-1", "257"},
      {"server.drain_seconds", "0", "3600", "-1", "3601"},
      {"server.streams_per_shard", "0", "8388608", "-1", "8388609"},
      {"stream.retry_ms", "0", "86400000", "-1", "86400001"},
      {"history.events", "4", "16777216", "3", "16777217"},
      {"limits.header_bytes", "1024", "1048576", "1023", "1048577"},
      {"limits.connect_per_second", "0", "1000000", "-1", "1000001"},
      {"limits.connect_burst", "0", "1000000", "-1", "4294967297"},
      {"limits.streams_per_address", "0", "1000000", "-1", "1000001"},
      {"limits.connect_per_second_per_address", "0", "1000000", "-1", "1000001"},
      {"limits.publish_per_second_per_user", "0", "1000000", "-1", "1000001"},
      {"limits.login_per_minute_per_address", "0", "1000000", "-1", "1000001"},
      {"limits.login_per_minute_per_user", "0", "1000000", "-1", "1000001"},
      {"limits.stream_sends_per_second", "0", "1000", "-1", "1001"},
      {"auth.token_seconds", "60", "31536000", "59", "31536001"},
      {"auth.leeway_seconds", "0", "600", "-1", "601"},
      {"cors.max_age_seconds", "0", "86400", "-1", "86401"},
      {"redis.max_events", "1", "100000000", "0", "100000001"},
      {"limits.header_seconds", "1", "3600", "0", "3601"},
      {"limits.body_seconds", "1", "3600", "0", "-9223372036854775808"},
  };
  for (const auto& [key, smallest, largest, below, above] : ranges) {
    EXPECT_EQ(errors(key + " = " + smallest), "accepted");
    EXPECT_EQ(errors(key + " = " + largest), "accepted");
    for (const std::string& wrong : {below, above}) {
      const std::string found = errors(key + " = " + wrong);
      EXPECT_NE(found.find(key + ": must be "), std::string::npos) << found;
      EXPECT_NE(found.find(", not " + wrong), std::string::npos) << found;
    }
  }
  EXPECT_EQ(errors("limits.event_bytes = 63").substr(0, 44),
            "f:1:22: limits.event_bytes: must be 64 to \"6");
  EXPECT_EQ(errors("limits.event_bytes = \"64MiB\"\nhistory.bytes = \"2GiB\""), "accepted");
  EXPECT_NE(errors("limits.event_bytes = 67108865\nhistory.bytes = \"64GiB\""), "accepted");
  EXPECT_NE(errors("history.bytes = \"65GiB\""), "accepted");
}

TEST(Config, AWrongTypeSaysWhatWasExpectedAndFound) {
  EXPECT_EQ(errors("server.shards = \"3\""),
            "f:1:17: server.shards: expected an integer, found a string");
  EXPECT_EQ(errors("server.shards = 3.0"),
            "f:1:17: server.shards: expected an integer, found a float");
  EXPECT_EQ(errors("server.pin = 1"), "f:1:14: server.pin: expected a boolean, found an integer");
  EXPECT_EQ(errors("server.listen = \"127.0.0.1:1\""),
            "f:1:17: server.listen: expected an array of strings, found a string");
  EXPECT_EQ(errors("server.listen = [1]"),
            "f:1:18: server.listen: expected a string, found an integer");
  EXPECT_EQ(errors("log.level = true"), "f:1:13: log.level: expected a string, found a boolean");
  EXPECT_EQ(errors("history.bytes = 1979-05-27"),
            "f:1:17: history.bytes: expected an integer or a string with a unit, found a date");
  EXPECT_EQ(errors("stream.heartbeat_seconds = \"1\""),
            "f:1:28: stream.heartbeat_seconds: expected an integer or a float, found a string");
  EXPECT_EQ(errors("[server.shards]"), "f:1:1: server.shards: expected an integer, found a table");
  EXPECT_EQ(errors("server = 1"), "f:1:10: server: expected a table, found an integer");
  EXPECT_EQ(errors("[[log]]"), "f:1:1: log: expected a table, found an array");
}

TEST(Config, AChoiceListsWhatIsAllowed) {
  EXPECT_EQ(
      errors("server.descriptors = \"Direct\""),
      "f:1:22: server.descriptors: must be \"auto\", \"direct\" or \"ordinary\", not \"Direct\"");
  EXPECT_EQ(errors("log.format = \"x\\ny\""),
            "f:1:14: log.format: must be \"text\" or \"json\", not \"x\\ny\"");
}

TEST(Config, UnknownKeysAreRefusedWithTheOneThatWasMeant) {
  EXPECT_EQ(errors("[server]\n\nshard = 1"),
            "f:3:1: unknown key server.shard; did you mean server.shards?");
  EXPECT_EQ(errors("server.shrads = 1"),
            "f:1:8: unknown key server.shrads; did you mean server.shards?");
  EXPECT_EQ(errors("server.pni = 1"), "f:1:8: unknown key server.pni; did you mean server.pin?");
  EXPECT_EQ(errors("[sever]"), "f:1:2: unknown section [sever]; did you mean [server]?");
  EXPECT_EQ(errors("[stream.event_name]"),
            "f:1:9: unknown section [stream.event_name]; did you mean [stream.event_names]?");
  EXPECT_EQ(errors("retry_ms = 1"), "f:1:1: unknown key retry_ms; did you mean stream.retry_ms?");
  EXPECT_EQ(errors("[server]\ncolour = 1"), "f:2:1: unknown key server.colour");
  EXPECT_EQ(errors("\"a\\nb\" = 1"), "f:1:1: unknown key a\\nb");
}

TEST(Config, AddressesAreCheckedOneByOne) {
  EXPECT_EQ(errors("server.listen = []"),
            "f:1:17: server.listen: is empty, and tls.listen too: nobody could connect to the "
            "server");
  std::string seventeen;
  for (int i = 1; i <= 17; ++i) seventeen += "\"1.1.1.1:" + std::to_string(i) + "\",";
  EXPECT_EQ(errors("server.listen = [" + seventeen + "]"),
            "f:1:17: server.listen: must hold at most 16 addresses, not 17");
  EXPECT_EQ(errors("server.listen = [\"1.1.1.1:1\",\n \"1.1.1.1:1\"]"),
            "f:2:2: server.listen: 1.1.1.1:1 is there twice");
  EXPECT_EQ(errors("server.listen = [\"[::1]:1\", \"[0:0::1]:1\"]"),
            "f:1:29: server.listen: [::1]:1 is there twice");
  EXPECT_EQ(errors("server.listen = [\"1.1.1.1:0\", \"1.1.1.1:0\"]"), "accepted");
  EXPECT_NE(
      errors("server.listen = [\"1.1.1.1\"]").find("f:1:18: server.listen: must be ADDR:PORT"),
      std::string::npos);
  EXPECT_NE(errors("server.admin_listen = \"x\"").find("or \"\" for off"), std::string::npos);
  EXPECT_FALSE(sound("server.admin_listen = \"\"").server.admin_listen.has_value());
}

TEST(Config, TheAdminListenerNeedsAnAddressOfItsOwn) {
  EXPECT_EQ(errors("server.admin_listen = \"127.0.0.1:8080\""),
            "f:1:23: server.admin_listen: 127.0.0.1:8080 is also in server.listen");
  EXPECT_EQ(errors("server.listen = [\"127.0.0.1:9080\"]"),
            "f:1:17: server.admin_listen: 127.0.0.1:9080 is also in server.listen");
}

TEST(Config, HalfTheHistoryHoldsTwoOfTheLargestEvents) {
  EXPECT_EQ(errors("history.bytes = \"2MiB\""), "accepted");
  EXPECT_EQ(
      errors("history.bytes = 2097151"),
      "f:1:17: history.bytes: must be at least 32 times limits.event_bytes, here \"2MiB\", not "
      "2097151");
  EXPECT_EQ(
      errors("limits.event_bytes = \"1MiB\""),
      "f:1:22: history.bytes: must be at least 32 times limits.event_bytes, here \"32MiB\", not "
      "\"16MiB\"");
}

TEST(Config, ARefusedValueContradictsNothing) {
  EXPECT_EQ(errors("history.bytes = true\nlimits.event_bytes = \"1MiB\""),
            "f:1:17: history.bytes: expected an integer or a string with a unit, found a boolean");
}

TEST(Config, EventNamesAreDistinctAndFitAField) {
  const auto with = [](const std::string& value) {
    return errors("stream.event_names.gap = " + value);
  };
  EXPECT_EQ(with("\"message\""), "accepted");
  EXPECT_EQ(
      with("\"heartbeat\""),
      "f:1:26: stream.event_names.gap: must differ from stream.event_names.heartbeat, both are "
      "\"heartbeat\"");
  EXPECT_EQ(with("\"\""), "f:1:26: stream.event_names.gap: must be 1 to 256 bytes long");
  EXPECT_EQ(with("\"" + std::string(256, 'x') + "\""), "accepted");
  EXPECT_NE(with("\"" + std::string(257, 'x') + "\""), "accepted");
  for (const char* wrong : {"\"a\\nb\"", "\"a\\rb\"", "\"a\\u0000b\""}) {
    EXPECT_EQ(with(wrong), "f:1:26: stream.event_names.gap: must not contain a line end or NUL");
  }
}

TEST(Config, APathWithNulIsRefused) {
  EXPECT_EQ(errors("server.state_directory = \"a\\u0000b\""),
            "f:1:26: server.state_directory: must not contain NUL");
}

TEST(Config, AllErrorsAreReportedInTheOrderOfTheFile) {
  EXPECT_EQ(errors("[stream]\nretry_ms = -1\nx = 1\n[log]\nlevel = 1\n[history]\nevents = 0"),
            "f:2:12: stream.retry_ms: must be 0 to 86400000, not -1\n"
            "f:3:1: unknown key stream.x\n"
            "f:5:9: log.level: expected a string, found an integer\n"
            "f:7:10: history.events: must be 4 to 16777216, not 0");
}

TEST(Config, TheCountOfErrorsIsBounded) {
  std::string many;
  for (int i = 0; i < 20; ++i) many += "k" + std::to_string(i) + " = 1\n";
  EXPECT_EQ(std::ranges::count(errors(many), '\n'), 19);
  many += "k20 = 1\nk21 = 1\n";
  const std::string found = errors(many);
  EXPECT_EQ(std::ranges::count(found, '\n'), 20);
  EXPECT_TRUE(found.ends_with("f:20:1: unknown key k19\nf: and 2 more errors")) << found;
}

TEST(Config, WhatIsNotTomlIsReportedWithItsPlace) {
  EXPECT_TRUE(errors("[server]\nshards = ").starts_with("f:2:"));
  EXPECT_TRUE(errors("a = 1\na = 2").starts_with("f:2:"));
  EXPECT_TRUE(errors("\xff").starts_with("f:1:1: "));
  EXPECT_TRUE(errors("server.shards = 99999999999999999999").starts_with("f:1:"));
}

TEST(Config, ADamagedTextIsAnErrorAndNothingWorse) {
  for (const char* damaged : {"[=", "[.a]", "[[[a", "[[ [a]]", "[a", "[", "=1", "a.", "a={,}"}) {
    EXPECT_TRUE(errors(damaged).starts_with("f:1:")) << damaged;
  }
  const std::string good =
      "[auth.grants.\"a b\"]\npublish = ['x', \"\\u0079\"]\n[log]\nlevel = 'info' # c\n"
      "[stream]\nheartbeat_seconds = 1.5\nevent_names = { gap = \"\"\"g\"\"\" }\n";
  ASSERT_EQ(errors(good), "accepted");
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char c : std::string_view("[]{}.=,\"'#\\ \n\0\xff\xc3+_1e:a", 22)) {
      std::string damaged = good;
      damaged[at] = c;
      refused += parse(damaged, "f").ok() ? 0 : 1;
      damaged = good;
      damaged.insert(at, 1, c);
      refused += parse(damaged, "f").ok() ? 0 : 1;
    }
    refused += parse(good.substr(0, at), "f").ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 20 * good.size());
}

TEST(Config, CharactersBeyondAsciiStandOnlyInStringsAndComments) {
  for (const char* wrong : {"\u00e9 = 1", "[größe]", "[log]ß", "[log]\nlevel = \u0444",
                            "log.level=1\u0444", "log.level = ‘info’", "log.level = 1\"\u0444\""}) {
    EXPECT_TRUE(errors(wrong).starts_with("f:")) << wrong;
  }
  for (const char* good : {"# größe\r\n", "\xef\xbb\xbf[log]", "auth.issuer = 'ß' # ß",
                           "[auth.grants.'ß']\npublish = ['ß', \"ü\"]"}) {
    EXPECT_EQ(errors(good), "accepted") << good;
  }
}

TEST(Config, DotsInTextsAreNotThoseOfKeys) {
  const std::string dots(40, '.');
  for (const std::string& issuer :
       {"\"" + dots + "\\\"" + dots + "\\\\\" # " + dots, "'" + dots + "\\' # " + dots,
        "\"\"\"\n" + dots + "\"\"\\\"\"" + dots + "\"\"\"\"\"\n# " + dots,
        "'''" + dots + "''\n'" + dots + "'''''\n# " + dots}) {
    EXPECT_EQ(errors("auth.issuer = " + issuer), "accepted") << issuer;
    EXPECT_EQ(errors("auth.issuer = " + issuer + "\na" + dots).substr(2), [&] {
      const auto line = std::count(issuer.begin(), issuer.end(), '\n') + 2;
      return std::to_string(line) + ":18: more than 16 dots in one key";
    }());
  }
  EXPECT_EQ(errors("[log] # " + dots), "accepted");
}

TEST(Config, ATextThatNestsWithoutEndIsRefused) {
  std::string dotted = "a";
  for (int i = 0; i < 100'000; ++i) dotted += ".a";
  EXPECT_EQ(errors("\n" + dotted + " = 1"), "f:2:34: more than 16 dots in one key");
  std::string quoted = "\"=\"";
  for (int i = 0; i < 100'000; ++i) quoted += ".'='";
  EXPECT_EQ(errors(quoted + " = 1"), "f:1:68: more than 16 dots in one key");
  const std::string key = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";
  std::string nested;
  for (int i = 0; i < 10'000; ++i) nested += key + "=[\n{";
  EXPECT_TRUE(errors(nested).starts_with("f:")) << "arrays and tables nest, too";
  EXPECT_EQ(errors(key + ".a = 1"), "f:1:34: more than 16 dots in one key");
  EXPECT_EQ(errors("[" + key + "]\n" + key + " = {" + key + " = 1, " + key + "b = 1}"),
            "f:1:2: unknown section [a]");
  EXPECT_TRUE(errors("a = " + std::string(100'000, '[')).starts_with("f:1:"));
}

TEST(Config, AFileIsReadUnderItsName) {
  const std::string path = testing::TempDir() + "ringcast_config_test.toml";
  std::ofstream(path) << "[server]\nshards = 2\n";
  const auto good = load(path);
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(good.value().server.shards, 2u);
  std::ofstream(path) << "[server]\nshards = true\n";
  const auto bad = load(path);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message,
            path + ":2:10: server.shards: expected an integer, found a boolean");
  std::ofstream(path) << std::string(kFileBytesMax + 1, '\n');
  EXPECT_EQ(load(path).error().message, path + ": is larger than 1048576 bytes");
  std::remove(path.c_str());
  EXPECT_EQ(load(path).error().message,
            path + ": cannot be read: No such file or directory (ENOENT)");
}

TEST(Config, RelativePathsOfAFileStartAtItsFolder) {
  const std::string folder = testing::TempDir() + "ringcast_config_folder";
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/x.toml";
  const std::string text =
      "server.state_directory = \"state\"\n"
      "[auth]\nsecret_file = \"jwt.secret\"\nkey_files = [\"../a.pem\", \"/keys/b.pem\"]\n"
      "jwks_file = \"keys/jwks.json\"\nusers_file = \"users\"\n";
  std::ofstream(path) << text;
  const std::string start = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  for (const std::string& name :
       {path, std::string("x.toml"),
        std::string("./../") + folder.substr(folder.rfind('/') + 1) + "/x.toml"}) {
    const auto config = load(name);
    ASSERT_TRUE(config.ok()) << config.error().message;
    const auth::AuthOptions& auth = config.value().auth;
    for (const std::string& found :
         {config.value().server.state_directory + "=state", auth.keys.secret_file + "=jwt.secret",
          auth.keys.key_files.at(0) + "=../a.pem", auth.keys.jwks_file + "=keys/jwks.json",
          auth.users_file + "=users"}) {
      const std::size_t equals = found.find('=');
      const std::filesystem::path resolved = found.substr(0, equals);
      EXPECT_TRUE(resolved.is_absolute()) << found;
      EXPECT_EQ(std::filesystem::weakly_canonical(resolved),
                std::filesystem::weakly_canonical(folder + "/" + found.substr(equals + 1)));
    }
    EXPECT_EQ(auth.keys.key_files.at(1), "/keys/b.pem");
    EXPECT_EQ(parse(to_toml(config.value()), "printed").value(), config.value());
  }
  std::filesystem::current_path(start);
  EXPECT_EQ(sound(text).auth.users_file, "users");
  std::filesystem::remove_all(folder);
}

TEST(Config, APathThatIsNotGivenStaysNone) {
  const std::string path = testing::TempDir() + "ringcast_config_no_paths_test.toml";
  std::ofstream(path) << "";
  EXPECT_EQ(load(path).value(), defaults());
  std::remove(path.c_str());
}

TEST(Config, ADirectoryIsNoFile) {
  EXPECT_NE(load("/").error().message.find("EISDIR"), std::string::npos);
}

TEST(StateDirectory, IsTheFirstThatIsKnown) {
  std::string state;
  std::string xdg;
  std::string home;
  const Environment environment = [&](const char* name) -> const char* {
    const std::string_view wanted(name);
    const std::string& value = wanted == "STATE_DIRECTORY"  ? state
                               : wanted == "XDG_STATE_HOME" ? xdg
                                                            : home;
    return value.empty() ? nullptr : value.c_str();
  };
  EXPECT_NE(find_state_directory("", environment).error().message.find("state_directory"),
            std::string::npos);
  home = "/people/a";
  EXPECT_EQ(find_state_directory("", environment).value(), "/people/a/.local/state/ringcast");
  xdg = "relative";
  EXPECT_EQ(find_state_directory("", environment).value(), "/people/a/.local/state/ringcast");
  xdg = "/xdg";
  EXPECT_EQ(find_state_directory("", environment).value(), "/xdg/ringcast");
  state = "/var/lib/ringcast:/var/lib/other";
  EXPECT_EQ(find_state_directory("", environment).value(), "/var/lib/ringcast");
  EXPECT_EQ(find_state_directory("./here", environment).value(), "./here");
}

}  // namespace
}  // namespace ringcast::config
