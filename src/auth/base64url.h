#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ringcast::auth {

/// Bytes that `digits` digits stand for.
[[nodiscard]] constexpr std::size_t base64url_bytes(std::size_t digits) {
  return digits / 4 * 3 + (digits % 4) * 3 / 4;
}

/// Decodes base64url without padding (RFC 7515 section 2, RFC 4648 section 5) into `out`, which has
/// room for base64url_bytes(text.size()). Strict, so that bytes have one spelling only: no padding,
/// no white space, and the bits of the last digit that stand for nothing are zero (RFC 4648 section
/// 3.5). Returns the number of bytes, or nothing for a text that is not so. Takes a time that
/// depends on the length alone, but for texts that are refused.
[[nodiscard]] std::optional<std::size_t> decode_base64url(std::string_view text,
                                                          std::span<unsigned char> out);

void append_base64url(std::string& out, std::span<const unsigned char> bytes);
void append_base64url(std::string& out, std::string_view bytes);

}  // namespace ringcast::auth
