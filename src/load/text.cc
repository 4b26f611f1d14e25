#include "load/text.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace ringcast::load {

std::string grouped(std::uint64_t n) {
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

void put(std::string& out, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  const int bytes = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (bytes > 0) out.append(line, std::min(static_cast<std::size_t>(bytes), sizeof line - 1));
}

}  // namespace ringcast::load
