#include <set>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "ringcast/auth/token.h"

#include "signing.h"

namespace {

using namespace ringcast;
using namespace ringcast::auth;

NewToken for_user(std::string_view user) {
  return {.user = user, .issued_s = test::kNowS, .seconds = 60};
}

std::string error_of(const NewToken& token) {
  const auto made = make_token(*test::all_keys(), {Algorithm::hs256}, token);
  return made.ok() ? std::string() : made.error().message;
}

/// The part with the number, decoded.
std::string part(std::string_view token, int number) {
  for (; number > 0; --number) token.remove_prefix(token.find('.') + 1);
  token = token.substr(0, token.find('.'));
  std::string bytes(base64url_bytes(token.size()), '\0');
  const auto size =
      decode_base64url(token, {reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()});
  EXPECT_EQ(size, bytes.size());
  return bytes;
}

Claims verified(const std::string& token, TokenPolicy policy = {}) {
  policy.algorithms = {Algorithm::hs256};
  TokenVerifier verifier(test::all_keys(), policy);
  Claims claims;
  EXPECT_EQ(verifier.verify(token, test::kNowMs, claims), TokenFault::none);
  return claims;
}

TEST(TokenMaker, WhatItMakesIsAccepted) {
  for (const Algorithm algorithm : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
    const auto token = make_token(*test::all_keys(), {algorithm}, for_user("alice"));
    ASSERT_TRUE(token.ok()) << token.error().message;
    EXPECT_EQ(part(token.value(), 0),
              R"({"alg":")" + std::string(to_string(algorithm)) + R"(","typ":"JWT"})");
    TokenVerifier verifier(test::all_keys(), {.algorithms = {algorithm}, .leeway_seconds = 0});
    Claims claims;
    EXPECT_EQ(verifier.verify(token.value(), test::kNowMs, claims), TokenFault::none);
    EXPECT_EQ(claims.user, "alice");
    EXPECT_EQ(claims.expires_ms, test::kNowMs + 60'000);
    EXPECT_FALSE(claims.grants);
    EXPECT_EQ(verifier.verify(token.value(), test::kNowMs + 60'000, claims), TokenFault::expired);
  }
}

TEST(TokenMaker, TheFirstAlgorithmThatTheSecretServesSigns) {
  const auto token = make_token(
      *test::all_keys(), {Algorithm::rs256, Algorithm::hs384, Algorithm::hs256}, for_user("a"));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(part(token.value(), 0), R"({"alg":"HS384","typ":"JWT"})");
}

TEST(TokenMaker, IssuerAndAudienceAreWrittenAsTheyAreAskedFor) {
  NewToken token = for_user("alice");
  token.issuer = "https://\"id\".example\\";
  token.audience = "événements\n";
  const auto made = make_token(*test::all_keys(), {Algorithm::hs256}, token);
  ASSERT_TRUE(made.ok());
  verified(made.value(),
           {.issuer = std::string(token.issuer), .audience = std::string(token.audience)});
  const auto plain = make_token(*test::all_keys(), {Algorithm::hs256}, for_user("alice"));
  EXPECT_EQ(part(plain.value(), 1).find("iss"), std::string::npos);
  EXPECT_EQ(part(plain.value(), 1).find("aud"), std::string::npos);
}

TEST(TokenMaker, EveryNameComesBackAsItWas) {
  for (const std::string_view name :
       {"alice", "\"", "\\", "a\",\"sub\":\"root", "\xf0\x9f\x98\x80 Zoë", "</script>", "{self}",
        "\xe2\x80\xa8", "a/b"}) {
    const auto token = make_token(*test::all_keys(), {Algorithm::hs256}, for_user(name));
    ASSERT_TRUE(token.ok()) << name;
    EXPECT_EQ(verified(token.value()).user, name);
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    ASSERT_EQ(parser.parse(part(token.value(), 1)).get(object), simdjson::SUCCESS);
    EXPECT_EQ(object.size(), 4U);
  }
}

TEST(TokenMaker, GrantsComeBackAsTheyWere) {
  const Grants grants{.subscribe = {"*", "orders/{self}", "a \"quoted\" one"},
                      .publish = {"", "b/*"}};
  NewToken token = for_user("alice");
  token.grants = &grants;
  const auto made = make_token(*test::all_keys(), {Algorithm::hs256}, token);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(verified(made.value()).grants, grants);
  const Grants none;
  token.grants = &none;
  const auto empty = make_token(*test::all_keys(), {Algorithm::hs256}, token);
  EXPECT_EQ(verified(empty.value()).grants, none);
}

TEST(TokenMaker, NoTwoTokensAreAlike) {
  std::set<std::string> ids;
  std::set<std::uint64_t> sessions;
  for (int i = 0; i < 100; ++i) {
    const auto token = make_token(*test::all_keys(), {Algorithm::hs256}, for_user("alice"));
    sessions.insert(verified(token.value()).session);
    simdjson::dom::parser parser;
    const std::string payload = part(token.value(), 1);
    std::string_view id;
    ASSERT_EQ(parser.parse(payload)["jti"].get(id), simdjson::SUCCESS);
    EXPECT_EQ(id.size(), 22U);  // 128 bits
    ids.insert(std::string(id));
  }
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_EQ(sessions.size(), 100U);
}

TEST(TokenMaker, SaysWhyItCannotSign) {
  const test::TemporaryFolder folder;
  const auto file = folder.write("k", test::public_pem(test::key_for(Algorithm::rs256)));
  const auto keys = KeySet::load({.key_files = {file}}, {Algorithm::rs256});
  ASSERT_TRUE(keys.ok());
  EXPECT_FALSE(make_token(*keys.value(), {Algorithm::rs256}, for_user("alice")).ok());
  EXPECT_FALSE(make_token(*keys.value(), {Algorithm::hs256}, for_user("alice")).ok());
  EXPECT_FALSE(make_token(*test::all_keys(), {Algorithm::rs256}, for_user("alice")).ok());
}

// Each of these would be refused by the verifier.
TEST(TokenMaker, MakesNoTokenThatWouldBeRefused) {
  EXPECT_EQ(error_of(for_user("")), "user: must not be empty");
  EXPECT_EQ(error_of(for_user("a\n")), "user: must not contain control characters");
  EXPECT_EQ(error_of(for_user("\xff")), "user: not valid UTF-8");

  NewToken late = for_user("alice");
  late.seconds = 253'402'300'799 - test::kNowS;
  EXPECT_EQ(error_of(late), "");
  late.seconds += 1;
  EXPECT_NE(error_of(late), "");
  late.seconds = ~std::uint64_t{0};
  EXPECT_NE(error_of(late), "");

  Grants grants{.subscribe = {"a*"}};
  NewToken granting = for_user("alice");
  granting.grants = &grants;
  EXPECT_NE(error_of(granting), "");
  grants.subscribe.assign(kPatternsMax + 1, "a");
  EXPECT_EQ(error_of(granting), "more than 256 topics");
  grants.subscribe.assign(kPatternsMax, "a");
  EXPECT_EQ(error_of(granting), "");
  grants.subscribe.assign(kPatternsMax, std::string(100, 'a'));
  EXPECT_EQ(error_of(granting), "the topics make the token longer than 8192 bytes");
}

}  // namespace
