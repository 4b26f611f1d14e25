#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"

namespace ringcast::load {

/// A run may add this many headers to its requests, each with so many bytes; a token may have as
/// many.
inline constexpr std::size_t kHeadersMax = 32;
inline constexpr std::size_t kHeaderBytesMax = 8192;
inline constexpr std::size_t kTokensMax = 4'000'000;

/// Whether `text` can stand in a request as it is: `Name: value`, the name a token, the value
/// without control characters (RFC 9110 sections 5.1 and 5.5), and no header on which the end of a
/// request depends.
[[nodiscard]] Result<void> check_header(std::string_view text);

/// The same for what stands before a token: the value may be empty.
[[nodiscard]] Result<void> check_token_prefix(std::string_view text);

/// Whether `text` can be a method (RFC 9110 section 9.1).
[[nodiscard]] Result<void> check_method(std::string_view text);

/// Whether `text` can stand in a path and in a JSON string as it is: letters, digits and `-._~/`.
[[nodiscard]] Result<void> check_topic(std::string_view text);

/// The tokens of a file, one a line, each of visible ASCII characters. Blocks on the file; the
/// error names it and the line.
[[nodiscard]] Result<std::vector<std::string>> read_tokens(const std::string& path);

}  // namespace ringcast::load
