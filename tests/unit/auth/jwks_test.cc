#include "jwks.h"

#include <gtest/gtest.h>

#include "signing.h"

namespace {

using namespace ringcast;
using namespace ringcast::auth;

/// Of the set alone: no algorithm asks for a key.
std::string error_of(const std::string& text) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("jwks.json", text);
  const auto loaded = KeySet::load({.jwks_file = path}, {});
  if (loaded.ok()) return {};
  const std::string& message = loaded.error().message;
  EXPECT_TRUE(message.starts_with(path + ": ")) << message;
  return message.substr(std::min(message.size(), path.size() + 2));
}
std::string error_of_key(const std::string& key) {
  return error_of(test::jwks({key}));
}

std::size_t keys_in(const std::vector<std::string>& keys) {
  std::vector<Key> read;
  const auto parsed = parse_jwks(test::jwks(keys), "jwks.json", read);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return read.size();
}

EVP_PKEY* rsa() {
  return test::key_for(Algorithm::rs256);
}
EVP_PKEY* p256() {
  return test::key_for(Algorithm::es256);
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << text;
  return text.replace(at, what.size(), by);
}

/// Of a member that is a string.
std::string with_value(const std::string& key, const std::string& name, const std::string& value) {
  const std::size_t at = key.find('"' + name + R"(":")");
  EXPECT_NE(at, std::string::npos) << key;
  const std::size_t begin = at + name.size() + 4;
  std::string changed = key;
  return changed.replace(begin, key.find('"', begin) - begin, value);
}

TEST(Jwks, EveryKindIsReadAndVerifies) {
  const auto keys = test::keys_of_jwks(
      {test::jwk(test::kSecret), test::jwk(rsa(), R"(,"kid":"r","use":"sig","key_ops":["verify"])"),
       test::jwk(p256()), test::jwk(test::key_for(Algorithm::es384), R"(,"alg":"ES384")"),
       test::jwk(test::key_for(Algorithm::eddsa), R"(,"alg":"EdDSA","x5t":"abc","ext":true)")},
      test::kAllAlgorithms);
  EXPECT_EQ(keys->size(), 5U);
  TokenVerifier verifier(keys, {.algorithms = test::kAllAlgorithms});
  for (const Algorithm algorithm : test::kAllAlgorithms) {
    Claims claims;
    EXPECT_EQ(verifier.verify(test::token(algorithm, test::kGoodPayload), test::kNowMs, claims),
              TokenFault::none)
        << to_string(algorithm);
  }
}

TEST(Jwks, KeysThatAreNotForSignaturesAreLeftOut) {
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"use":"enc")")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"use":"Sig")")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"key_ops":["encrypt","wrapKey"])")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"key_ops":[])")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"use":"sig","key_ops":["deriveKey"])")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(test::kSecret, R"(,"key_ops":["sign","verify"])")}), 1U);
}

