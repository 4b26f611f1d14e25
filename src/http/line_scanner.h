#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringcast::http {

/// Finds the end of a line in bytes that arrive in pieces, and refuses what may not stand in a line
/// of a request head: a bare CR, a bare LF, NUL and other controls (RFC 9112 section 2.2).
///
/// Its answer depends on the bytes alone and never on how they were cut. The parser hands whole
/// lines to Boost.Beast for that reason: fed byte by byte, Beast delays some errors until the head
/// is whole.
class LineScanner {
 public:
  enum class Event : std::uint8_t {
    partial,  ///< all bytes were taken and the line goes on
    whole,    ///< CRLF was taken; the next call begins a new line
    bad,      ///< the last byte that was taken may not stand there; `problem()` says why
  };

  struct Taken {
    Event event = Event::partial;
    std::size_t bytes = 0;
  };

  Taken take(std::string_view bytes);

  /// No byte of the line has arrived.
  [[nodiscard]] bool at_start() const { return fresh_; }
  /// Bytes of the line so far, CRLF excluded. After `whole`, those of the line that ended.
  [[nodiscard]] std::size_t length() const { return length_; }
  /// Static text.
  [[nodiscard]] std::string_view problem() const { return problem_; }

  void reset() { *this = LineScanner{}; }

 private:
  std::size_t length_ = 0;
  std::string_view problem_;
  bool fresh_ = true;
  bool after_cr_ = false;
};

}  // namespace ringcast::http
