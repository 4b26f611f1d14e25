#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ringcast {

/// The same bytes, as a text.
[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace ringcast
