#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ringcast/auth/algorithm.h"
#include "ringcast/auth/keys.h"

#include "openssl.h"

namespace ringcast::auth {

/// One key. A secret has `secret`, every other kind has `pkey`, which holds no private part.
struct Key {
  KeyKind kind{};
  std::optional<Algorithm> only;   ///< `alg` of a JWK: it serves this one alone
  std::optional<std::string> kid;  ///< keys of a secret file and of PEM files have none
  std::string name;                ///< for messages: the file, and which key in it
  SecretBytes secret;
  EvpKey pkey;

  /// A secret serves only hashes that are no longer than itself (RFC 7518 section 3.2).
  [[nodiscard]] bool serves(Algorithm algorithm) const;
};

struct KeySet::Impl {
  std::vector<Key> keys;        ///< those without `kid` first
  const Key* signer = nullptr;  ///< that of the secret file, when an algorithm needs it
};

/// Of a key that OpenSSL has read, with what makes it unfit in words: its size, its curve, its
/// kind.
[[nodiscard]] Result<KeyKind> examine_public_key(EVP_PKEY* pkey);

}  // namespace ringcast::auth