TEST(Jwks, KeysThatWeDoNotKnowAreLeftOut) {
  EXPECT_EQ(keys_in({R"({"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"})"}), 0U);
  EXPECT_EQ(keys_in({R"({"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"})"}), 0U);
  EXPECT_EQ(keys_in({R"({"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"})"}), 0U);
  EXPECT_EQ(keys_in({R"({"kty":"OKP","crv":"X25519","x":"AAAA"})"}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"alg":"RSA-OAEP")")}), 0U);
  EXPECT_EQ(keys_in({test::jwk(rsa(), R"(,"alg":"none")"), test::jwk(p256())}), 1U);
}

TEST(Jwks, AnAlgorithmOfAnotherKindIsAnError) {
  EXPECT_EQ(error_of_key(test::jwk(rsa(), R"(,"alg":"ES256")")),
            "key 1: its alg does not fit its kind");
  EXPECT_EQ(error_of_key(test::jwk(rsa(), R"(,"alg":"HS256","kid":"a")")),
            "key 1 (kid \"a\"): its alg does not fit its kind");
  EXPECT_EQ(error_of_key(test::jwk(test::kSecret, R"(,"alg":"RS256")")),
            "key 1: its alg does not fit its kind");
  EXPECT_EQ(error_of_key(test::jwk(p256(), R"(,"alg":"ES384")")),
            "key 1: its alg does not fit its kind");
}

TEST(Jwks, AKidThatTwoKeysOfOneKindShareIsAnError) {
  const std::string a = test::jwk(p256(), R"(,"kid":"a")");
  const std::string other = test::jwk(test::make_ec("P-256").get(), R"(,"kid":"a")");
  const std::string b = test::jwk(test::make_ec("P-256").get(), R"(,"kid":"b")");
  const std::string of_another_kind = test::jwk(rsa(), R"(,"kid":"a")");
  const std::string error = error_of(test::jwks({a, b, other}));
  EXPECT_TRUE(error.starts_with("key 3 (kid \"a\"): has the kid of ")) << error;
  EXPECT_EQ(error_of(test::jwks({a, b, of_another_kind})), "");
}

TEST(Jwks, PrivatePartsAreRefused) {
  EXPECT_EQ(error_of_key(test::jwk(p256(), R"(,"d":"AAAA")")),
            "key 1: has the private part \"d\"; here belongs the public key alone");
  EXPECT_NE(error_of_key(test::jwk(rsa(), R"(,"p":"AAAA")")), "");
  EXPECT_NE(error_of_key(test::jwk(test::key_for(Algorithm::eddsa), R"(,"d":"AAAA")")), "");
}

TEST(Jwks, AWeakRsaKeyIsRefused) {
  EXPECT_TRUE(error_of_key(test::jwk(test::make_rsa(1024).get()))
                  .starts_with("key 1: is an RSA key of 1024 bits; 2048"));
}

TEST(Jwks, AnRsaKeyThatAnybodyCanSignForIsRefused) {
  const std::string key = test::jwk(rsa());
  EXPECT_EQ(error_of_key(with_value(key, "e", "AQ")), "key 1: is no sound RSA key");
  EXPECT_EQ(error_of_key(with_value(key, "e", "Ag")), "key 1: is no sound RSA key");
  EXPECT_NE(error_of_key(with_value(key, "e", "AA")), "");
  // Even: 2 divides it.
  EXPECT_EQ(error_of_key(with_value(key, "n", test::base64url(std::string(256, '\x80')))),
            "key 1: is no sound RSA key");
}

TEST(Jwks, APointThatIsNotOnItsCurveIsRefused) {
  const std::string key = test::jwk(p256());
  EXPECT_EQ(error_of_key(with_value(key, "x", test::base64url(std::string(32, '\1')))),
            "key 1: is not a point on its curve");
  EXPECT_EQ(error_of_key(with_value(with_value(key, "x", test::base64url(std::string(32, '\0'))),
                                    "y", test::base64url(std::string(32, '\0')))),
            "key 1: is not a point on its curve");
  EXPECT_EQ(error_of_key(with_value(key, "x", test::base64url(std::string(32, '\xff')))),
            "key 1: is not a point on its curve");
}

// RFC 7518 section 6.2.1.2: with the zeros in front.
TEST(Jwks, CoordinatesOfAnotherLengthAreRefused) {
  const std::string key = test::jwk(p256());
  EXPECT_EQ(error_of_key(with_value(key, "y", test::base64url(std::string(31, '\1')))),
            "key 1: y must have 32 bytes");
  EXPECT_EQ(error_of_key(with_value(key, "x", test::base64url(std::string(33, '\1')))),
            "key 1: x must have 32 bytes");
  EXPECT_EQ(error_of_key(replaced(key, "P-256", "P-384")), "key 1: x must have 48 bytes");
  const std::string edwards = test::jwk(test::key_for(Algorithm::eddsa));
  EXPECT_EQ(error_of_key(with_value(edwards, "x", test::base64url(std::string(31, '\1')))),
            "key 1: x must have 32 bytes");
}

TEST(Jwks, ASecretIsAsLongAsItsHash) {
  EXPECT_EQ(error_of_key(test::jwk(std::string(32, 's'))), "");
  EXPECT_TRUE(error_of_key(test::jwk(std::string(31, 's'))).starts_with("key 1: a secret of 31"));
  EXPECT_TRUE(error_of_key(test::jwk(std::string(63, 's'), R"(,"alg":"HS512")"))
                  .starts_with("key 1: a secret of 63 bytes; HS512 needs 64"));
  // Its alg says that it need not serve the longer one.
  const test::TemporaryFolder folder;
  const auto file =
      folder.write("j", test::jwks({test::jwk(std::string(32, 's'), R"(,"alg":"HS256")"),
                                    test::jwk(std::string(64, 't'), R"(,"alg":"HS512")")}));
  EXPECT_TRUE(KeySet::load({.jwks_file = file}, {Algorithm::hs256, Algorithm::hs512}).ok());
}

TEST(Jwks, MissingAndMisshapenMembersAreNamed) {
  EXPECT_EQ(error_of_key("{}"), "key 1: kty is missing");
  EXPECT_EQ(error_of_key(R"({"kty":7})"), "key 1: kty must be a string");
  EXPECT_EQ(error_of_key(R"({"kty":"oct"})"), "key 1: k is missing");
  EXPECT_EQ(error_of_key(R"({"kty":"oct","k":7})"), "key 1: k must be a string");
  EXPECT_EQ(error_of_key(R"({"kty":"oct","k":""})"),
            "key 1: k must be base64url without padding, and not empty");
  EXPECT_EQ(error_of_key(R"({"kty":"oct","k":"AAA="})"),
            "key 1: k must be base64url without padding, and not empty");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","n":"AAAA"})"), "key 1: e is missing");
  EXPECT_EQ(error_of_key(R"({"kty":"EC","x":"AAAA"})"), "key 1: crv is missing");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","kid":7})"), "key 1: kid must be a string");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","use":7})"), "key 1: use must be a string");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","alg":[]})"), "key 1: alg must be a string");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","key_ops":"verify"})"), "key 1: key_ops must be an array");
  EXPECT_EQ(error_of_key(R"({"kty":"RSA","key_ops":[1]})"), "key 1: key_ops must hold strings");
  EXPECT_EQ(error_of_key("7"), "key 1: must be a JSON object");
}

