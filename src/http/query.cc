#include "ringcast/http/query.h"

#include <algorithm>

#include "characters.h"

namespace ringcast::http {

std::optional<QueryFields::Field> QueryFields::next() {
  while (!rest_.empty()) {
    const std::string_view field = rest_.substr(0, rest_.find('&'));
    rest_.remove_prefix(std::min(rest_.size(), field.size() + 1));
    if (field.empty()) continue;
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) return Field{field, {}};
    return Field{field.substr(0, equals), field.substr(equals + 1)};
  }
  return std::nullopt;
}

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+') {
      out.push_back(' ');
    } else if (c != '%') {
      out.push_back(c);
    } else {
      if (text.size() - i < 3) return false;
      const int high = characters::hex_value(text[i + 1]);
      const int low = characters::hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

}  // namespace ringcast::http
