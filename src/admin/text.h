#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ringcast::admin {

/// One character at the start of a text, or one byte that begins none.
struct Character {
  std::size_t bytes = 1;
  char32_t code_point = 0;
  bool valid = false;
};

/// Decodes UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
/// `text` is not empty.
[[nodiscard]] Character first_character(std::string_view text);

/// The longest prefix of at most `bytes_max` bytes that does not end inside a character.
[[nodiscard]] std::string_view whole_characters(std::string_view text, std::size_t bytes_max);

/// Two lower-case digits.
void append_hex_byte(std::string& out, unsigned byte);

/// Appends `text` as the inside of a JSON string (RFC 8259); a byte that is not UTF-8 becomes
/// U+FFFD. Characters that change the direction or the line of a terminal are escaped too.
void append_json_text(std::string& out, std::string_view text);

}  // namespace ringcast::admin
