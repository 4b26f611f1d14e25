#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ringcast/http/request.h"

namespace ringcast::http {

/// Where `request` is at another `origin` (`https://host[:port]`): that, its path and its query.
/// Nothing when the path does not begin with `/`, or when either holds what RFC 3986 (sections 3.3
/// and 3.4) does not allow there: so the result is one line, and always at `origin`.
[[nodiscard]] std::optional<std::string> moved_to(std::string_view origin, const Request& request);

}  // namespace ringcast::http
