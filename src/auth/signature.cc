#include "signature.h"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "ringcast/base/assert.h"

namespace ringcast::auth {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_pss(Algorithm algorithm) {
  return algorithm == Algorithm::ps256 || algorithm == Algorithm::ps384 ||
         algorithm == Algorithm::ps512;
}

/// An ECDSA signature as OpenSSL reads it, ASN.1 DER (RFC 3279 section 2.2.3):
///
///   30 LENGTH   02 LENGTH r   02 LENGTH s
///
/// For P-384 at most 2 + 2 * (2 + 1 + 48) bytes, so that every length is one byte.
class EcdsaDer {
 public:
  /// `raw` is r and s, each as long as the order of the curve (RFC 7518 section 3.4).
  explicit EcdsaDer(std::span<const unsigned char> raw) {
    append_integer(raw.first(raw.size() / 2));
    append_integer(raw.subspan(raw.size() / 2));
    bytes_[0] = 0x30;
    bytes_[1] = static_cast<unsigned char>(size_ - 2);
  }

  [[nodiscard]] const unsigned char* data() const { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void append_integer(std::span<const unsigned char> number) {
    // The shortest spelling is the only one; a first bit would mean a negative number.
    while (number.size() > 1 && number.front() == 0) number = number.subspan(1);
    const bool padded = (number.front() & 0x80) != 0;
    bytes_[size_++] = 0x02;
    bytes_[size_++] = static_cast<unsigned char>(number.size() + (padded ? 1 : 0));
    if (padded) bytes_[size_++] = 0;
    std::copy(number.begin(), number.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += number.size();
  }

  std::array<unsigned char, 104> bytes_{};
  std::size_t size_ = 2;
};

/// Of r and s together; 0 for what is no ECDSA.
std::size_t ecdsa_bytes(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::es256:
      return 64;
    case Algorithm::es384:
      return 96;
    default:
      return 0;
  }
}

Hash fetch(const char* name, std::size_t bytes) {
  const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
  // An OpenSSL without SHA-2 is a broken installation: TLS would not work either.
  RC_ASSERT(md != nullptr);
  return {name, md, bytes};
}

}  // namespace

const Hash& hash_of(Algorithm algorithm) {
  static const Hash sha256 = fetch("SHA256", 32);
  static const Hash sha384 = fetch("SHA384", 48);
  static const Hash sha512 = fetch("SHA512", 64);
  switch (algorithm) {
    case Algorithm::hs384:
    case Algorithm::rs384:
    case Algorithm::ps384:
    case Algorithm::es384:
      return sha384;
    case Algorithm::hs512:
    case Algorithm::rs512:
    case Algorithm::ps512:
      return sha512;
    case Algorithm::hs256:
    case Algorithm::rs256:
    case Algorithm::ps256:
    case Algorithm::es256:
      return sha256;
    case Algorithm::eddsa:
      break;
  }
  RC_ASSERT(false);
}

EVP_MAC* hmac_algorithm() {
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  RC_ASSERT(hmac != nullptr);
  return hmac;
}

Hmac::Hmac(const SecretBytes& secret, const Hash& hash)
    : context_(EVP_MAC_CTX_new(hmac_algorithm())) {
  // OpenSSL takes the name of the hash, but does not change it.
  const std::array<OSSL_PARAM, 2> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash.name), 0),
      OSSL_PARAM_construct_end()};
  if (context_ != nullptr &&
      EVP_MAC_init(context_.get(), secret.data(), secret.size(), parameters.data()) != 1) {
    context_.reset();
  }
}

std::size_t Hmac::compute(std::string_view text, std::array<unsigned char, kHashBytesMax>& out) {
  std::size_t bytes = 0;
  // Without a key the context begins anew with the one that it has.
  if (context_ == nullptr || EVP_MAC_init(context_.get(), nullptr, 0, nullptr) != 1 ||
      EVP_MAC_update(context_.get(), bytes_of(text), text.size()) != 1 ||
      EVP_MAC_final(context_.get(), out.data(), &bytes, out.size()) != 1) {
    ERR_clear_error();
    return 0;
  }
  return bytes;
}

SignatureCheck::SignatureCheck(const Key& key, Algorithm algorithm) : algorithm_(algorithm) {
  RC_ASSERT(key.serves(algorithm));
  switch (key.kind) {
    case KeyKind::secret:
      hmac_.emplace(key.secret, hash_of(algorithm));
      break;
    case KeyKind::ed25519:
      prepare_ed25519(key.pkey.get());
      break;
    case KeyKind::rsa:
    case KeyKind::p256:
    case KeyKind::p384:
      prepare_hashed(key.pkey.get());
      break;
  }
}

