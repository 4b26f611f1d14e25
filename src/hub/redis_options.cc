#include "ringcast/hub/redis_options.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "ringcast/base/ip_address.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kHostBytesMax = 253;          // of a name in the DNS (RFC 1035)
constexpr std::size_t kSocketPathBytesMax = 107;    // sun_path less its end
constexpr std::uint32_t kDatabaseMax = 2147483647;  // what SELECT takes

// No message repeats a part of the text: a password that was not encoded may be anywhere in it.
Error wrong(std::string_view reason) {
  return Error{
      "must be redis://[[user]:password@]host[:port][/database] or "
      "unix://[[user]:password@]/path/to/socket[?db=N]: " +
      std::string(reason)};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// RFC 3986 section 2.1; a plus is a plus.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, out);
  return failure == std::errc{} && stopped == end;
}

bool has_scheme(std::string_view url, std::string_view scheme) {
  return url.size() >= scheme.size() &&
         std::equal(scheme.begin(), scheme.end(), url.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
         });
}

bool is_host_name(std::string_view text) {
  return text.size() <= kHostBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '.' || c == '_';
         });
}

/// `fe80::1%eth0` too, as the resolver takes it.
bool is_ipv6(std::string_view text) {
  const std::string_view zone = text.substr(std::min(text.find('%'), text.size()));
  if (zone.size() == 1 || !is_host_name(zone.substr(zone.empty() ? 0 : 1))) return false;
  const std::string_view address = text.substr(0, text.size() - zone.size());
  return address.find(':') != std::string_view::npos && parse_ip_address(address).ok();
}

Result<void> read_credentials(std::string_view text, RedisAddress& out) {
  const std::size_t colon = text.find(':');
  std::optional<std::string> user = percent_decoded(text.substr(0, colon));
  std::optional<std::string> password = std::string();
  if (colon != std::string_view::npos) password = percent_decoded(text.substr(colon + 1));
  if (!user || !password) {
    return wrong(
        "a % in user or password begins an escape of two hexadecimal digits; % itself is "
        "written %25");
  }
  if (user->empty() && password->empty())
    return wrong("before the @ stand neither user nor password");
  out.user = std::move(*user);
  out.password = std::move(*password);
  return {};
}

Result<void> read_database(std::string_view text, RedisAddress& out) {
  if (!read_number(text, out.database) || out.database > kDatabaseMax) {
    return wrong("the database is a number, 0 to 2147483647");
  }
  return {};
}

Result<void> read_host(std::string_view text, RedisAddress& out) {
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !is_ipv6(text.substr(1, end - 1))) {
      return wrong("what is in the brackets is no IPv6 address");
    }
    out.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    has_port = !rest.empty();
    if (has_port && rest.front() != ':') return wrong("after ] comes :port, or nothing");
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    out.host = text.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return wrong("an IPv6 address needs brackets");
    if (out.host.empty()) return wrong("the host is missing");
    if (!is_host_name(out.host)) return wrong("the host is neither a name nor an address");
  }
  if (has_port && (!read_number(port, out.port) || out.port == 0)) {
    return wrong("the port is a number, 1 to 65535");
  }
  return {};
}

Result<RedisAddress> parse_tcp(std::string_view text) {
  RedisAddress address;
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, end);
  const std::string_view rest = text.substr(end);
  if (rest.find('@') != std::string_view::npos) {
    return wrong("user and password are percent-encoded: / is written %2F, ? is %3F, # is %23");
  }
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (auto done = read_credentials(authority.substr(0, at), address); !done) return done.error();
    authority.remove_prefix(at + 1);
  }
  if (auto done = read_host(authority, address); !done) return done.error();
  if (rest.size() > 1 && rest.front() == '/') {
    if (auto done = read_database(rest.substr(1), address); !done) return done.error();
  } else if (rest.size() > 1 || (rest.size() == 1 && rest.front() != '/')) {
    return wrong("behind the host comes /database, and nothing after it");
  }
  return address;
}

Result<RedisAddress> parse_unix(std::string_view text) {
  RedisAddress address;
  if (!text.starts_with('/')) {
    // A path may hold an @ of its own, so the credentials end before its first slash.
    const std::size_t slash = text.find("@/");
    if (slash == std::string_view::npos) return wrong("the path of a socket begins with /");
    if (auto done = read_credentials(text.substr(0, slash), address); !done) return done.error();
    text.remove_prefix(slash + 1);
  }
  const std::size_t question = text.find('?');
  if (question != std::string_view::npos) {
    constexpr std::string_view kDatabase = "db=";
    const std::string_view query = text.substr(question + 1);
    if (!query.starts_with(kDatabase)) return wrong("behind the path comes ?db=N, or nothing");
    if (auto done = read_database(query.substr(kDatabase.size()), address); !done) {
      return done.error();
    }
  }
  auto path = percent_decoded(text.substr(0, question));
  if (!path) return wrong("a % in the path begins an escape of two hexadecimal digits");
  if (path->find('\0') != std::string::npos) return wrong("the path holds NUL");
  if (path->size() < 2 || path->size() > kSocketPathBytesMax) {
    return wrong("the path of a socket has 2 to 107 bytes");
  }
  address.socket = std::move(*path);
  return address;
}

}  // namespace

Result<RedisAddress> parse_redis_url(std::string_view url) {
  constexpr std::string_view kTcp = "redis://";
  constexpr std::string_view kTls = "rediss://";
  constexpr std::string_view kUnix = "unix://";
  if (has_scheme(url, kTls)) {
    return Error{
        "TLS to Redis (rediss://) is not supported: run a TLS tunnel such as stunnel beside the "
        "server and give its address as redis://127.0.0.1:PORT"};
  }
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
  });
  if (!plain) return wrong("it holds a space or a control character; in a password encode them");
  if (has_scheme(url, kTcp)) return parse_tcp(url.substr(kTcp.size()));
  if (has_scheme(url, kUnix)) return parse_unix(url.substr(kUnix.size()));
  return wrong("it begins with neither redis:// nor unix://");
}

std::string to_string(const RedisAddress& address) {
  std::string text;
  if (!address.socket.empty()) {
    text = address.socket;
  } else {
    const bool ipv6 = address.host.find(':') != std::string::npos;
    text = (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
  }
  if (address.database != 0) text += ", database " + std::to_string(address.database);
  return text;
}

}  // namespace ringcast::hub
