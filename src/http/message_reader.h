#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Nothing here throws or does I/O; Beast's parser comes in as headers only.
#include <boost/beast/http/basic_parser.hpp>

#include "ringcast/http/request.h"

namespace ringcast::http {

/// Boost.Beast's request parser, filling a `Request` and refusing what Beast 1.74 lets through:
/// any `Transfer-Encoding` whose last coding is not `chunked` (Beast then sees no body at all), one
/// on HTTP/1.0, `Content-Length: 5, 5`, repeated equal lengths, missing or repeated `Host`.
///
/// The whole head is given in one piece that stays where it is while the `Request` is used; bodies
/// come in pieces of any size; a chunk's size line comes whole. So each error depends on the bytes
/// alone and not on how the network cut them.
class MessageReader final : private boost::beast::http::basic_parser<true> {
 public:
  /// `joined` takes what no view of the head can show: several lines as one.
  MessageReader(Request& request, std::string& body, std::string& joined,
                std::uint32_t body_bytes_max);

  /// `head` runs to the empty line, inclusive. False: see `failure`.
  bool read_head(std::string_view head);
  /// A part of the body of a request with `Content-Length`, at most `body_left()` bytes.
  bool read_body(std::string_view part);
  /// CRLF of the chunk before, if there was one, the size line, and after the last chunk the empty
  /// line that ends the (already dropped) trailers.
  bool read_chunk_line(std::string_view line);
  /// At most `body_left()` bytes of the chunk.
  bool read_chunk_data(std::string_view part);

  [[nodiscard]] bool done() const { return is_done(); }
  [[nodiscard]] bool chunked() const { return basic_parser::chunked(); }
  /// Bytes until the end of the body or of the chunk.
  [[nodiscard]] std::uint64_t body_left() const { return body_left_; }
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }
  [[nodiscard]] const ParseFailure& failure() const { return failure_; }

 private:
  using Code = boost::beast::error_code;
  using Text = boost::beast::string_view;

  struct Seen {
    bool content_length = false;
    bool transfer_encoding = false;
    bool host = false;
    bool origin = false;
    bool content_type = false;
    bool accept = false;
    bool if_none_match = false;
    bool authorization = false;
    bool cookie = false;
    bool sec_fetch_site = false;
    bool request_method = false;
    bool forwarded_for = false;
    bool close = false;
    bool keep_alive = false;
  };

  void on_request_impl(boost::beast::http::verb verb, Text method, Text target, int version,
                       Code& ec) override;
  void on_response_impl(int code, Text reason, int version, Code& ec) override;
  void on_field_impl(boost::beast::http::field field, Text name, Text value, Code& ec) override;
  void on_header_impl(Code& ec) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, Code& ec) override;
  std::size_t on_body_impl(Text part, Code& ec) override;
  void on_chunk_header_impl(std::uint64_t size, Text extensions, Code& ec) override;
  std::size_t on_chunk_body_impl(std::uint64_t left, Text part, Code& ec) override;
  void on_finish_impl(Code& ec) override;

  void read_content_length(std::string_view value, Code& ec);
  void read_transfer_encoding(std::string_view value, Code& ec);
  void read_host(std::string_view value, Code& ec);
  void read_connection(Text value);
  void read_unnamed(std::string_view name, std::string_view value, Code& ec);
  void read_forwarded_for(std::string_view value);
  void read_once(bool& seen, std::string_view& to, std::string_view value,
                 std::string_view repeated, Code& ec);
  static void read_first(bool& seen, std::string_view& to, std::string_view value);

  bool put_all(std::string_view bytes);
  void refuse(Code& ec, std::uint16_t status, std::string_view reason);
  [[nodiscard]] ParseFailure explain(const Code& ec, std::string_view bytes) const;

  Request& request_;
  std::string& body_;
  std::string& joined_;
  ParseFailure failure_{0, {}};
  std::uint64_t body_left_ = 0;
  Seen seen_;
  bool target_has_authority_ = false;
  bool expects_continue_ = false;
};

}  // namespace ringcast::http
