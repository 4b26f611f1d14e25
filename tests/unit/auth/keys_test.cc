#include "ringcast/auth/keys.h"

#include <gtest/gtest.h>

#include "signing.h"

namespace {

using namespace ringcast;
using namespace ringcast::auth;
using test::TemporaryFolder;

using testing::Test;

std::string error_of(const KeySources& sources, const Algorithms& algorithms) {
  const auto loaded = KeySet::load(sources, algorithms);
  return loaded.ok() ? std::string() : loaded.error().message;
}

void expect_contains(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

bool verifies(std::shared_ptr<const KeySet> keys, Algorithm algorithm, const std::string& token) {
  TokenVerifier verifier(std::move(keys), {.algorithms = {algorithm}});
  Claims claims;
  return verifier.verify(token, test::kNowMs, claims) == TokenFault::none;
}

std::string token_with_secret(Algorithm algorithm, std::string_view secret) {
  const std::string text = test::signed_text(
      R"({"alg":")" + std::string(to_string(algorithm)) + R"("})", test::kGoodPayload);
  return text + '.' + test::base64url(test::hmac(algorithm, secret, text));
}

TEST(Algorithm, EveryNameIsReadAndSaid) {
  ASSERT_EQ(test::kAllAlgorithms.size(), kAlgorithms);
  for (const Algorithm algorithm : test::kAllAlgorithms) {
    EXPECT_EQ(parse_algorithm(to_string(algorithm)), algorithm);
  }
  EXPECT_EQ(to_string(Algorithm::ps384), "PS384");
  EXPECT_EQ(to_string(Algorithm::eddsa), "EdDSA");
}

TEST(Algorithm, NamesAreComparedByteByByte) {
  for (const std::string_view name : {"", "none", "None", "hs256", "HS256 ", "HS25", "EDDSA",
                                      "ES512", "ES256K", "HS1", "HS2566"}) {
    EXPECT_FALSE(parse_algorithm(name)) << name;
  }
}

TEST(SecretFile, ALineEndAtItsEndIsNotOfTheSecret) {
  const TemporaryFolder folder;
  const std::string secret(32, 's');
  for (const std::string_view end : {"", "\n", "\r\n"}) {
    const auto keys = KeySet::load({.secret_file = folder.write("s", secret + std::string(end))},
                                   {Algorithm::hs256});
    ASSERT_TRUE(keys.ok());
    EXPECT_TRUE(
        verifies(keys.value(), Algorithm::hs256, token_with_secret(Algorithm::hs256, secret)));
  }
}

TEST(SecretFile, AllOtherBytesAreOfTheSecret) {
  const TemporaryFolder folder;
  for (const std::string_view end : {"\n\n", " \n", "\r", "\t"}) {
    const std::string text = std::string(31, 's') + '\0' + std::string(end);
    const std::string secret = text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
    const auto keys = KeySet::load({.secret_file = folder.write("s", text)}, {Algorithm::hs256});
    ASSERT_TRUE(keys.ok());
    EXPECT_TRUE(
        verifies(keys.value(), Algorithm::hs256, token_with_secret(Algorithm::hs256, secret)));
    EXPECT_FALSE(verifies(keys.value(), Algorithm::hs256,
                          token_with_secret(Algorithm::hs256, std::string(31, 's'))));
  }
}

TEST(SecretFile, ASecretIsAsLongAsTheLongestHashThatIsAllowed) {
  struct Case {
    Algorithms algorithms;
    std::size_t needed;
  };
  const std::array<Case, 4> cases = {{
      {{Algorithm::hs256}, 32},
      {{Algorithm::hs256, Algorithm::hs384}, 48},
      {{Algorithm::hs512, Algorithm::hs256}, 64},
      {{Algorithm::hs512}, 64},
  }};
  const TemporaryFolder folder;
  for (const Case& of : cases) {
    const auto file = folder.write("s", std::string(of.needed, 'x'));
    EXPECT_EQ(error_of({.secret_file = file}, of.algorithms), "");
    const auto shorter = folder.write("s", std::string(of.needed - 1, 'x'));
    const std::string error = error_of({.secret_file = shorter}, of.algorithms);
    expect_contains(error, shorter + ": a secret of " + std::to_string(of.needed - 1) + " bytes");
    expect_contains(error, std::to_string(of.needed) + " at least");
  }
}

TEST(SecretFile, AnEmptyOneAndALineEndAloneAreRefused) {
  const TemporaryFolder folder;
  for (const std::string_view text : {"", "\n", "\r\n"}) {
    expect_contains(error_of({.secret_file = folder.write("s", text)}, {Algorithm::hs256}),
                    "a secret of 0 bytes");
  }
}

// Else everybody could sign: the public key is public.
TEST(SecretFile, APublicKeyIsNoSecret) {
  const TemporaryFolder folder;
  const auto file = folder.write("s", test::public_pem(test::key_for(Algorithm::rs256)));
  expect_contains(error_of({.secret_file = file}, {Algorithm::hs256}), "is a PEM file");
}

TEST(KeyFiles, WhatCannotBeReadIsNamed) {
  const TemporaryFolder folder;
  const std::string missing = folder.path("missing");
  expect_contains(error_of({.secret_file = missing}, {Algorithm::hs256}),
                  missing + ": No such file");
  expect_contains(error_of({.key_files = {missing}}, {Algorithm::rs256}),
                  missing + ": No such file");
  expect_contains(error_of({.jwks_file = missing}, {Algorithm::rs256}), missing + ": No such file");
  expect_contains(error_of({.secret_file = folder.path("")}, {Algorithm::hs256}), "directory");
  const auto huge = folder.write("huge", std::string(kKeyFileBytesMax + 1, 'x'));
  expect_contains(error_of({.secret_file = huge}, {Algorithm::hs256}), "larger than 1 MiB");
}

TEST(KeyFiles, EveryKindIsReadFromAPublicKey) {
  const TemporaryFolder folder;
  for (const Algorithm algorithm :
       {Algorithm::rs256, Algorithm::ps512, Algorithm::es256, Algorithm::es384, Algorithm::eddsa}) {
    const auto file = folder.write("k.pem", test::public_pem(test::key_for(algorithm)));
    const auto keys = KeySet::load({.key_files = {file}}, {algorithm});
    ASSERT_TRUE(keys.ok()) << keys.error().message;
    EXPECT_EQ(keys.value()->size(), 1U);
    EXPECT_FALSE(keys.value()->can_sign());
    EXPECT_TRUE(verifies(keys.value(), algorithm, test::token(algorithm, test::kGoodPayload)));
  }
}

TEST(KeyFiles, AKeyIsReadFromACertificate) {
  const Certificate certificate(X509_new());
  EVP_PKEY* const key = test::key_for(Algorithm::es256);
  ASSERT_EQ(X509_set_pubkey(certificate.get(), key), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 60);
  ASSERT_GT(X509_sign(certificate.get(), key, EVP_sha256()), 0);
  const Bio bio(BIO_new(BIO_s_mem()));
  ASSERT_EQ(PEM_write_bio_X509(bio.get(), certificate.get()), 1);

  const TemporaryFolder folder;
  const auto keys = KeySet::load({.key_files = {folder.write("c.pem", test::text_of(bio.get()))}},
                                 {Algorithm::es256});
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_TRUE(
      verifies(keys.value(), Algorithm::es256, test::token(Algorithm::es256, test::kGoodPayload)));
}

TEST(KeyFiles, SeveralKeysInSeveralFilesAreAllTried) {
  const TemporaryFolder folder;
  const EvpKey other = test::make_ec("P-256");
  const EvpKey third = test::make_ec("P-256");
  const auto first_file =
      folder.write("a.pem", "a note\n" + test::public_pem(other.get()) + "\nanother note\n" +
                                test::public_pem(third.get()));
  const auto second_file =
      folder.write("b.pem", test::public_pem(test::key_for(Algorithm::es256)) + "the end\n");
  const auto keys = KeySet::load({.key_files = {first_file, second_file}}, {Algorithm::es256});
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_EQ(keys.value()->size(), 3U);
  EXPECT_TRUE(
      verifies(keys.value(), Algorithm::es256, test::token(Algorithm::es256, test::kGoodPayload)));
}

TEST(KeyFiles, APrivateKeyIsRefusedWithTheWayOut) {
  const TemporaryFolder folder;
  for (const Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa}) {
    const auto file = folder.write("k.pem", test::private_pem(test::key_for(algorithm)));
    const std::string error = error_of({.key_files = {file}}, {algorithm});
    expect_contains(error, file + ": key 1: is a private key");
    expect_contains(error, "openssl pkey");
  }
  const auto mixed = folder.write("k.pem", test::public_pem(test::key_for(Algorithm::rs256)) +
                                               test::private_pem(test::key_for(Algorithm::rs256)));
  expect_contains(error_of({.key_files = {mixed}}, {Algorithm::rs256}), "key 2: is a private key");
}

TEST(KeyFiles, AWeakRsaKeyIsRefused) {
  const TemporaryFolder folder;
  const EvpKey weak = test::make_rsa(1024);
  const auto file = folder.write("k.pem", test::public_pem(weak.get()));
  expect_contains(error_of({.key_files = {file}}, {Algorithm::rs256}),
                  file + ": key 1: is an RSA key of 1024 bits; 2048");
}

TEST(KeyFiles, OtherCurvesAndOtherKindsAreRefusedByName) {
  const TemporaryFolder folder;
  for (const auto& [curve, said] : {std::pair{"P-521", "secp521r1"}, {"secp256k1", "secp256k1"}}) {
    const EvpKey key = test::make_ec(curve);
    const auto file = folder.write("k.pem", test::public_pem(key.get()));
    expect_contains(error_of({.key_files = {file}}, {Algorithm::es256}),
                    "is on the curve " + std::string(said));
  }
  for (const char* const type : {"X25519", "ED448"}) {
    const EvpKey key = test::make_plain(type);
    const auto file = folder.write("k.pem", test::public_pem(key.get()));
    expect_contains(error_of({.key_files = {file}}, {Algorithm::eddsa}), "is of the kind");
  }
}

TEST(KeyFiles, WhatIsNoKeyIsRefused) {
  const TemporaryFolder folder;
  const std::string pem = test::public_pem(test::key_for(Algorithm::es256));
  const auto error = [&](const std::string& text) {
    return error_of({.key_files = {folder.write("k.pem", text)}}, {Algorithm::es256});
  };
  expect_contains(error(""), "holds no key in PEM form");
  expect_contains(error("some text\n"), "holds no key in PEM form");
  expect_contains(error("-----BEGIN PUBLIC KEY-----\nAAAA\n"), "damaged");
  std::string broken = pem;
  broken[40] = '!';
  expect_contains(error(broken), "damaged");
  expect_contains(error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
                  "no public key of a known kind");
  expect_contains(error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                  "no certificate that can be read");
  expect_contains(error("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n"),
                  "convert it");
  expect_contains(error("-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n"),
                  "\"NONSENSE\"");
}

TEST(KeySet, AnAlgorithmWithoutAKeyIsRefused) {
  const TemporaryFolder folder;
  const auto secret = folder.write("s", test::kSecret);
  const auto rsa = folder.write("r.pem", test::public_pem(test::key_for(Algorithm::rs256)));
  expect_contains(error_of({}, {Algorithm::hs256}), "no key can serve HS256");
  expect_contains(error_of({.secret_file = secret}, {Algorithm::hs256, Algorithm::rs256}),
                  "no key can serve RS256: it needs an RSA key");
  expect_contains(error_of({.key_files = {rsa}}, {Algorithm::rs256, Algorithm::es384}),
                  "no key can serve ES384: it needs a key on the curve P-384");
  expect_contains(error_of({.key_files = {rsa}}, {Algorithm::eddsa}), "no key can serve EdDSA");
  EXPECT_EQ(error_of({.secret_file = secret, .key_files = {rsa}},
                     {Algorithm::hs512, Algorithm::rs256, Algorithm::ps384}),
            "");
}

TEST(KeySet, MoreKeysWithoutKidThanAreTriedAreRefused) {
  const TemporaryFolder folder;
  std::string pem;
  for (int i = 0; i < 7; ++i) pem += test::public_pem(test::make_ec("P-256").get());
  EXPECT_EQ(error_of({.key_files = {folder.write("k.pem", pem)}}, {Algorithm::es256}), "");
  pem += test::public_pem(test::make_ec("P-384").get());
  EXPECT_EQ(error_of({.key_files = {folder.write("k.pem", pem)}}, {Algorithm::es256}), "");
  pem += test::public_pem(test::make_ec("P-256").get());
  expect_contains(error_of({.key_files = {folder.write("k.pem", pem)}}, {Algorithm::es256}),
                  "key 9: too many keys of one kind without a kid; 7 at most");
}

TEST(KeySet, SignsOnlyWithASecretFileAndAnAlgorithmForIt) {
  const TemporaryFolder folder;
  const auto secret = folder.write("s", test::kSecret);
  const auto rsa = folder.write("r.pem", test::public_pem(test::key_for(Algorithm::rs256)));
  const auto can_sign = [](const KeySources& sources, const Algorithms& algorithms) {
    return KeySet::load(sources, algorithms).value()->can_sign();
  };
  EXPECT_TRUE(can_sign({.secret_file = secret}, {Algorithm::hs256}));
  EXPECT_FALSE(can_sign({.secret_file = secret, .key_files = {rsa}}, {Algorithm::rs256}));
  EXPECT_FALSE(can_sign({.key_files = {rsa}}, {Algorithm::rs256}));
  const auto set = folder.write("j.json", test::jwks({test::jwk(test::kSecret)}));
  EXPECT_FALSE(can_sign({.jwks_file = set}, {Algorithm::hs256}));
}

}  // namespace
