#include "text.h"

#include "ringcast/admin/log.h"

namespace ringcast::admin {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

void append_hex_16(std::string& out, char32_t code_point) {
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[code_point >> shift & 15];
}

// Each of them has four hexadecimal digits at most.
bool disturbs_a_line(char32_t c) {
  return (c >= 0x80 && c <= 0x9f) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

Character first_character(std::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {1, lead, true};
  std::size_t bytes = 0;
  char32_t code_point = 0;
  char32_t smallest = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    bytes = 2, code_point = lead & 0x1f, smallest = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    bytes = 3, code_point = lead & 0x0f, smallest = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    bytes = 4, code_point = lead & 0x07, smallest = 0x10000;
  } else {
    return {};
  }
  if (text.size() < bytes) return {};
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    code_point = code_point << 6 | (at(i) & 0x3f);
  }
  const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (code_point < smallest || surrogate || code_point > 0x10ffff) return {};
  return {bytes, code_point, true};
}

void append_hex_byte(std::string& out, unsigned byte) {
  out += kHex[byte >> 4 & 15];
  out += kHex[byte & 15];
}

std::string_view whole_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t bytes = 0;
  while (true) {
    const std::size_t next = bytes + first_character(text.substr(bytes)).bytes;
    if (next > bytes_max) return text.substr(0, bytes);
    bytes = next;
  }
}

void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.bytes);
    text.remove_prefix(character.bytes);
    if (!character.valid) {
      out += "\xef\xbf\xbd";
    } else if (character.code_point == '"' || character.code_point == '\\') {
      out += '\\';
      out += bytes;
    } else if (character.code_point < 0x20 || character.code_point == 0x7f ||
               disturbs_a_line(character.code_point)) {
      out += "\\u";
      append_hex_16(out, character.code_point);
    } else {
      out += bytes;
    }
  }
}

std::string safe_text(std::string_view text, std::size_t input_bytes_max) {
  std::string out;
  const std::string_view kept = whole_characters(text, input_bytes_max);
  const bool cut = kept.size() < text.size();
  text = kept;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.bytes);
    text.remove_prefix(character.bytes);
    if (character.valid && character.code_point == '\\') {
      out += "\\\\";
    } else if (character.valid && character.code_point == '\n') {
      out += "\\n";
    } else if (character.valid && character.code_point == '\r') {
      out += "\\r";
    } else if (character.valid && character.code_point == '\t') {
      out += "\\t";
    } else if (!character.valid || character.code_point < 0x20 || character.code_point == 0x7f) {
      out += "\\x";
      append_hex_byte(out, static_cast<unsigned char>(bytes[0]));
    } else if (disturbs_a_line(character.code_point)) {
      out += "\\u{";
      append_hex_16(out, character.code_point);
      out += '}';
    } else {
      out += bytes;
    }
  }
  if (cut) out += "…";
  return out;
}

}  // namespace ringcast::admin
