#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/time.h"

namespace ringcast::http {

/// The value of a `Date` header (RFC 9110 section 5.6.7), formatted once for each second.
class DateCache {
 public:
  [[nodiscard]] std::string_view at(Time now);

 private:
  std::uint64_t second_ = ~std::uint64_t{0};
  std::array<char, 30> text_{};
};

/// What every head has beside its status.
struct HeadFields {
  std::string_view date;
  bool keep_alive = true;
  std::string_view lines = {};  ///< whole header lines, each with its CRLF, none of them a client's
};

/// Appends a response to a byte string. The status line says HTTP/1.1 whatever the request said
/// (RFC 9110 section 6.2).
class ResponseWriter {
 public:
  ResponseWriter(std::string& out, std::uint16_t status, const HeadFields& fields);

  /// Neither name nor value comes from a client, but for a target of `moved_to`.
  ResponseWriter& header(std::string_view name, std::string_view value);
  /// Ends the head with `Content-Length` and the body. For 204 and 304: neither.
  void body(std::string_view content_type, std::string_view bytes, bool head_only = false);
  void no_body();

 private:
  std::string& out_;
  std::uint16_t status_;
};

/// `{"error":"reason"}` with the reason escaped as JSON. `retry_after_seconds` 0 = no such header.
void write_error(std::string& out, std::uint16_t status, std::string_view reason,
                 const HeadFields& fields, std::uint32_t retry_after_seconds = 0,
                 bool head_only = false);

/// The head of an event stream, S1: chunked and keep-alive for HTTP/1.1, until-close for HTTP/1.0.
/// `fields.keep_alive` is not looked at.
void write_stream_head(std::string& out, std::uint8_t minor_version, const HeadFields& fields);

[[nodiscard]] std::string_view reason_phrase(std::uint16_t status);

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7).
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace ringcast::http
