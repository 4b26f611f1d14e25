#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "ringcast/auth/algorithm.h"

#include "key_impl.h"
#include "openssl.h"

namespace ringcast::auth {

/// HMAC under one secret and one hash. The key is hashed in once; each text then costs its own
/// length. For one thread.
class Hmac {
 public:
  Hmac(const SecretBytes& secret, const Hash& hash);

  /// Returns the bytes of `out` that were written; none if OpenSSL failed, for want of memory.
  [[nodiscard]] std::size_t compute(std::string_view text,
                                    std::array<unsigned char, kHashBytesMax>& out);

 private:
  EvpMacContext context_;
};

/// Whether signatures hold, under one key and one algorithm that it serves. Nothing is fetched for
/// a signature. For one thread; keeps nothing of the key but OpenSSL's reference.
class SignatureCheck {
 public:
  SignatureCheck(const Key& key, Algorithm algorithm);

  /// False too if OpenSSL fails, for want of memory.
  [[nodiscard]] bool holds(std::string_view text, std::span<const unsigned char> signature);

 private:
  [[nodiscard]] bool secret_holds(std::string_view text, std::span<const unsigned char> signature);
  [[nodiscard]] bool hashed_holds(std::string_view text, std::span<const unsigned char> signature);
  [[nodiscard]] bool ed25519_holds(std::string_view text, std::span<const unsigned char> signature);
  void prepare_hashed(EVP_PKEY* pkey);
  void prepare_ed25519(EVP_PKEY* pkey);

  Algorithm algorithm_;
  std::optional<Hmac> hmac_;     // HS…
  EvpKeyContext verifier_;       // RS…, PS…, ES…
  EvpHashContext hash_context_;  // the hash for `verifier_`, or all of Ed25519
};

}  // namespace ringcast::auth
