#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/auth/algorithm.h"
#include "ringcast/base/result.h"

namespace ringcast::auth {

struct KeySources {
  std::string secret_file;             ///< the secret of HS…, which signs too; "" = none
  std::vector<std::string> key_files;  ///< PEM: public keys or certificates, one or more in each
  std::string jwks_file;               ///< JSON Web Key Set (RFC 7517); "" = none

  friend bool operator==(const KeySources&, const KeySources&) = default;
};

/// Limits of what is read.
inline constexpr std::size_t kKeyFileBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kKeysMax = 64;
inline constexpr std::size_t kSecretBytesMin = 32;  // RFC 7518 section 3.2, for HS256
inline constexpr std::size_t kRsaBitsMin = 2048;    // RFC 7518 section 3.3

/// Keys to verify with, and the secret to sign with. Immutable: any thread; replaced whole on
/// reload. Secrets are wiped at the end and never printed.
class KeySet {
 public:
  /// Reads all sources. Blocks; not on an event loop. A trailing line end of the secret file does
  /// not belong to the secret, which is at least as long as the longest hash of the HS… algorithms.
  /// Of a certificate the key alone is used: neither its dates nor its issuer are looked at.
  ///
  /// The error names the file, the key in it and what is wrong: too short, not on its curve,
  /// private parts in a place for public keys, an algorithm that none of the keys can serve, more
  /// than seven keys of one kind without a `kid`. Keys of a JWKS that are not for signatures
  /// (`use`, `key_ops`), of an unknown kind or for an unknown `alg` are left out, as RFC 7517
  /// section 5 asks for; a `kid` that two keys of one kind share is an error.
  [[nodiscard]] static Result<std::shared_ptr<const KeySet>> load(const KeySources& sources,
                                                                  const Algorithms& algorithms);
  ~KeySet();

  [[nodiscard]] std::size_t size() const;
  /// Whether tokens can be made: there is a secret file, and a HS… algorithm is allowed.
  [[nodiscard]] bool can_sign() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  explicit KeySet(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::auth
