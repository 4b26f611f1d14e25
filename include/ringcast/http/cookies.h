#pragma once

#include <optional>
#include <string_view>

namespace ringcast::http {

/// The value of the first cookie of that name in a Cookie header (RFC 6265 section 4.2.1), without
/// the quotes around it if it has some. Names compare byte by byte.
[[nodiscard]] std::optional<std::string_view> find_cookie(std::string_view header,
                                                          std::string_view name);

}  // namespace ringcast::http
