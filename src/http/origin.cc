#include "ringcast/http/origin.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include <arpa/inet.h>

#include "characters.h"

namespace ringcast::http {
namespace {

constexpr std::size_t kOriginBytesMax = 300;
constexpr std::string_view kNull = "null";
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

/// Labels of letters, digits, `-` and `_`, none empty; a dot behind the last one is legal and makes
/// another host.
bool is_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return !host.empty() && characters::all_in(characters::kName, host) && host.front() != '.' &&
         host.back() != '.' && host.find("..") == std::string_view::npos;
}

/// Whether a browser takes the name for an IPv4 address, or for a broken one (URL standard, "ends
/// in a number").
bool ends_in_a_number(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.find_first_not_of("0123456789") == std::string_view::npos) return true;
  return last.size() >= 2 && characters::equals_ignoring_case(last.substr(0, 2), "0x") &&
         last.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
}

bool is_ipv4(std::string_view host) {
  std::array<char, INET_ADDRSTRLEN> terminated{};
  if (host.size() >= terminated.size()) return false;
  host.copy(terminated.data(), host.size());
  in_addr ignored{};
  return inet_pton(AF_INET, terminated.data(), &ignored) == 1;
}

/// As the URL standard writes it, unlike inet_ntop: never with dots. `host` is without brackets.
bool append_ipv6(std::string& out, std::string_view host) {
  constexpr std::size_t kPieces = 8;
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (host.size() >= terminated.size()) return false;
  host.copy(terminated.data(), host.size());
  std::array<std::uint8_t, kPieces * 2> bytes{};
  if (host.find('\0') != std::string_view::npos ||
      inet_pton(AF_INET6, terminated.data(), bytes.data()) != 1) {
    return false;
  }
  std::array<unsigned, kPieces> pieces{};
  for (std::size_t i = 0; i < kPieces; ++i) pieces[i] = bytes[2 * i] * 256U + bytes[2 * i + 1];

  std::size_t zeros_at = kPieces;  // the first of the longest runs, if it is longer than one
  std::size_t zeros = 1;
  for (std::size_t begin = 0; begin < kPieces; ++begin) {
    std::size_t end = begin;
    while (end < kPieces && pieces[end] == 0) ++end;
    if (end - begin > zeros) {
      zeros_at = begin;
      zeros = end - begin;
    }
  }
  out.push_back('[');
  for (std::size_t i = 0; i < kPieces; ++i) {
    if (i == zeros_at) {
      out += i == 0 ? "::" : ":";
      i += zeros - 1;
      continue;
    }
    std::array<char, 4> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), pieces[i], 16);
    out.append(digits.data(), written.ptr);
    if (i + 1 < kPieces) out.push_back(':');
  }
  out.push_back(']');
  return true;
}

bool append_host(std::string& out, std::string_view host) {
  if (host.starts_with('[')) {
    return host.ends_with(']') && append_ipv6(out, host.substr(1, host.size() - 2));
  }
  if (!is_name(host) || (ends_in_a_number(host) && !is_ipv4(host))) return false;
  for (const char c : host) out.push_back(characters::to_lower(c));
  return true;
}

/// `text` is empty or begins with the colon.
bool append_port(std::string& out, std::string_view text, std::string_view default_port) {
  if (text.empty()) return true;
  const std::string_view digits = text.substr(1);
  if (digits.empty() || digits.front() == '0' || digits.size() > 5) return false;
  if (digits.find_first_not_of("0123456789") != std::string_view::npos) return false;
  if (digits.size() == 5 && digits > "65535") return false;
  if (digits != default_port) out += text;
  return true;
}

}  // namespace

std::optional<Origin> parse_origin(std::string_view text) {
  if (text.size() > kOriginBytesMax) return std::nullopt;
  Origin origin;
  if (text == kNull) {
    origin.text = kNull;
    return origin;
  }
  const bool https = characters::equals_ignoring_case(text.substr(0, kHttps.size()), kHttps);
  if (!https && !characters::equals_ignoring_case(text.substr(0, kHttp.size()), kHttp)) {
    return std::nullopt;
  }
  const std::string_view scheme = https ? kHttps : kHttp;
  const std::string_view rest = text.substr(scheme.size());
  // Behind the bracket of an IPv6 address, which has colons of its own.
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = rest.substr(0, colon);
  const std::string_view port = rest.substr(host.size());

  origin.text.reserve(text.size());
  origin.text = scheme;
  if (!append_host(origin.text, host) || !append_port(origin.text, port, https ? "443" : "80")) {
    return std::nullopt;
  }
  return origin;
}

bool is_same_origin(const Origin& origin, std::string_view host, bool secure) {
  const bool https = origin.text.starts_with(kHttps);
  if (!https && (secure || !origin.text.starts_with(kHttp))) return false;
  if (host.size() > kOriginBytesMax) return false;
  std::string own(https ? kHttps : kHttp);
  own += host;
  return parse_origin(own) == origin;
}

}  // namespace ringcast::http
