#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/config/config.h"

// [auth], [auth.grants], [cors] and what belongs to them in [server].
namespace ringcast::config {
namespace {

using Texts = std::vector<std::string>;

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

std::string list(std::size_t count, const std::string& front, const std::string& back) {
  std::string out = "[";
  for (std::size_t i = 0; i < count; ++i) {
    out += (i == 0 ? "\"" : ",\"") + front + std::to_string(i) + back + "\"";
  }
  return out + "]";
}

TEST(AuthConfig, AlgorithmsAreNamedAsTheyAreWrittenAndOnlyOnce) {
  EXPECT_EQ(
      sound("auth.algorithms = [\"EdDSA\", \"HS256\", \"PS384\"]").auth.algorithms,
      (auth::Algorithms{auth::Algorithm::eddsa, auth::Algorithm::hs256, auth::Algorithm::ps384}));
  const std::string all =
      "must be \"HS256\", \"HS384\", \"HS512\", \"RS256\", \"RS384\", \"RS512\", \"PS256\", "
      "\"PS384\", \"PS512\", \"ES256\", \"ES384\" or \"EdDSA\", not ";
  EXPECT_EQ(errors("auth.algorithms = [\"HS256\", \"hs384\"]"),
            "f:1:29: auth.algorithms: " + all + "\"hs384\"");
  EXPECT_EQ(errors("auth.algorithms = [\"none\"]"), "f:1:20: auth.algorithms: " + all + "\"none\"");
  EXPECT_EQ(errors("auth.algorithms = []"),
            "f:1:19: auth.algorithms: must hold 1 to 12 algorithms, not 0");
  EXPECT_EQ(errors("auth.algorithms = [\"HS256\",\n\"HS256\"]"),
            "f:2:1: auth.algorithms: \"HS256\" is there twice");
  EXPECT_EQ(errors("auth.algorithms = \"HS256\""),
            "f:1:19: auth.algorithms: expected an array of strings, found a string");
}

TEST(AuthConfig, KeyFilesAreNamedOnlyOnce) {
  EXPECT_EQ(errors("auth.key_files = [\"a\", \"\"]"),
            "f:1:24: auth.key_files: the name of a file is empty");
  EXPECT_EQ(errors("auth.key_files = [\"a\\u0000\"]"),
            "f:1:19: auth.key_files: must not contain NUL");
  EXPECT_EQ(errors("auth.key_files = [\"a\", \"a\"]"),
            "f:1:24: auth.key_files: \"a\" is there twice");
  EXPECT_EQ(errors("auth.key_files = " + list(64, "k", "")), "accepted");
  EXPECT_EQ(errors("auth.key_files = " + list(65, "k", "")),
            "f:1:18: auth.key_files: must hold at most 64 files, not 65");
  for (const std::string key : {"secret_file", "jwks_file", "users_file"}) {
    EXPECT_NE(errors("auth." + key + " = \"\\u0000\"").find(key + ": must not contain NUL"),
              std::string::npos);
  }
}

TEST(AuthConfig, TheCookieHasANameThatBrowsersTake) {
  for (const char* good : {"token", "__Host-token", "a", "!#$%&'*+-.^_`|~09AZ"}) {
    EXPECT_EQ(sound("auth.cookie = \"" + std::string(good) + "\"").auth.cookie, good);
  }
  EXPECT_EQ(errors("auth.cookie = \"" + std::string(64, 'x') + "\""), "accepted");
  for (const std::string wrong :
       {"", "a b", "a=b", "a;b", "a,b", "(a)", "a/b", "ä", "a\\\"", "a\\u007f", "a\\n",
        "01234567890123456789012345678901234567890123456789012345678901234"}) {
    EXPECT_EQ(errors("auth.cookie = \"" + wrong + "\""),
              "f:1:15: auth.cookie: must be 1 to 64 letters, digits and !#$%&'*+-.^_`|~");
  }
}

TEST(AuthConfig, ClaimsAreBounded) {
  for (const std::string key : {"issuer", "audience"}) {
    EXPECT_EQ(errors("auth." + key + " = \"" + std::string(256, 'x') + "\""), "accepted");
    EXPECT_NE(errors("auth." + key + " = \"" + std::string(257, 'x') + "\"")
                  .find("auth." + key + ": must be at most 256 bytes long"),
              std::string::npos);
  }
}

TEST(AuthConfig, SameSiteIsAChoice) {
  EXPECT_EQ(errors("auth.same_site = \"Lax\""),
            "f:1:18: auth.same_site: must be \"lax\", \"strict\" or \"none\", not \"Lax\"");
}

TEST(AuthConfig, WithoutAnyKeyFileThereMustBeAnAlgorithmForASecret) {
  const std::string without =
      "f:1:19: auth.algorithms: needs one of HS256, HS384 and HS512, or keys in auth.key_files or "
      "auth.jwks_file: without them the only key is a secret";
  EXPECT_EQ(errors("auth.algorithms = [\"RS256\", \"EdDSA\"]"), without);
  EXPECT_EQ(errors("auth.algorithms = [\"RS256\", \"HS384\"]"), "accepted");
  EXPECT_EQ(errors("[auth]\nalgorithms = [\"RS256\"]\nkey_files = [\"k\"]"), "accepted");
  EXPECT_EQ(errors("[auth]\nalgorithms = [\"RS256\"]\njwks_file = \"k\""), "accepted");
  EXPECT_EQ(errors("[auth]\nalgorithms = [\"RS256\"]\nrequired = false"), "accepted");
}

TEST(AuthConfig, SigningInNeedsASecret) {
  EXPECT_EQ(errors("auth.users_file = \"u\""), "accepted");
  EXPECT_EQ(errors("[auth]\nusers_file = \"u\"\nkey_files = [\"k\"]\nsecret_file = \"s\""),
            "accepted");
  EXPECT_EQ(errors("[auth]\nkey_files = [\"k\"]\nusers_file = \"u\""),
            "f:3:14: auth.users_file: signing in makes a token that is signed with a secret, but "
            "there is no auth.secret_file");
  EXPECT_EQ(errors("[auth]\njwks_file = \"k\"\nusers_file = \"u\"").substr(0, 24),
            "f:3:14: auth.users_file:");
  EXPECT_EQ(errors("[auth]\nkey_files = [\"k\"]\nsecret_file = \"s\"\nalgorithms = [\"ES256\"]\n"
                   "users_file = \"u\""),
            "f:5:14: auth.users_file: signing in makes a token that is signed with a secret, but "
            "auth.algorithms holds none of HS256, HS384 and HS512");
  EXPECT_EQ(errors("[auth]\nrequired = false\nkey_files = [\"k\"]\nusers_file = \"u\""),
            "accepted");
}

TEST(GrantsConfig, EachUserHasASection) {
  const Config config = sound(
      "[auth.grants.alice]\nsubscribe = [\"*\"]\npublish = [\"orders\", \"user/*\", \"\"]\n"
      "[auth.grants.\"bob@example.com\"]\n[auth.grants.\"*\"]\nsubscribe = [\"for/{self}\"]\n");
  const auth::GrantTable expected = {{"*", {{"for/{self}"}, {}}},
                                     {"alice", {{"*"}, {"orders", "user/*", ""}}},
                                     {"bob@example.com", {}}};
  EXPECT_EQ(config.auth.grants, expected);
  EXPECT_EQ(sound("auth = { grants = { alice = { publish = [\"x\"] } } }").auth.grants,
            (auth::GrantTable{{"alice", {{}, {"x"}}}}));
}

TEST(GrantsConfig, ThePrintedSectionsFollowThatOfAuth) {
  const std::string text = to_toml(
      sound("[auth.grants.alice]\nsubscribe = [\"a\", \"b\"]\n[auth.grants.\"a \\\"b\\\"\"]\n"));
  EXPECT_NE(text.find("\n\n[auth.grants.\"a \\\"b\\\"\"]\nsubscribe = []\npublish = []\n"
                      "\n[auth.grants.\"alice\"]\nsubscribe = [\"a\", \"b\"]\npublish = []\n"
                      "\n[cors]\n"),
            std::string::npos)
      << text;
}

TEST(GrantsConfig, WhatIsNoGrantIsRefused) {
  EXPECT_EQ(errors("[auth.grants.alice]\nsubscibe = []"),
            "f:2:1: unknown key auth.grants.\"alice\".subscibe; did you mean "
            "auth.grants.\"alice\".subscribe?");
  EXPECT_EQ(errors("[auth.grants.alice]\ncolour = []"),
            "f:2:1: unknown key auth.grants.\"alice\".colour");
  EXPECT_EQ(errors("[auth.grants.alice.subscribe]"),
            "f:1:1: auth.grants.\"alice\".subscribe: expected an array of strings, found a table");
  EXPECT_EQ(errors("[auth.grants]\nsubscribe = [\"*\"]"),
            "f:2:13: auth.grants.\"subscribe\": expected a table with subscribe and publish, found "
            "an array");
  EXPECT_EQ(errors("auth.grants = 1"), "f:1:15: auth.grants: expected a table, found an integer");
  EXPECT_EQ(errors("[auth.grant.alice]"),
            "f:1:7: unknown section [auth.grant]; did you mean [auth.grants]?");
  EXPECT_EQ(errors("[auth.grants.a]\npublish = [1]"),
            "f:2:12: auth.grants.\"a\".publish: expected a string, found an integer");
}

TEST(GrantsConfig, UsersHaveNamesThatATokenCanHold) {
  const std::string front = "f:1:14: auth.grants.";
  const std::string middle = ": cannot be the name of a user: ";
  EXPECT_EQ(errors("[auth.grants.\"\"]").substr(0, front.size() + 2 + middle.size()),
            front + "\"\"" + middle);
  EXPECT_EQ(errors("[auth.grants.\"a\\nb\"]").substr(0, front.size() + 6 + middle.size()),
            front + "\"a\\nb\"" + middle);
  EXPECT_EQ(errors("[auth.grants." + std::string(128, 'x') + "]"), "accepted");
  EXPECT_NE(errors("[auth.grants." + std::string(129, 'x') + "]").find(middle), std::string::npos);
}

TEST(GrantsConfig, PatternsAreCheckedOneByOne) {
  for (const char* wrong : {"a*", "*/a", "{self", "{self}{self}", "{other}", "a\\nb"}) {
    const std::string found =
        errors("[auth.grants.a]\nsubscribe = [\"b\",\n\"" + std::string(wrong) + "\"]");
    EXPECT_TRUE(found.starts_with("f:3:1: auth.grants.\"a\".subscribe: ")) << found;
  }
  EXPECT_EQ(errors("[auth.grants.a]\npublish = [\"b\", \"b\"]"),
            "f:2:17: auth.grants.\"a\".publish: \"b\" is there twice");
  EXPECT_EQ(errors("[auth.grants.a]\npublish = " + list(256, "t", "")), "accepted");
  EXPECT_EQ(errors("[auth.grants.a]\npublish = " + list(257, "t", "")),
            "f:2:11: auth.grants.\"a\".publish: must hold at most 256 patterns, not 257");
}

TEST(GrantsConfig, TheNumberOfUsersIsBounded) {
  std::string toml = "[auth.grants]\n";
  for (std::size_t i = 0; i < kGrantsMax; ++i) {
    toml += "u" + std::to_string(i) + " = {subscribe = [\"orders\"]}\n";
  }
  EXPECT_EQ(sound(toml).auth.grants.size(), kGrantsMax);
  EXPECT_EQ(errors(toml + "one_more = {}"),
            "f:1:1: auth.grants: must hold at most 10000 users, not 10001");
}

TEST(CorsConfig, OriginsAreKeptAsABrowserSendsThem) {
  EXPECT_EQ(sound("cors.allow_origins = [\"HTTPS://App.Example.com:443\", \"http://a:80\", "
                  "\"https://*.Example.org:8443\", \"null\"]")
                .cors.allow_origins,
            (Texts{"https://app.example.com", "http://a", "https://*.example.org:8443", "null"}));
}

TEST(CorsConfig, AnOriginThatNoBrowserSendsIsRefused) {
  for (const char* wrong : {"", "app.example.com", "https://a.example/", "https://a.*.example",
                            "ftp://a.example", "https://*", "**", "https://a b"}) {
    const std::string found =
        errors("cors.allow_origins = [\"https://a\",\n\"" + std::string(wrong) + "\"]");
    EXPECT_TRUE(found.starts_with("f:2:1: cors.allow_origins: ")) << found;
  }
}

TEST(CorsConfig, AnOriginIsThereOnlyOnce) {
  const auto twice = [](const std::string& other, const std::string& reported) {
    EXPECT_EQ(errors("cors.allow_origins = [\"https://a.example\", \"https://*.a.example\",\n\"" +
                     other + "\"]"),
              "f:2:1: cors.allow_origins: \"" + reported + "\" is there twice");
  };
  twice("https://a.example", "https://a.example");
  twice("https://A.example:443", "https://a.example");
  twice("https://*.A.example:443", "https://*.a.example");
  EXPECT_EQ(errors("cors.allow_origins = [\"https://a.example\", \"http://a.example\"]"),
            "accepted");
  EXPECT_EQ(errors("cors.allow_origins = " + list(1000, "https://h", "")), "accepted");
  EXPECT_EQ(errors("cors.allow_origins = " + list(1001, "https://h", "")),
            "f:1:22: cors.allow_origins: must hold at most 1000 origins, not 1001");
}

TEST(CorsConfig, CredentialsAreAllowedUnlessEveryOriginIs) {
  EXPECT_TRUE(sound("cors.allow_origins = [\"https://a\"]").cors.allow_credentials);
  EXPECT_FALSE(sound("cors.allow_origins = [\"*\"]").cors.allow_credentials);
  EXPECT_FALSE(sound("cors.allow_origins = [\"https://a\", \"*\"]").cors.allow_credentials);
  EXPECT_FALSE(sound("[cors]\nallow_origins = [\"https://a\"]\nallow_credentials = false")
                   .cors.allow_credentials);
}

TEST(CorsConfig, EveryOriginTogetherWithCredentialsIsRefused) {
  const std::string reason =
      "cors.allow_credentials: must be false while cors.allow_origins contains \"*\": every site "
      "could use the cookies of those who are signed in";
  EXPECT_EQ(errors("[cors]\nallow_origins = [\"*\"]\nallow_credentials = true"),
            "f:3:21: " + reason);
  EXPECT_EQ(errors("[cors]\nallow_credentials = true\nallow_origins = [\"https://a\", \"*\"]"),
            "f:2:21: " + reason);
  EXPECT_EQ(errors("[cors]\nallow_origins = [\"*\"]\nallow_credentials = false"), "accepted");
  EXPECT_EQ(errors("[cors]\nallow_origins = [\"*\"]\nallow_credentials = 1"),
            "f:3:21: cors.allow_credentials: expected a boolean, found an integer");
}

TEST(ServerConfig, LongListsArePrintedSoThatTheyAreReadAgain) {
  Config config;
  for (std::uint8_t i = 0; i < 200; ++i) {
    const std::string number = std::to_string(i);
    config.server.trusted_proxies.push_back(parse_ip_network("192.0.2." + number).value());
    config.cors.allow_origins.push_back("https://h" + number + std::string(100, 'x') + ".a.b.c.d");
    config.auth.keys.key_files.push_back("/a.b.c.d.e.f.g/" + number);
    config.auth.grants["alice"].publish.push_back(std::string(200, '.') + number);
  }
  config.auth.keys.key_files.resize(64);
  const Config again = sound(to_toml(config));
  EXPECT_EQ(again, config);
}

TEST(ServerConfig, TrustedProxiesAreAddressesOrNetworks) {
  const auto networks =
      sound("server.trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\"]")
          .server.trusted_proxies;
  ASSERT_EQ(networks.size(), 3u);
  EXPECT_EQ(networks[0], parse_ip_network("10.0.0.0/8").value());
  EXPECT_EQ(networks[1], parse_ip_network("192.0.2.7").value());
  EXPECT_EQ(networks[2], parse_ip_network("2001:db8::/32").value());
  for (const char* wrong : {"", "proxy", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1:80"}) {
    const std::string found =
        errors("server.trusted_proxies = [\"::1\",\n\"" + std::string(wrong) + "\"]");
    EXPECT_TRUE(found.starts_with("f:2:1: server.trusted_proxies: ")) << found;
  }
  EXPECT_EQ(errors("server.trusted_proxies = [\"::1\", \"0::1\"]"),
            "f:1:34: server.trusted_proxies: \"::1\" is there twice");
  EXPECT_EQ(errors("server.trusted_proxies = " + list(256, "10.0.0.", "")), "accepted");
  EXPECT_EQ(errors("server.trusted_proxies = " + list(257, "10.0.0.", "")),
            "f:1:26: server.trusted_proxies: must hold at most 256 addresses or networks, not 257");
}

TEST(ServerConfig, PublicOriginsAreKeptAsABrowserSendsThem) {
  EXPECT_EQ(sound("server.public_origins = [\"https://Push.example:443\", \"http://[0::1]:81\"]")
                .server.public_origins,
            (Texts{"https://push.example", "http://[::1]:81"}));
  for (const char* wrong : {"null", "*", "https://*.example", "push.example", "https://a/"}) {
    EXPECT_EQ(errors("server.public_origins = [\"" + std::string(wrong) + "\"]"),
              "f:1:26: server.public_origins: must be an origin, as \"https://app.example.com\", "
              "without a path, not \"" +
                  std::string(wrong) + "\"");
  }
  EXPECT_EQ(errors("server.public_origins = [\"https://a\", \"https://A:443\"]"),
            "f:1:39: server.public_origins: \"https://a\" is there twice");
  EXPECT_EQ(errors("server.public_origins = " + list(65, "https://h", "")),
            "f:1:25: server.public_origins: must hold at most 64 origins, not 65");
}

}  // namespace
}  // namespace ringcast::config