TEST(Jwks, WhatIsNoKeySetIsRefused) {
  EXPECT_EQ(error_of(""), "not valid JSON");
  EXPECT_EQ(error_of("{"), "not valid JSON");
  EXPECT_EQ(error_of(R"({"keys":[]} x)"), "not valid JSON");
  EXPECT_EQ(error_of("{\"keys\":[],\"a\":\"\xff\"}"), "not valid JSON");
  EXPECT_EQ(error_of(std::string(100, '[') + std::string(100, ']')), "not valid JSON");
  EXPECT_EQ(error_of("[]"), "must be a JSON object");
  EXPECT_EQ(error_of("{}"), "must have an array \"keys\" (RFC 7517 section 5)");
  EXPECT_EQ(error_of(R"({"keys":{}})"), "must have an array \"keys\" (RFC 7517 section 5)");
  EXPECT_EQ(error_of(test::jwk(rsa())), "must have an array \"keys\" (RFC 7517 section 5)");
}

TEST(Jwks, ANameThatIsGivenTwiceIsAnError) {
  EXPECT_EQ(error_of(R"({"keys":[],"keys":[]})"), "a name is given more than once");
  EXPECT_EQ(error_of_key(R"({"kty":"oct","kid":"a","kty":"RSA"})"),
            "key 1: a name is given more than once");
  EXPECT_EQ(error_of_key(R"({"kty":"oct","kid":"a","\u006bty":"RSA"})"),
            "key 1: a name is given more than once");
}

TEST(Jwks, MoreThanSixtyFourKeysAreRefused) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kKeysMax; ++i) {
    keys.push_back(test::jwk(p256(), R"(,"kid":")" + std::to_string(i) + '"'));
  }
  EXPECT_EQ(error_of(test::jwks(keys)), "");
  keys.push_back(test::jwk(p256(), R"(,"kid":"one more")"));
  EXPECT_EQ(error_of(test::jwks(keys)), "key 65 (kid \"one more\"): too many keys; 64 at most");
}

TEST(Jwks, AKidIsShownWithoutItsControlCharacters) {
  EXPECT_EQ(error_of_key(R"({"kty":"oct","kid":"a\n\"\u001b[2J"})"),
            R"(key 1 (kid "a\n\"\u001b[2J"): k is missing)");
}

}  // namespace
