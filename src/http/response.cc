#include "ringcast/http/response.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>

#include "ringcast/base/assert.h"

namespace ringcast::http {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/// 9999-12-31 23:59:59, the last second that four digits of a year can name.
constexpr std::uint64_t kLastSecond = 253'402'300'799;

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), written.ptr);
}

/// 204 and 304 end with their head (RFC 9110 sections 15.3.5 and 15.4.5).
bool ends_with_its_head(std::uint16_t status) {
  return status == 204 || status == 304;
}

/// Bytes of the well-formed UTF-8 character that `text` begins with (RFC 3629 section 4), or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  std::size_t length = 0;
  unsigned char second_min = 0x80;
  unsigned char second_max = 0xbf;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) second_min = 0xa0;  // shorter forms exist
    if (lead == 0xed) second_max = 0x9f;  // surrogates
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) second_min = 0x90;
    if (lead == 0xf4) second_max = 0x8f;  // above U+10FFFF
  }
  if (length == 0 || text.size() < length) return 0;
  if (byte(1) < second_min || byte(1) > second_max) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

void append_escaped_ascii(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (static_cast<unsigned char>(c) >= 0x20) {
    out.push_back(c);
    return;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u00";
  out.push_back(kHex[static_cast<unsigned char>(c) >> 4U]);
  out.push_back(kHex[static_cast<unsigned char>(c) & 15U]);
}

}  // namespace

std::string_view DateCache::at(Time now) {
  constexpr std::size_t kLength = 29;
  const std::uint64_t second = std::min(now.unix_ms / 1000, kLastSecond);
  if (second != second_) {
    second_ = second;
    const std::chrono::sys_seconds point{std::chrono::seconds{second}};
    const auto midnight = std::chrono::floor<std::chrono::days>(point);
    const std::chrono::year_month_day date{midnight};
    const auto time_of_day = static_cast<unsigned>((point - midnight).count());

    char* to = text_.data();
    const auto text = [&to](std::string_view part) {
      to = std::copy(part.begin(), part.end(), to);
    };
    const auto two_digits = [&to](unsigned value) {
      *to++ = static_cast<char>('0' + value / 10);
      *to++ = static_cast<char>('0' + value % 10);
    };
    const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
    text(kDays[std::chrono::weekday{midnight}.c_encoding()]);
    text(", ");
    two_digits(static_cast<unsigned>(date.day()));
    text(" ");
    text(kMonths[static_cast<unsigned>(date.month()) - 1]);
    text(" ");
    two_digits(year / 100);
    two_digits(year % 100);
    text(" ");
    two_digits(time_of_day / 3600);
    text(":");
    two_digits(time_of_day / 60 % 60);
    text(":");
    two_digits(time_of_day % 60);
    text(" GMT");
    RC_DEBUG_ASSERT(to == text_.data() + kLength);
  }
  return {text_.data(), kLength};
}

ResponseWriter::ResponseWriter(std::string& out, std::uint16_t status, const HeadFields& fields)
    : out_(out), status_(status) {
  RC_DEBUG_ASSERT(status >= 200 && status <= 599);
  out_ += "HTTP/1.1 ";
  append_number(out_, status);
  out_.push_back(' ');
  out_ += reason_phrase(status);
  out_ += "\r\n";
  header("Date", fields.date);
  header("Connection", fields.keep_alive ? "keep-alive" : "close");
  out_ += fields.lines;
}

ResponseWriter& ResponseWriter::header(std::string_view name, std::string_view value) {
  RC_DEBUG_ASSERT(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  out_ += name;
  out_ += ": ";
  out_ += value;
  out_ += "\r\n";
  return *this;
}

void ResponseWriter::body(std::string_view content_type, std::string_view bytes, bool head_only) {
  if (ends_with_its_head(status_)) {
    RC_DEBUG_ASSERT(bytes.empty());
    no_body();
    return;
  }
  header("Content-Type", content_type);
  out_ += "Content-Length: ";
  append_number(out_, bytes.size());
  out_ += "\r\n\r\n";
  if (!head_only) out_ += bytes;
}

void ResponseWriter::no_body() {
  // Any other status without a length would run until the connection closes.
  if (!ends_with_its_head(status_)) header("Content-Length", "0");
  out_ += "\r\n";
}

void write_error(std::string& out, std::uint16_t status, std::string_view reason,
                 const HeadFields& fields, std::uint32_t retry_after_seconds, bool head_only) {
  std::string json = R"({"error":")";
  append_json_escaped(json, reason);
  json += R"("})";
  ResponseWriter writer(out, status, fields);
  if (retry_after_seconds != 0) {
    out += "Retry-After: ";
    append_number(out, retry_after_seconds);
    out += "\r\n";
  }
  writer.body("application/json", json, head_only);
}

void write_stream_head(std::string& out, std::uint8_t minor_version, const HeadFields& fields) {
  const bool chunked = minor_version >= 1;
  ResponseWriter(out, 200, {.date = fields.date, .keep_alive = chunked, .lines = fields.lines})
      .header("Content-Type", "text/event-stream")
      .header("Cache-Control", "no-cache")
      .header("X-Accel-Buffering", "no");
  if (chunked) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
}

std::string_view reason_phrase(std::uint16_t status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return {};  // an empty phrase is allowed (RFC 9112 section 4)
  }
}

void append_json_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
    } else {
      if (length == 1) {
        append_escaped_ascii(out, text.front());
      } else {
        out += text.substr(0, length);
      }
      text.remove_prefix(length);
    }
  }
}

}  // namespace ringcast::http
