#pragma once

#include <algorithm>
#include <string_view>

namespace ringcast::http {

/// Whether a Content-Type names this media type (lower case), whatever its parameters (RFC 9110
/// section 8.3.1).
[[nodiscard]] inline bool is_media_type(std::string_view content_type, std::string_view wanted) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(type.begin(), type.end(), wanted.begin(), wanted.end(),
                    [lower](char a, char b) { return lower(a) == b; });
}

}  // namespace ringcast::http
