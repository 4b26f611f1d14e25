#include "ringcast/http/redirect.h"

#include "characters.h"

namespace ringcast::http {
namespace {

/// `pchar` of RFC 3986 section 3.3 with what joins segments and parts of a query. A `%` needs no
/// two digits behind it here: it is harmless where it goes.
constexpr characters::Class kTarget = characters::detail::make("-._~!$&'()*+,;=:@%/?", true);

}  // namespace

std::optional<std::string> moved_to(std::string_view origin, const Request& request) {
  const bool sound = request.path.starts_with('/') && characters::all_in(kTarget, request.path) &&
                     characters::all_in(kTarget, request.query);
  if (!sound) return std::nullopt;
  std::string location(origin);
  location += request.path;
  if (!request.query.empty()) {
    location += '?';
    location += request.query;
  }
  return location;
}

}  // namespace ringcast::http
