#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "ringcast/auth/algorithm.h"
#include "ringcast/auth/keys.h"
#include "ringcast/auth/token.h"
#include "ringcast/base/assert.h"

#include "../temporary_folder.h"
#include "base64url.h"
#include "openssl.h"

/// Keys and tokens as another party makes them: for tests, benchmarks and fuzzing.
namespace ringcast::test {

using auth::Algorithm;
using auth::EvpKey;

inline constexpr std::string_view kSecret =
    "a secret of sixty-four bytes, which is enough for any of them 64";
static_assert(kSecret.size() == 64);

inline EvpKey make_rsa(std::size_t bits) {
  return EvpKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits));
}
inline EvpKey make_ec(const char* curve) {
  return EvpKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
}
inline EvpKey make_plain(const char* type) {
  return EvpKey(EVP_PKEY_Q_keygen(nullptr, nullptr, type));
}

/// One key of each kind, made once: RSA takes a while.
inline EVP_PKEY* key_for(Algorithm algorithm) {
  static const EvpKey rsa = make_rsa(2048);
  static const EvpKey p256 = make_ec("P-256");
  static const EvpKey p384 = make_ec("P-384");
  static const EvpKey ed25519 = make_plain("ED25519");
  switch (auth::key_kind(algorithm)) {
    case auth::KeyKind::rsa:
      return rsa.get();
    case auth::KeyKind::p256:
      return p256.get();
    case auth::KeyKind::p384:
      return p384.get();
    case auth::KeyKind::ed25519:
      return ed25519.get();
    case auth::KeyKind::secret:
      break;
  }
  return nullptr;
}

inline std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}
inline std::string public_pem(EVP_PKEY* key) {
  const auth::Bio bio(BIO_new(BIO_s_mem()));
  RC_ASSERT(PEM_write_bio_PUBKEY(bio.get(), key) == 1);
  return text_of(bio.get());
}
inline std::string private_pem(EVP_PKEY* key) {
  const auth::Bio bio(BIO_new(BIO_s_mem()));
  RC_ASSERT(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(bio.get());
}

inline std::string base64url(std::string_view bytes) {
  std::string text;
  auth::append_base64url(text, bytes);
  return text;
}

inline std::string number_of(EVP_PKEY* key, const char* name, std::size_t bytes = 0) {
  BIGNUM* number = nullptr;
  RC_ASSERT(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  std::string text(bytes == 0 ? static_cast<std::size_t>(BN_num_bytes(number)) : bytes, '\0');
  RC_ASSERT(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(text.data()),
                         static_cast<int>(text.size())) >= 0);
  BN_free(number);
  return base64url(text);
}

/// A JWK of the public key; `more` are members, each with a comma before it.
inline std::string jwk(EVP_PKEY* key, std::string_view more = {}) {
  std::string json = "{";
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    json += R"("kty":"RSA","n":")" + number_of(key, OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
            number_of(key, OSSL_PKEY_PARAM_RSA_E) + '"';
  } else if (EVP_PKEY_is_a(key, "EC") == 1) {
    const std::size_t bytes = (static_cast<std::size_t>(EVP_PKEY_get_bits(key)) + 7) / 8;
    json += R"("kty":"EC","crv":"P-)" + std::to_string(EVP_PKEY_get_bits(key)) + R"(","x":")" +
            number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, bytes) + R"(","y":")" +
            number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes) + '"';
  } else {
    std::string raw(32, '\0');
    std::size_t size = raw.size();
    RC_ASSERT(
        EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) == 1);
    json += R"("kty":"OKP","crv":"Ed25519","x":")" + base64url(raw) + '"';
  }
  return json + std::string(more) + "}";
}
inline std::string jwk(std::string_view secret, std::string_view more = {}) {
  return R"({"kty":"oct","k":")" + base64url(secret) + '"' + std::string(more) + "}";
}
inline std::string jwks(const std::vector<std::string>& keys) {
  std::string json = R"({"keys":[)";
  for (const std::string& key : keys) json += (json.ends_with('[') ? "" : ",") + key;
  return json + "]}";
}

