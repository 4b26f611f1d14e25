#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ringcast::http {

/// Walks the fields of an `application/x-www-form-urlencoded` query (WHATWG URL, section 5.1):
/// `a=1&b=2`, `+` and percent escapes decoded. Decoded text is written into a buffer of the caller.
class QueryFields {
 public:
  explicit QueryFields(std::string_view query) : rest_(query) {}

  struct Field {
    std::string_view name;   ///< not decoded
    std::string_view value;  ///< not decoded
  };
  [[nodiscard]] std::optional<Field> next();

 private:
  std::string_view rest_;
};

/// False on a broken percent escape; `out` is then unspecified. `out` is replaced.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);

}  // namespace ringcast::http
