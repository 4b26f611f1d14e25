#include "text_check.h"

namespace ringcast::config {
namespace {

/// Walks over the text in the terms of TOML 1.0: strings of four kinds, comments, all else.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  std::optional<Position> run() {
    int dots = 0;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        while (!rest_.empty() && rest_.front() != '\n') advance();
        continue;
      }
      if (c == '.') {
        if (++dots > kDotsInKeyMax) return position_;
      } else if (ends_key(c)) {
        dots = 0;
      }
      advance();
    }
    return std::nullopt;
  }

 private:
  static bool ends_key(char c) {
    return c == '\n' || c == '=' || c == ',' || c == '[' || c == '{' || c == ']' || c == '}';
  }

  /// One byte. Columns count characters, as those of toml++ do.
  void advance() {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (byte == '\n') {
      ++position_.line;
      position_.column = 1;
    } else if ((byte & 0xc0) != 0x80) {
      ++position_.column;
    }
  }
  void advance(std::size_t bytes) {
    for (; bytes > 0 && !rest_.empty(); --bytes) advance();
  }

  void skip_string(char quote) {
    const std::string_view one = quote == '"' ? "\"" : "'";
    const std::string_view three = quote == '"' ? "\"\"\"" : "'''";
    const bool many_lines = rest_.starts_with(three);
    const std::string_view end = many_lines ? three : one;
    advance(end.size());
    while (!rest_.empty() && !rest_.starts_with(end)) {
      const char c = rest_.front();
      if (c == '\n' && !many_lines) return;  // an error, at which toml++ stops
      advance(c == '\\' && quote == '"' ? 2 : 1);
    }
    advance(end.size());
    // Up to two quotes directly in front of the closing three are part of the text.
    for (int i = 0; many_lines && i < 2 && rest_.starts_with(one); ++i) advance();
  }

  std::string_view rest_;
  Position position_{1, 1};
};

}  // namespace

std::optional<Position> find_long_key(std::string_view toml) {
  return Scanner(toml).run();
}

}  // namespace ringcast::config
