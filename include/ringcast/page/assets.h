#pragma once

#include <string_view>

namespace ringcast::page {

// A file of the live page, as it was when the server was built. All views live as long as the
// program.
struct Asset {
  std::string_view path;          // "/" for the page itself, else "/name.ext"
  std::string_view content_type;  // value of Content-Type, with its charset
  std::string_view bytes;
  std::string_view etag;  // strong entity tag with its quotes, RFC 9110 section 8.8.3
};

// To be sent as Content-Security-Policy with every asset: the page loads nothing from elsewhere,
// has no inline script or style, and speaks to its own origin only.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

// The asset at `path`, which is the request's path without its query, compared byte by byte; null
// when there is none. Any thread; neither blocks nor allocates.
const Asset* find_asset(std::string_view path);

}  // namespace ringcast::page
