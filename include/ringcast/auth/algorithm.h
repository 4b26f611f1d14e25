#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ringcast::auth {

/// Signature algorithms of JSON Web Signatures (RFC 7518 section 3.1, RFC 8037 section 3.1). `none`
/// is not among them.
enum class Algorithm : std::uint8_t {
  hs256,
  hs384,
  hs512,
  rs256,
  rs384,
  rs512,
  ps256,
  ps384,
  ps512,
  es256,
  es384,
  eddsa,  ///< Ed25519
};
inline constexpr std::size_t kAlgorithms = 12;

/// `HS256`, …, `EdDSA`, compared byte by byte as RFC 7515 section 4.1.1 demands.
[[nodiscard]] std::optional<Algorithm> parse_algorithm(std::string_view name);
[[nodiscard]] std::string_view to_string(Algorithm algorithm);

/// The kind of key that an algorithm works with; a key never serves another kind.
enum class KeyKind : std::uint8_t { secret, rsa, p256, p384, ed25519 };
[[nodiscard]] KeyKind key_kind(Algorithm algorithm);

/// Those that a configuration allows, in its order: the first one that has a key signs.
using Algorithms = std::vector<Algorithm>;
[[nodiscard]] bool contains(const Algorithms& algorithms, Algorithm algorithm);

}  // namespace ringcast::auth
