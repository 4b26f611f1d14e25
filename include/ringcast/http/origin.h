#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringcast::http {

/// An origin, RFC 6454: scheme, host, port; or the opaque one that a browser writes as `null`.
/// Always in the form in which a browser sends it: lower case, no default port, no path.
struct Origin {
  std::string text;  ///< `https://app.example.com:8443`, or `null`

  friend bool operator==(const Origin&, const Origin&) = default;
};

/// Reads what a client sent, or what a configuration says: scheme `http` or `https`, a host of
/// letters, digits, `-`, `.`, `_` without empty labels or an IPv6 address in brackets, an optional
/// port of 1 to 65535; or `null`. Nothing for anything else (RFC 6454 section 7), nor for a name
/// that a browser would take for a broken IPv4 address. Lower-cases, drops a default port, writes
/// IPv6 as the URL standard does. At most 300 bytes.
[[nodiscard]] std::optional<Origin> parse_origin(std::string_view text);

/// Whether the origin is that of the server itself, as far as a request shows: its host and port
/// are those of `host` (the Host header), its scheme `https` if `secure`. On a plain connection
/// `https` is taken too: a proxy that ends TLS in front of us need not be known to us, but nothing
/// but TLS reaches a server that speaks only TLS.
[[nodiscard]] bool is_same_origin(const Origin& origin, std::string_view host, bool secure);

}  // namespace ringcast::http
