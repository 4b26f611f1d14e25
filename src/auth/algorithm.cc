#include "ringcast/auth/algorithm.h"

#include <algorithm>
#include <array>

namespace ringcast::auth {
namespace {

struct Row {
  std::string_view name;
  KeyKind kind;
};

// In the order of Algorithm.
constexpr std::array<Row, kAlgorithms> kRows = {{
    {"HS256", KeyKind::secret},
    {"HS384", KeyKind::secret},
    {"HS512", KeyKind::secret},
    {"RS256", KeyKind::rsa},
    {"RS384", KeyKind::rsa},
    {"RS512", KeyKind::rsa},
    {"PS256", KeyKind::rsa},
    {"PS384", KeyKind::rsa},
    {"PS512", KeyKind::rsa},
    {"ES256", KeyKind::p256},
    {"ES384", KeyKind::p384},
    {"EdDSA", KeyKind::ed25519},
}};
static_assert(static_cast<std::size_t>(Algorithm::eddsa) == kAlgorithms - 1);

const Row& row(Algorithm algorithm) {
  return kRows[static_cast<std::size_t>(algorithm)];
}

}  // namespace

std::optional<Algorithm> parse_algorithm(std::string_view name) {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<Algorithm>(i);
  }
  return std::nullopt;
}

std::string_view to_string(Algorithm algorithm) {
  return row(algorithm).name;
}

KeyKind key_kind(Algorithm algorithm) {
  return row(algorithm).kind;
}

bool contains(const Algorithms& algorithms, Algorithm algorithm) {
  return std::find(algorithms.begin(), algorithms.end(), algorithm) != algorithms.end();
}

}  // namespace ringcast::auth