// EVP_DigestVerifyInit would fetch for each signature; a context of EVP_PKEY_verify is made once,
// and verifies any number of hashes.
void SignatureCheck::prepare_hashed(EVP_PKEY* pkey) {
  const Hash& hash = hash_of(algorithm_);
  hash_context_.reset(EVP_MD_CTX_new());
  verifier_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  EVP_PKEY_CTX* const verifier = verifier_.get();
  bool ready = hash_context_ != nullptr && verifier != nullptr &&
               EVP_PKEY_verify_init(verifier) == 1 &&
               EVP_PKEY_CTX_set_signature_md(verifier, hash.md) == 1;
  if (ready && key_kind(algorithm_) == KeyKind::rsa) {
    if (is_pss(algorithm_)) {
      // RFC 7518 section 3.5: the same hash within MGF1, and a salt of exactly its length.
      ready = EVP_PKEY_CTX_set_rsa_padding(verifier, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(verifier, hash.md) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(verifier, RSA_PSS_SALTLEN_DIGEST) == 1;
    } else {
      ready = EVP_PKEY_CTX_set_rsa_padding(verifier, RSA_PKCS1_PADDING) == 1;
    }
  }
  if (!ready) verifier_.reset();
}

void SignatureCheck::prepare_ed25519(EVP_PKEY* pkey) {
  hash_context_.reset(EVP_MD_CTX_new());
  if (hash_context_ != nullptr &&
      EVP_DigestVerifyInit(hash_context_.get(), nullptr, nullptr, nullptr, pkey) != 1) {
    hash_context_.reset();
  }
}

bool SignatureCheck::holds(std::string_view text, std::span<const unsigned char> signature) {
  bool held = false;
  if (hmac_) {
    held = secret_holds(text, signature);
  } else if (algorithm_ == Algorithm::eddsa) {
    held = ed25519_holds(text, signature);
  } else {
    held = hashed_holds(text, signature);
  }
  // A refused signature leaves its reasons in a queue of this thread, where a later call of another
  // module would find them.
  if (!held) ERR_clear_error();
  return held;
}

bool SignatureCheck::secret_holds(std::string_view text, std::span<const unsigned char> signature) {
  std::array<unsigned char, kHashBytesMax> expected;
  const std::size_t bytes = hmac_->compute(text, expected);
  // The length is no secret, the bytes are: the comparison takes as long wherever they differ.
  return bytes != 0 && signature.size() == bytes &&
         CRYPTO_memcmp(signature.data(), expected.data(), bytes) == 0;
}

bool SignatureCheck::hashed_holds(std::string_view text, std::span<const unsigned char> signature) {
  const std::size_t ecdsa = ecdsa_bytes(algorithm_);
  if (ecdsa != 0) {
    // DER, or anything else that is not r and s, has another length.
    if (signature.size() != ecdsa) return false;
    // A library once took zeros for a signature of everything (CVE-2022-21449). OpenSSL does not;
    // it also refuses what is not below the order.
    const auto is_zero = [](std::span<const unsigned char> number) {
      return std::all_of(number.begin(), number.end(),
                         [](unsigned char byte) { return byte == 0; });
    };
    if (is_zero(signature.first(ecdsa / 2)) || is_zero(signature.subspan(ecdsa / 2))) return false;
  }
  const Hash& hash = hash_of(algorithm_);
  std::array<unsigned char, kHashBytesMax> digest;
  if (verifier_ == nullptr || EVP_DigestInit_ex2(hash_context_.get(), hash.md, nullptr) != 1 ||
      EVP_DigestUpdate(hash_context_.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(hash_context_.get(), digest.data(), nullptr) != 1) {
    return false;
  }
  if (ecdsa == 0) {
    return EVP_PKEY_verify(verifier_.get(), signature.data(), signature.size(), digest.data(),
                           hash.bytes) == 1;
  }
  const EcdsaDer der(signature);
  return EVP_PKEY_verify(verifier_.get(), der.data(), der.size(), digest.data(), hash.bytes) == 1;
}

bool SignatureCheck::ed25519_holds(std::string_view text,
                                   std::span<const unsigned char> signature) {
  // Begins anew with the key that the context has, which fetches nothing; newer versions refuse a
  // second use without it.
  return hash_context_ != nullptr &&
         EVP_DigestVerifyInit(hash_context_.get(), nullptr, nullptr, nullptr, nullptr) == 1 &&
         EVP_DigestVerify(hash_context_.get(), signature.data(), signature.size(), bytes_of(text),
                          text.size()) == 1;
}

}  // namespace ringcast::auth
