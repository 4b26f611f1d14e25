#pragma once

#include <optional>
#include <string_view>

#include "errors.h"

namespace ringcast::config {

/// Where the first key with more parts than any configuration needs gets too long. Tables nest as
/// deep as a dotted key is long, and toml++ frees and sorts them by recursion; its own limit of
/// nested values does not count dots. What is no TOML is left to it: what stands behind the first
/// such place does not matter, since it stops there.
[[nodiscard]] std::optional<Position> find_long_key(std::string_view toml);
inline constexpr int kDotsInKeyMax = 16;

}  // namespace ringcast::config
