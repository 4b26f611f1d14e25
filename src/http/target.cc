#include "target.h"

#include <cstddef>

#include "characters.h"

namespace ringcast::http {
namespace {

/// The length of `http://` or `https://` in front of the text, or 0.
std::size_t scheme_length(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (characters::equals_ignoring_case(text.substr(0, scheme.size()), scheme)) {
      return scheme.size();
    }
  }
  return 0;
}

}  // namespace

std::optional<Target> split_target(Method method, std::string_view text) {
  if (text.find('#') != std::string_view::npos) return std::nullopt;
  if (text == "*") {
    if (method != Method::options) return std::nullopt;
    return Target{text, {}, {}};
  }
  Target target;
  if (const std::size_t scheme = scheme_length(text); scheme != 0) {
    text.remove_prefix(scheme);
    target.authority = text.substr(0, text.find_first_of("/?"));
    if (target.authority.empty() || !characters::all_in(characters::kHost, target.authority)) {
      return std::nullopt;
    }
    text.remove_prefix(target.authority.size());
  } else if (text.empty() || text.front() != '/') {
    return std::nullopt;
  }
  const std::size_t mark = text.find('?');
  target.path = text.substr(0, mark);
  if (target.path.empty()) target.path = "/";
  if (mark != std::string_view::npos) target.query = text.substr(mark + 1);
  return target;
}

}  // namespace ringcast::http
