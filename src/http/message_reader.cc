#include "message_reader.h"

#include <limits>

#include <boost/beast/http/rfc7230.hpp>

#include "ringcast/base/assert.h"

#include "characters.h"
#include "target.h"

namespace ringcast::http {
namespace {

namespace beast = boost::beast::http;

constexpr std::string_view kRepeatedHost = "more than one Host";
constexpr std::string_view kRepeatedLength = "more than one Content-Length";
constexpr std::string_view kLengthAndEncoding = "Content-Length and Transfer-Encoding together";

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

Method method_of(beast::verb verb) {
  switch (verb) {
    case beast::verb::get:
      return Method::get;
    case beast::verb::head:
      return Method::head;
    case beast::verb::post:
      return Method::post;
    case beast::verb::options:
      return Method::options;
    default:
      return Method::other;
  }
}

/// Only `Name:value` and `Name: value`. Tabs, several spaces and spaces behind the value are legal
/// around any other field, but hide these two from proxies that do not trim them.
bool plainly_spaced(std::string_view value) {
  const char* const begin = value.data();
  const bool before = begin[-1] == ':' || (begin[-1] == ' ' && begin[-2] == ':');
  return before && begin[value.size()] == '\r';
}

/// Whether the request line is `method SP target SP HTTP/d.d` of a version not spoken here.
bool names_other_version(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const std::size_t space = line.rfind(' ');
  if (space == std::string_view::npos || line.find(' ') == space) return false;
  if (line.find(' ', line.find(' ') + 1) != space) return false;
  const std::string_view version = line.substr(space + 1);
  const auto digit = [version](std::size_t i) { return version[i] >= '0' && version[i] <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && digit(5) && version[6] == '.' &&
         digit(7) && version != "HTTP/1.0" && version != "HTTP/1.1";
}

}  // namespace

MessageReader::MessageReader(Request& request, std::string& body, std::string& joined,
                             std::uint32_t body_bytes_max)
    : request_(request), body_(body), joined_(joined) {
  // The head was measured before it got here; one limit in one place.
  header_limit(std::numeric_limits<std::uint32_t>::max());
  body_limit(body_bytes_max);
}

bool MessageReader::read_head(std::string_view head) {
  return put_all(head);
}

bool MessageReader::read_body(std::string_view part) {
  RC_DEBUG_ASSERT(part.size() <= body_left_);
  return put_all(part);
}

bool MessageReader::read_chunk_line(std::string_view line) {
  return put_all(line);
}

bool MessageReader::read_chunk_data(std::string_view part) {
  RC_DEBUG_ASSERT(part.size() <= body_left_);
  return put_all(part);
}

/// What is given makes a whole step, so Beast has no reason to ask for more or to leave bytes.
bool MessageReader::put_all(std::string_view bytes) {
  Code ec;
  const std::size_t taken = put({bytes.data(), bytes.size()}, ec);
  if (!ec && taken == bytes.size()) return true;
  if (failure_.status == 0) failure_ = explain(ec, bytes);
  return false;
}

void MessageReader::refuse(Code& ec, std::uint16_t status, std::string_view reason) {
  failure_ = {status, reason};
  ec = beast::error::bad_value;
}

ParseFailure MessageReader::explain(const Code& ec, std::string_view bytes) const {
  const bool in_head = !is_header_done();
  switch (static_cast<beast::error>(ec.value())) {
    case beast::error::body_limit:
      return {413, "body too large"};
    case beast::error::header_limit:
      return {431, "request head too large"};
    case beast::error::bad_line_ending:
      return {400, "a line does not end with CRLF"};
    case beast::error::bad_method:
      return {400, "malformed method"};
    case beast::error::bad_target:
      return {400, "malformed request target"};
    case beast::error::bad_version:
      if (names_other_version(bytes)) return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
      return {400, "malformed request line"};
    case beast::error::bad_field:
      return {400, "malformed header name"};
    case beast::error::bad_value:
      return {400, "malformed header value"};
    case beast::error::bad_content_length:
      if (seen_.transfer_encoding) return {400, kLengthAndEncoding};
      return {400, seen_.content_length ? kRepeatedLength : "malformed Content-Length"};
    case beast::error::bad_transfer_encoding:
      if (seen_.content_length) return {400, kLengthAndEncoding};
      return {400, "more than one Transfer-Encoding"};
    case beast::error::bad_chunk:
      return {400, "malformed chunk size"};
    case beast::error::bad_chunk_extension:
      return {400, "malformed chunk extension"};
    case beast::error::need_more:
      // The head or the line was whole: only a quoted string or a request line that never closes.
      return {400, in_head ? "malformed request line" : "malformed chunk extension"};
    default:
      return {400, "malformed request"};
  }
}

void MessageReader::on_request_impl(beast::verb verb, Text, Text target, int version, Code& ec) {
  request_.method = method_of(verb);
  request_.minor_version = static_cast<std::uint8_t>(version % 10);
  const auto parts = split_target(request_.method, view(target));
  if (!parts) return refuse(ec, 400, "malformed request target");
  request_.path = parts->path;
  request_.query = parts->query;
  if (!parts->authority.empty()) {
    request_.host = parts->authority;
    target_has_authority_ = true;
  }
}

void MessageReader::on_field_impl(beast::field field, Text name, Text text, Code& ec) {
  const std::string_view value = view(text);
  switch (field) {
    case beast::field::content_length:
      return read_content_length(value, ec);
    case beast::field::transfer_encoding:
      return read_transfer_encoding(value, ec);
    case beast::field::host:
      return read_host(value, ec);
    case beast::field::connection:
      return read_connection(text);
    case beast::field::origin:
      return read_once(seen_.origin, request_.origin, value, "more than one Origin", ec);
    case beast::field::content_type:
      return read_once(seen_.content_type, request_.content_type, value,
                       "more than one Content-Type", ec);
    case beast::field::authorization:
      return read_once(seen_.authorization, request_.authorization, value,
                       "more than one Authorization", ec);
    case beast::field::cookie:
      return read_once(seen_.cookie, request_.cookie, value, "more than one Cookie", ec);
    case beast::field::accept:
      return read_first(seen_.accept, request_.accept, value);
    case beast::field::if_none_match:
      return read_first(seen_.if_none_match, request_.if_none_match, value);
    case beast::field::access_control_request_method:
      return read_first(seen_.request_method, request_.request_method, value);
    case beast::field::expect:
      // HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1).
      if (request_.minor_version >= 1 && characters::equals_ignoring_case(value, "100-continue")) {
        expects_continue_ = true;
      }
      return;
    case beast::field::unknown:
      return read_unnamed(view(name), value, ec);
    default:
      return;
  }
}

/// Those that Beast has no name for.
void MessageReader::read_unnamed(std::string_view name, std::string_view value, Code& ec) {
  if (characters::equals_ignoring_case(name, "last-event-id")) {
    if (request_.last_event_id) return refuse(ec, 400, "more than one Last-Event-ID");
    request_.last_event_id = value;
  } else if (characters::equals_ignoring_case(name, "sec-fetch-site")) {
    read_first(seen_.sec_fetch_site, request_.sec_fetch_site, value);
  } else if (characters::equals_ignoring_case(name, "x-forwarded-for")) {
    read_forwarded_for(value);
  } else if (characters::equals_ignoring_case(name, "x-forwarded-proto")) {
    // The last one is of the proxy next to us; those before may be the client's own.
    const std::size_t comma = value.rfind(',');
    request_.forwarded_proto =
        characters::trimmed(comma == std::string_view::npos ? value : value.substr(comma + 1));
  }
}

/// Several lines mean one list (RFC 9110 section 5.3); dropping one would hide an address.
void MessageReader::read_forwarded_for(std::string_view value) {
  if (!seen_.forwarded_for) {
    seen_.forwarded_for = true;
    request_.forwarded_for = value;
    return;
  }
  if (joined_.empty()) joined_ = request_.forwarded_for;
  joined_ += ',';
  joined_ += value;
  request_.forwarded_for = joined_;
}

void MessageReader::read_content_length(std::string_view value, Code& ec) {
  if (seen_.content_length) return refuse(ec, 400, kRepeatedLength);
  // An ignored encoding is refused on its own line, but this must not depend on it.
  if (seen_.transfer_encoding) return refuse(ec, 400, kLengthAndEncoding);
  seen_.content_length = true;
  // Beast takes a list of equal numbers too.
  if (value.find_first_not_of("0123456789") != std::string_view::npos || !plainly_spaced(value)) {
    refuse(ec, 400, "malformed Content-Length");
  }
}

void MessageReader::read_transfer_encoding(std::string_view value, Code& ec) {
  if (seen_.transfer_encoding) return refuse(ec, 400, "more than one Transfer-Encoding");
  if (seen_.content_length) return refuse(ec, 400, kLengthAndEncoding);
  seen_.transfer_encoding = true;
  if (request_.minor_version < 1) return refuse(ec, 400, "Transfer-Encoding on HTTP/1.0");
  if (!characters::equals_ignoring_case(value, "chunked") || !plainly_spaced(value)) {
    refuse(ec, 400, "the only Transfer-Encoding accepted is chunked");
  }
}

void MessageReader::read_host(std::string_view value, Code& ec) {
  if (seen_.host) return refuse(ec, 400, kRepeatedHost);
  seen_.host = true;
  if (!characters::all_in(characters::kHost, value)) return refuse(ec, 400, "malformed Host");
  // RFC 9112 section 3.2.2: the target's authority wins.
  if (!target_has_authority_) request_.host = value;
}

void MessageReader::read_connection(Text value) {
  for (const auto token : beast::opt_token_list{value}) {
    if (characters::equals_ignoring_case(view(token), "close")) seen_.close = true;
    if (characters::equals_ignoring_case(view(token), "keep-alive")) seen_.keep_alive = true;
  }
}

void MessageReader::read_once(bool& seen, std::string_view& to, std::string_view value,
                              std::string_view repeated, Code& ec) {
  if (seen) return refuse(ec, 400, repeated);
  seen = true;
  to = value;
}

void MessageReader::read_first(bool& seen, std::string_view& to, std::string_view value) {
  if (!seen) to = value;
  seen = true;
}

void MessageReader::on_header_impl(Code& ec) {
  if (request_.minor_version >= 1 && !seen_.host) return refuse(ec, 400, "no Host");
  request_.keep_alive = !seen_.close && (request_.minor_version >= 1 || seen_.keep_alive);
  if (seen_.content_length) body_left_ = content_length_remaining().value_or(0);
}

void MessageReader::on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) {}

std::size_t MessageReader::on_body_impl(Text part, Code&) {
  body_.append(part.data(), part.size());
  body_left_ -= part.size();
  return part.size();
}

void MessageReader::on_chunk_header_impl(std::uint64_t size, Text, Code&) {
  body_left_ = size;
}

std::size_t MessageReader::on_chunk_body_impl(std::uint64_t, Text part, Code& ec) {
  return on_body_impl(part, ec);
}

void MessageReader::on_response_impl(int, Text, int, Code&) {}

void MessageReader::on_finish_impl(Code&) {}

}  // namespace ringcast::http
