#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>

#include "ringcast/base/assert.h"

namespace ringcast::http::test {

/// Whether a pattern that was checked allows an origin that was parsed: label by label, the slow
/// and obvious way.
inline bool reference_allows(std::string_view pattern, std::string_view origin) {
  struct Parts {
    std::string scheme;
    std::vector<std::string> labels;  // an address in brackets is one
    std::string port;
  };
  const auto split = [](std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    Parts parts;
    parts.scheme = lower.substr(0, lower.find("://"));
    std::string host = lower.substr(parts.scheme.size() + 3);
    const std::size_t colon = host.rfind(':');
    if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
      parts.port = host.substr(colon + 1);
      host.resize(colon);
    } else {
      parts.port = parts.scheme == "https" ? "443" : "80";
    }
    if (host.starts_with('[')) {
      std::string address(16, '\0');
      RC_ASSERT(inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), address.data()) == 1);
      parts.labels = {"[" + address};
      return parts;
    }
    for (std::size_t begin = 0; begin <= host.size();) {
      const std::size_t end = std::min(host.find('.', begin), host.size());
      parts.labels.push_back(host.substr(begin, end - begin));
      begin = end + 1;
    }
    return parts;
  };
  if (pattern == "*") return true;
  if (pattern == "null" || origin == "null") return pattern == origin;
  Parts want = split(pattern);
  Parts have = split(origin);
  if (want.scheme != have.scheme || want.port != have.port) return false;
  if (want.labels.front() == "*") {
    if (have.labels.size() < want.labels.size()) return false;
    want.labels.erase(want.labels.begin());
    have.labels.erase(have.labels.begin(),
                      have.labels.end() - static_cast<std::ptrdiff_t>(want.labels.size()));
  }
  return want.labels == have.labels;
}

/// Aborts unless `written` is whole header lines of which each is one that the policy may write.
inline void require_cors_lines(std::string_view written, std::string_view allowed_origin,
                               bool credentials, bool preflight, std::uint32_t max_age_seconds) {
  std::string expected =
      preflight ? "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
                : "Vary: Origin\r\n";
  if (!allowed_origin.empty()) {
    for (const char c : allowed_origin) RC_ASSERT(c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z'));
    expected.append("Access-Control-Allow-Origin: ").append(allowed_origin).append("\r\n");
    if (credentials) expected += "Access-Control-Allow-Credentials: true\r\n";
    expected += "Access-Control-Expose-Headers: Event-Id\r\n";
    if (preflight) {
      expected +=
          "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
          "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Content-Type, "
          "Cache-Control\r\nAccess-Control-Max-Age: ";
      expected += std::to_string(max_age_seconds) + "\r\n";
    }
  }
  RC_ASSERT(written == expected);
}

}  // namespace ringcast::http::test
