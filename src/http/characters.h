#pragma once

#include <array>
#include <cstddef>
#include <string_view>

/// The character classes of HTTP/1.1, each a table of 256 so that a test costs one load.
namespace ringcast::http::characters {

using Class = std::array<bool, 256>;

namespace detail {

constexpr Class make(std::string_view listed, bool alphanumeric) {
  Class members{};
  if (alphanumeric) {
    for (std::size_t c = '0'; c <= '9'; ++c) members[c] = true;
    for (std::size_t c = 'A'; c <= 'Z'; ++c) members[c] = true;
    for (std::size_t c = 'a'; c <= 'z'; ++c) members[c] = true;
  }
  for (const char c : listed) members[static_cast<unsigned char>(c)] = true;
  return members;
}

constexpr Class make_line() {
  Class members{};
  for (std::size_t c = 0x20; c < members.size(); ++c) members[c] = c != 0x7f;
  members['\t'] = true;
  return members;
}

}  // namespace detail

/// `tchar` of RFC 9110 section 5.6.2: methods and field names.
inline constexpr Class kToken = detail::make("!#$%&'*+-.^_`|~", true);
/// What a line of the head may hold before its CRLF: VCHAR, obs-text, SP and HTAB.
inline constexpr Class kLine = detail::make_line();
/// Names and IPv4 addresses in an origin. Names of other letters arrive in punycode.
inline constexpr Class kName = detail::make("-._", true);
/// `uri-host [":" port]` of RFC 3986 section 3.2, user information excluded.
inline constexpr Class kHost = detail::make("-._~!$&'()*+,;=%:[]", true);

constexpr bool is_in(const Class& members, char c) {
  return members[static_cast<unsigned char>(c)];
}

constexpr bool all_in(const Class& members, std::string_view text) {
  for (const char c : text) {
    if (!is_in(members, c)) return false;
  }
  return true;
}

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Equal but for the case of ASCII letters; `lower` is in lower case already.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

/// Without the white space around it: `OWS` of RFC 9110 section 5.6.3.
constexpr std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return text.substr(0, 0);
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace ringcast::http::characters