inline std::string hmac(Algorithm algorithm, std::string_view secret, std::string_view text) {
  std::string signature(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  RC_ASSERT(HMAC(auth::hash_of(algorithm).md, secret.data(), static_cast<int>(secret.size()),
                 reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                 reinterpret_cast<unsigned char*>(signature.data()), &size) != nullptr);
  signature.resize(size);
  return signature;
}

struct PssOptions {
  int salt_bytes = RSA_PSS_SALTLEN_DIGEST;
  const EVP_MD* mgf1 = nullptr;  ///< null = the hash of the algorithm
};

/// As OpenSSL gives it: DER for ECDSA.
inline std::string sign_plainly(Algorithm algorithm, EVP_PKEY* key, std::string_view text,
                                const PssOptions& pss = {}) {
  const auth::EvpHashContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const EVP_MD* const md = algorithm == Algorithm::eddsa ? nullptr : auth::hash_of(algorithm).md;
  RC_ASSERT(EVP_DigestSignInit(context.get(), &options, md, nullptr, key) == 1);
  if (auth::to_string(algorithm).starts_with("PS")) {
    RC_ASSERT(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
    RC_ASSERT(EVP_PKEY_CTX_set_rsa_mgf1_md(options, pss.mgf1 == nullptr ? md : pss.mgf1) == 1);
    RC_ASSERT(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, pss.salt_bytes) == 1);
  }
  std::string signature(1024, '\0');
  std::size_t size = signature.size();
  RC_ASSERT(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                           reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1);
  signature.resize(size);
  return signature;
}

/// r and s, each of `bytes` bytes.
inline std::string raw_of_der(std::string_view der, std::size_t bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* const signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  RC_ASSERT(signature != nullptr);
  std::string raw(2 * bytes, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(raw.data());
  RC_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, static_cast<int>(bytes)) > 0);
  RC_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + bytes, static_cast<int>(bytes)) > 0);
  ECDSA_SIG_free(signature);
  return raw;
}

/// The bytes of the signature that belongs into a token. A secret is kSecret.
inline std::string sign(Algorithm algorithm, std::string_view text) {
  EVP_PKEY* const key = key_for(algorithm);
  if (key == nullptr) return hmac(algorithm, kSecret, text);
  std::string signature = sign_plainly(algorithm, key, text);
  if (algorithm == Algorithm::es256) return raw_of_der(signature, 32);
  if (algorithm == Algorithm::es384) return raw_of_der(signature, 48);
  return signature;
}

inline std::string signed_text(std::string_view header, std::string_view payload) {
  return base64url(header) + '.' + base64url(payload);
}
inline std::string token(Algorithm algorithm, std::string_view header, std::string_view payload) {
  const std::string text = signed_text(header, payload);
  return text + '.' + base64url(sign(algorithm, text));
}
/// With the least of a header.
inline std::string token(Algorithm algorithm, std::string_view payload) {
  return token(algorithm, R"({"alg":")" + std::string(auth::to_string(algorithm)) + R"("})",
               payload);
}

inline const auth::Algorithms kAllAlgorithms = {
    Algorithm::hs256, Algorithm::hs384, Algorithm::hs512, Algorithm::rs256,
    Algorithm::rs384, Algorithm::rs512, Algorithm::ps256, Algorithm::ps384,
    Algorithm::ps512, Algorithm::es256, Algorithm::es384, Algorithm::eddsa,
};

/// kSecret and the keys of key_for(), as files without a `kid`.
inline std::shared_ptr<const auth::KeySet> all_keys() {
  static const std::shared_ptr<const auth::KeySet> keys = [] {
    const TemporaryFolder folder;
    const std::string pem =
        public_pem(key_for(Algorithm::rs256)) + public_pem(key_for(Algorithm::es256)) +
        public_pem(key_for(Algorithm::es384)) + public_pem(key_for(Algorithm::eddsa));
    auto loaded = auth::KeySet::load(
        {.secret_file = folder.write("secret", kSecret), .key_files = {folder.write("keys", pem)}},
        kAllAlgorithms);
    RC_ASSERT(loaded.ok());
    return loaded.value();
  }();
  return keys;
}

inline std::shared_ptr<const auth::KeySet> keys_of_jwks(const std::vector<std::string>& keys,
                                                        const auth::Algorithms& algorithms) {
  const TemporaryFolder folder;
  auto loaded =
      auth::KeySet::load({.jwks_file = folder.write("jwks.json", jwks(keys))}, algorithms);
  RC_ASSERT(loaded.ok());
  return loaded.value();
}

/// Unix time of the tests, and a payload that is good then.
inline constexpr std::uint64_t kNowS = 1'700'000'000;
inline constexpr std::uint64_t kNowMs = kNowS * 1000;
inline constexpr std::string_view kGoodPayload = R"({"sub":"alice","exp":1700003600})";

}  // namespace ringcast::test

namespace ringcast::auth {

/// So that a failed expectation names the fault.
inline void PrintTo(TokenFault fault, std::ostream* out) {
  *out << to_string(fault);
}

}  // namespace ringcast::auth
