#pragma once

#include <string_view>
#include <vector>

#include "ringcast/base/result.h"

#include "key_impl.h"

namespace ringcast::auth {

/// Reads a JSON Web Key Set (RFC 7517) and appends its keys. `file` is for the messages. What is
/// left out and what is an error: see KeySet::load.
[[nodiscard]] Result<void> parse_jwks(std::string_view text, std::string_view file,
                                      std::vector<Key>& keys);

}  // namespace ringcast::auth
