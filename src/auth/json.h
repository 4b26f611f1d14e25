#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace ringcast::auth {

/// Deeper nesting is refused: tokens and key sets of real issuers nest three or four levels.
inline constexpr std::size_t kJsonDepthMax = 32;

/// Whether no member of the object has the name of another one. Parsers differ in which of two they
/// take, so that one could check what another does not use (RFC 7515 section 4, RFC 7519 section 4,
/// RFC 7517 section 4). `names` is kept by the caller for its memory.
///
/// Sorts: an attacker may send an object of a thousand names before any signature is looked at.
[[nodiscard]] inline bool names_differ(simdjson::dom::object object,
                                       std::vector<std::string_view>& names) {
  names.clear();
  for (const auto member : object) names.push_back(member.key);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

}  // namespace ringcast::auth
