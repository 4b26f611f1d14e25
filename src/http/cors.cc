#include "ringcast/http/cors.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "ringcast/base/assert.h"

#include "characters.h"

namespace ringcast::http {
namespace {

constexpr std::string_view kAny = "*";
constexpr std::string_view kSchemeEnd = "://";
constexpr std::string_view kWildcard = "://*.";
constexpr std::size_t kPatternBytesMax = 300;  // what parse_origin takes

struct WildcardParts {
  std::string scheme;
  std::string suffix;
};

/// `https://*.example.org` must be an origin both without `*.` and with a label in its place: the
/// first tells it from `https://*.`, the second from a part of an address, `https://*.0.0.1`.
std::optional<WildcardParts> parse_wildcard(std::string_view pattern) {
  const std::size_t at = pattern.find(kWildcard);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t star = at + kSchemeEnd.size();
  const auto with = [&](std::string_view in_place) {
    std::string text(pattern);
    text.replace(star, kWildcard.size() - kSchemeEnd.size(), in_place);
    return parse_origin(text);
  };
  const std::optional<Origin> bare = with("");
  if (!bare || !with("x.")) return std::nullopt;
  return WildcardParts{bare->text.substr(0, star), bare->text.substr(star).insert(0, 1, '.')};
}

/// One label or more, as `*` stands for them.
bool are_labels(std::string_view text) {
  return !text.empty() && characters::all_in(characters::kName, text) && text.front() != '.' &&
         text.back() != '.' && text.find("..") == std::string_view::npos;
}

bool is_unprintable(char c) {
  return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
}

bool is_beyond_ascii(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

/// What is wrong behind the scheme.
std::string_view fault_of_host(std::string_view host) {
  if (host.empty() || (host.front() == ':' && !host.starts_with("::"))) {
    return "the host is missing";
  }
  if (host.find_first_of("/?#\\") == host.size() - 1 && host.back() == '/') {
    return "must not end with a slash: an origin has no path, for example "
           "\"https://app.example.com\"";
  }
  if (host.find_first_of("/?#\\") != std::string_view::npos) {
    return "must end behind host and port: an origin has no path, for example "
           "\"https://app.example.com\"";
  }
  if (host.find('@') != std::string_view::npos) return "must not hold a user name";
  if (host.find(":*") != std::string_view::npos) {
    return "* cannot stand for a port: list each, for example \"http://localhost:5173\"";
  }
  if (const std::size_t star = host.find('*'); star != std::string_view::npos) {
    if (star != 0 || !host.starts_with("*.") || host.find('*', 1) != std::string_view::npos) {
      return "* may only stand for whole labels in front of a domain, as in "
             "\"https://*.example.org\"";
    }
    host.remove_prefix(2);
    if (parse_origin("http://" + std::string(host))) {
      return "* cannot stand in front of an IP address";
    }
    if (host.empty() || host.front() == ':') {
      return "the domain behind * is missing, as in \"https://*.example.org\"";
    }
  }
  if (host.front() == '[') {
    const std::size_t end = host.find(']');
    const bool whole = end != std::string_view::npos;
    if (!whole || !parse_origin("http://" + std::string(host.substr(0, end + 1)))) {
      return "what is in the brackets is no IPv6 address";
    }
    return "the port must be 1 to 65535";
  }
  const std::size_t colon = host.find(':');
  if (colon != std::string_view::npos) {
    if (host.find(':', colon + 1) != std::string_view::npos) {
      return "an IPv6 address needs brackets, for example \"http://[::1]:8080\"";
    }
    if (parse_origin("http://" + std::string(host.substr(0, colon)))) {
      return "the port must be 1 to 65535";
    }
    host = host.substr(0, colon);
  }
  if (!characters::all_in(characters::kName, host)) {
    return "a host holds nothing but letters, digits, \"-\", \"_\" and dots";
  }
  if (host.find("..") != std::string_view::npos || host.front() == '.') {
    return "the host has an empty label";
  }
  return "the host ends in a number but is no IPv4 address";
}

std::string_view fault_of(std::string_view pattern) {
  if (pattern.empty()) return "must not be empty";
  if (std::ranges::any_of(pattern, is_beyond_ascii)) {
    return "a host with letters beyond a to z must be in punycode, as browsers send it, for "
           "example \"https://xn--bcher-kva.example\"";
  }
  if (std::ranges::any_of(pattern, is_unprintable)) {
    return "must not contain spaces or control characters";
  }
  if (pattern.size() > kPatternBytesMax) return "must have at most 300 bytes";
  const std::size_t scheme_end = pattern.find(kSchemeEnd);
  const std::string_view scheme = pattern.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos ||
      !(characters::equals_ignoring_case(scheme, "http") ||
        characters::equals_ignoring_case(scheme, "https"))) {
    return "must begin with https:// or http://, or be \"null\" or \"*\"";
  }
  return fault_of_host(pattern.substr(scheme_end + kSchemeEnd.size()));
}

}  // namespace

Result<void> check_origin_pattern(std::string_view pattern) {
  if (pattern == kAny || parse_origin(pattern) || parse_wildcard(pattern)) return {};
  return Error{std::string(fault_of(pattern))};
}

CorsPolicy::CorsPolicy(const CorsOptions& options) : max_age_seconds_(options.max_age_seconds) {
  for (const std::string& pattern : options.allow_origins) {
    if (pattern == kAny) {
      any_ = true;
    } else if (auto origin = parse_origin(pattern)) {
      exact_.push_back(std::move(origin->text));
    } else {
      auto wildcard = parse_wildcard(pattern);
      RC_ASSERT(wildcard.has_value());
      wildcards_.push_back({std::move(wildcard->scheme), std::move(wildcard->suffix)});
    }
  }
  std::ranges::sort(exact_);
  // Browsers refuse the two together, and so does the configuration.
  credentials_ = options.allow_credentials && !any_;
}

bool CorsPolicy::matches_wildcard(std::string_view origin) const {
  return std::ranges::any_of(wildcards_, [origin](const Wildcard& wildcard) {
    const std::size_t fixed = wildcard.scheme.size() + wildcard.suffix.size();
    return origin.size() > fixed && origin.starts_with(wildcard.scheme) &&
           origin.ends_with(wildcard.suffix) &&
           are_labels(origin.substr(wildcard.scheme.size(), origin.size() - fixed));
  });
}

bool CorsPolicy::allows(const Origin& origin) const {
  return !answer(&origin).empty();
}

std::string_view CorsPolicy::answer(const Origin* origin) const {
  if (origin == nullptr) return {};
  if (any_) return kAny;
  const auto exact = std::ranges::lower_bound(exact_, origin->text);
  if (exact != exact_.end() && *exact == origin->text) return *exact;
  if (matches_wildcard(origin->text)) return origin->text;
  return {};
}

bool CorsPolicy::append_allowed(std::string& out, const Origin* origin) const {
  const std::string_view allowed = answer(origin);
  if (allowed.empty()) return false;
  out += "Access-Control-Allow-Origin: ";
  out += allowed;
  out += "\r\n";
  if (credentials_) out += "Access-Control-Allow-Credentials: true\r\n";
  out += "Access-Control-Expose-Headers: Event-Id\r\n";
  return true;
}

void CorsPolicy::append_lines(std::string& out, const Origin* origin) const {
  out += "Vary: Origin\r\n";
  append_allowed(out, origin);
}

void CorsPolicy::append_preflight_lines(std::string& out, const Origin* origin) const {
  out += "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n";
  if (!append_allowed(out, origin)) return;
  // No browser takes `*` for Authorization, so the names are listed.
  out +=
      "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
      "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Content-Type, Cache-Control\r\n"
      "Access-Control-Max-Age: ";
  out += std::to_string(max_age_seconds_);
  out += "\r\n";
}

}  // namespace ringcast::http
