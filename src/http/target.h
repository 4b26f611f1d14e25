#pragma once

#include <optional>
#include <string_view>

#include "ringcast/http/request.h"

namespace ringcast::http {

/// A request target taken apart (RFC 9112 section 3.2). Views into the text given.
struct Target {
  std::string_view path;
  std::string_view query;
  std::string_view authority;  ///< of the absolute form only; it overrides `Host`
};

/// The origin form `/a?b`, the absolute form `http://host/a?b`, and `*` for OPTIONS. Nothing else:
/// a fragment, user information and the authority form of CONNECT are refused.
[[nodiscard]] std::optional<Target> split_target(Method method, std::string_view text);

}  // namespace ringcast::http
