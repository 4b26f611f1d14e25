#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "ringcast/auth/token.h"
#include "ringcast/base/time.h"
#include "ringcast/config/command_line.h"

namespace ringcast::config {
namespace {

class TokenOnCommandLine : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ringcast_token_command";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/secret") << std::string(32, 's');
    std::ofstream(folder_ + "/jwks.json")
        << R"({"keys":[{"kty":"oct","kid":"1","k":")" << std::string(43, 'A') << R"("}]})";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string file(const std::string& toml) const {
    std::string path = folder_ + "/x.toml";
    std::ofstream(path) << toml;
    return path;
  }

  /// Runs it without any variable in the environment.
  int run(const TokenCommand& command) {
    return run(command, [](const char*) -> const char* { return nullptr; });
  }
  int run(const TokenCommand& command, const Environment& environment) {
    out_.str("");
    err_.str("");
    return run_token(command, environment, out_, err_);
  }

  /// What the token on the output says, as a server with that secret and policy sees it.
  [[nodiscard]] auth::Claims claims(const std::string& secret_file,
                                    auth::TokenPolicy policy = {
                                        .algorithms = {auth::Algorithm::hs256}}) const {
    auto keys = auth::KeySet::load({.secret_file = secret_file}, policy.algorithms);
    EXPECT_TRUE(keys.ok()) << keys.error().message;
    std::string token = out_.str();
    EXPECT_TRUE(token.ends_with('\n'));
    token.pop_back();
    auth::TokenVerifier verifier(keys.value(), std::move(policy));
    auth::Claims found;
    EXPECT_EQ(to_string(verifier.verify(token, read_clock().unix_ms, found)),
              to_string(auth::TokenFault::none))
        << token;
    return found;
  }

  std::string folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

constexpr std::uint64_t kToleranceMs = 60'000;  // between making and reading, on a busy machine

TEST_F(TokenOnCommandLine, IsOneThatTheServerTakes) {
  const std::string config = file(
      "[auth]\nsecret_file = \"secret\"\nalgorithms = [\"HS512\", \"HS256\"]\ntoken_seconds = "
      "600\nleeway_seconds = 0\nissuer = \"here\"\naudience = \"there\"\n");
  std::ofstream(folder_ + "/secret") << std::string(64, 's');
  const std::uint64_t before_ms = read_clock().unix_ms;
  ASSERT_EQ(run({.config_file = config, .user = "alice"}), 0) << err_.str();
  EXPECT_EQ(err_.str(), "");
  const auth::Claims found = claims(folder_ + "/secret", {.algorithms = {auth::Algorithm::hs512},
                                                          .issuer = "here",
                                                          .audience = "there",
                                                          .leeway_seconds = 0});
  EXPECT_EQ(found.user, "alice");
  EXPECT_FALSE(found.grants.has_value());
  EXPECT_GE(found.expires_ms, before_ms + 599'000);
  EXPECT_LE(found.expires_ms, before_ms + 600'000 + kToleranceMs);
}

TEST_F(TokenOnCommandLine, HoldsTheTopicsThatWereGiven) {
  const std::string config = file("auth.secret_file = \"secret\"");
  ASSERT_EQ(run({.config_file = config, .user = "a", .subscribe = {"orders", "for/{self}", ""}}), 0)
      << err_.str();
  EXPECT_EQ(claims(folder_ + "/secret").grants, (auth::Grants{{"orders", "for/{self}", ""}, {}}));
  ASSERT_EQ(run({.config_file = config, .user = "a", .publish = {"*"}}), 0) << err_.str();
  EXPECT_EQ(claims(folder_ + "/secret").grants, (auth::Grants{{}, {"*"}}));
}

TEST_F(TokenOnCommandLine, LivesAsLongAsItWasTold) {
  const std::uint64_t before_ms = read_clock().unix_ms;
  ASSERT_EQ(
      run({.config_file = file("auth.secret_file = \"secret\""), .user = "a", .seconds = 5000}), 0)
      << err_.str();
  const auth::TokenPolicy exact{.algorithms = {auth::Algorithm::hs256}, .leeway_seconds = 0};
  const std::uint64_t expires_ms = claims(folder_ + "/secret", exact).expires_ms;
  EXPECT_GE(expires_ms, before_ms + 4'999'000);
  EXPECT_LE(expires_ms, before_ms + 5'000'000 + kToleranceMs);
}

TEST_F(TokenOnCommandLine, WithoutAFileTheSecretOfTheStateDirectoryIsMadeOnce) {
  const std::string state = folder_ + "/state";
  const Environment environment = [&state](const char* name) -> const char* {
    return std::string_view(name) == "STATE_DIRECTORY" ? state.c_str() : nullptr;
  };
  ASSERT_EQ(run({.user = "demo"}, environment), 0) << err_.str();
  EXPECT_EQ(claims(state + "/jwt.secret").user, "demo");
  EXPECT_TRUE(err_.str().starts_with("ringcast: made the user demo with the password "))
      << err_.str();
  EXPECT_TRUE(err_.str().ends_with(" in " + state + "/users.htpasswd\n")) << err_.str();

  ASSERT_EQ(run({.user = "demo"}, environment), 0) << err_.str();
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(claims(state + "/jwt.secret").user, "demo");
}

TEST_F(TokenOnCommandLine, WrongInputHasExitCodeTwo) {
  const std::string good = file("auth.secret_file = \"secret\"");
  const auto refused = [this](const TokenCommand& command, const std::string& reason) {
    EXPECT_EQ(run(command), 2) << reason;
    EXPECT_EQ(out_.str(), "");
    EXPECT_TRUE(err_.str().starts_with("ringcast: " + reason)) << err_.str();
    EXPECT_TRUE(err_.str().ends_with('\n'));
  };
  refused({.config_file = good, .user = ""}, "--user: ");
  refused({.config_file = good, .user = std::string(129, 'x')}, "--user: ");
  refused({.config_file = good, .user = "a", .subscribe = {"ok", "a*"}}, "--subscribe: ");
  refused({.config_file = good, .user = "a", .publish = {"{x}"}}, "--publish: ");
  refused({.config_file = good, .user = "a", .publish = std::vector<std::string>(257, "a")},
          "--publish: at most 256 times");
  refused({.config_file = good,
           .user = "a",
           .subscribe = std::vector<std::string>(100, std::string(100, 'a'))},
          "the topics make the token longer than 8192 bytes");
  refused({.config_file = file("auth.secret = 1"), .user = "a"},
          folder_ + "/x.toml:1:6: unknown key auth.secret");
  refused({.config_file = "/nowhere/x.toml", .user = "a"}, "/nowhere/x.toml: cannot be read");
}

TEST_F(TokenOnCommandLine, WhatCannotSignHasExitCodeOne) {
  const auto refused = [this](const std::string& toml, const std::string& reason) {
    EXPECT_EQ(run({.config_file = file(toml), .user = "a"}), 1) << reason;
    EXPECT_EQ(out_.str(), "");
    EXPECT_NE(err_.str().find(reason), std::string::npos) << err_.str();
  };
  refused("auth.secret_file = \"nothing\"", folder_ + "/nothing");
  refused("[auth]\njwks_file = \"jwks.json\"",
          "a token is signed with the secret in auth.secret_file");
  refused("auth.required = false", "auth.required is false");
  refused("", "no directory for the state of the server is known");
}

TEST_F(TokenOnCommandLine, AnOutputThatTakesNothingIsAnError) {
  out_.setstate(std::ios::badbit);
  EXPECT_EQ(run({.config_file = file("auth.secret_file = \"secret\""), .user = "a"}), 1);
  EXPECT_EQ(err_.str(), "ringcast: the token cannot be written\n");
}

}  // namespace
}  // namespace ringcast::config
