#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace ringcast::http {

enum class Method : std::uint8_t { get, head, post, options, other };

/// A request as it arrived. The views point into the parser and live until its `reset`.
struct Request {
  Method method = Method::other;
  std::string_view path;           ///< of the target, not decoded, without the query
  std::string_view query;          ///< after the first '?', not decoded
  std::uint8_t minor_version = 1;  ///< HTTP/1.x
  bool keep_alive = true;          ///< RFC 9112 section 9.3
  std::optional<std::string_view> last_event_id;
  std::string_view accept;
  std::string_view content_type;
  std::string_view origin;
  std::string_view host;  ///< of the target when it has one, else of the Host header
  std::string_view if_none_match;
  std::string_view authorization;
  std::string_view cookie;
  std::string_view sec_fetch_site;
  std::string_view request_method;  ///< Access-Control-Request-Method, of a preflight
  /// X-Forwarded-For; of several header lines all, joined by a comma in their order.
  std::string_view forwarded_for;
  /// X-Forwarded-Proto; of several lines or members of a list the last.
  std::string_view forwarded_proto;
  std::string_view body;  ///< empty until the request is complete
};

struct ParserLimits {
  std::uint32_t header_bytes = 8192;
  std::uint32_t body_bytes = 65536;
};

enum class ParseState : std::uint8_t {
  head,      ///< more bytes of the head are needed
  body,      ///< the head is whole, more bytes of the body are needed
  complete,  ///< `request()` is whole
  failed,    ///< `failure()` says what to answer; the connection cannot go on
};

/// Why a request is refused, for the answer `{"error":"…"}`.
struct ParseFailure {
  std::uint16_t status = 400;  ///< 400, 413, 431, 501 or 505
  std::string_view reason;     ///< static text
};

/// Reads HTTP/1.0 and HTTP/1.1 requests from bytes (RFC 9112), with Boost.Beast underneath.
/// Strict where leniency lets requests be smuggled: `Transfer-Encoding` must be exactly `chunked`,
/// on HTTP/1.1, once, and never beside `Content-Length`; a repeated `Content-Length`, `Host`,
/// `Last-Event-ID`, `Origin`, `Content-Type`, `Authorization` or `Cookie` is refused (of any other
/// the first counts, where `Request` does not say otherwise); HTTP/1.1
/// needs one `Host`; a bare CR or LF, NUL, other controls and folded lines are refused; trailers
/// are read and dropped within the header limit. The outcome depends on the bytes alone, never on
/// how they were cut into calls of `feed`. Keeps its buffers between requests. Not thread-safe. No
/// exceptions, no I/O.
class RequestParser {
 public:
  explicit RequestParser(const ParserLimits& limits);
  RequestParser(RequestParser&&) noexcept;
  ~RequestParser();

  /// Takes bytes up to the end of the request and returns how many; the rest belongs to the next
  /// one (pipelining). Takes nothing when `state()` is complete or failed.
  std::size_t feed(std::string_view bytes);

  [[nodiscard]] ParseState state() const;
  /// True once any byte of the current request has arrived; empty lines in front are not part of
  /// it.
  [[nodiscard]] bool started() const;
  /// True when the head is whole and says `Expect: 100-continue` and no byte of the body came yet.
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] const Request& request() const;
  [[nodiscard]] const ParseFailure& failure() const;

  /// Ready for the next request. Gives back memory above `keep_bytes`; 0 for an idle connection.
  void reset(std::size_t keep_bytes = 4096);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::http
