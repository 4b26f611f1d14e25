#include "line_scanner.h"

#include "characters.h"

namespace ringcast::http {
namespace {

std::string_view why_not_in_a_line(char c) {
  if (c == '\n') return "a line ends with LF instead of CRLF";
  if (c == '\0') return "NUL in a line";
  return "control character in a line";
}

}  // namespace

LineScanner::Taken LineScanner::take(std::string_view bytes) {
  if (bytes.empty()) return {Event::partial, 0};
  if (fresh_) {
    length_ = 0;
    fresh_ = false;
  }
  std::size_t at = 0;
  if (!after_cr_) {
    while (at < bytes.size() && characters::is_in(characters::kLine, bytes[at])) ++at;
    length_ += at;
    if (at == bytes.size()) return {Event::partial, at};
    if (bytes[at] != '\r') {
      problem_ = why_not_in_a_line(bytes[at]);
      return {Event::bad, at + 1};
    }
    after_cr_ = true;
    ++at;
    if (at == bytes.size()) return {Event::partial, at};
  }
  if (bytes[at] != '\n') {
    problem_ = "CR without LF";
    return {Event::bad, at + 1};
  }
  after_cr_ = false;
  fresh_ = true;
  return {Event::whole, at + 1};
}

}  // namespace ringcast::http
