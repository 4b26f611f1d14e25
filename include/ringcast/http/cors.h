#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/http/origin.h"

namespace ringcast::http {

struct CorsOptions {
  /// Each `https://app.example.com`, `https://*.example.org` (`*` stands for one or more labels),
  /// `null`, or `*` for every origin.
  std::vector<std::string> allow_origins;
  bool allow_credentials = false;
  std::uint32_t max_age_seconds = 600;

  friend bool operator==(const CorsOptions&, const CorsOptions&) = default;
};

/// Why the text cannot be one of `allow_origins`, or nothing: a path or a slash at the end, `*` for
/// a port or a part of a label, letters beyond ASCII instead of punycode, another scheme.
[[nodiscard]] Result<void> check_origin_pattern(std::string_view pattern);

/// Which origins may use this server from a browser (Fetch standard, "CORS protocol"), and the
/// header lines that say so. Immutable after construction: any thread.
///
/// What a client sent never gets into a header: an exact origin is answered with the configured
/// text (in lower case, without a default port, as browsers compare it), one of a wildcard with its
/// parsed form, and `*` with `*`, never with credentials.
class CorsPolicy {
 public:
  CorsPolicy() = default;  ///< allows nobody
  /// `options` were checked.
  explicit CorsPolicy(const CorsOptions& options);

  [[nodiscard]] bool allows(const Origin& origin) const;

  /// Whether pages of allowed origins may send cookies. Never with `*`.
  [[nodiscard]] bool allows_credentials() const { return credentials_ && !any_; }

  /// Appends the header lines for any answer, each with its CRLF: `Vary: Origin` always, and for an
  /// allowed origin `Access-Control-Allow-Origin`, `-Allow-Credentials` if so configured, and
  /// `-Expose-Headers: Event-Id`. `origin` is null for a request without one, or with a broken one.
  void append_lines(std::string& out, const Origin* origin) const;
  /// The same and what a preflight asks for beside: methods, request headers, maximum age.
  void append_preflight_lines(std::string& out, const Origin* origin) const;

 private:
  struct Wildcard {
    std::string scheme;  ///< `https://`
    std::string suffix;  ///< `.example.org`, with the port if there is one
  };

  /// The value of `Access-Control-Allow-Origin`; empty: not allowed.
  [[nodiscard]] std::string_view answer(const Origin* origin) const;
  [[nodiscard]] bool matches_wildcard(std::string_view origin) const;
  bool append_allowed(std::string& out, const Origin* origin) const;

  std::vector<std::string> exact_;
  std::vector<Wildcard> wildcards_;
  bool any_ = false;
  bool credentials_ = false;
  std::uint32_t max_age_seconds_ = 0;
};

}  // namespace ringcast::http
