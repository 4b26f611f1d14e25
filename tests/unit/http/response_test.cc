#include "ringcast/http/response.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr HeadFields kKept{.date = kDate, .keep_alive = true, .lines = {}};
constexpr HeadFields kClosed{.date = kDate, .keep_alive = false, .lines = {}};
constexpr HeadFields kWithLines{
    .date = kDate, .keep_alive = true, .lines = "Vary: Origin\r\nX-Request-Id: 1\r\n"};

TEST(DateCache, FormatsTheExampleOfTheStandard) {
  DateCache cache;
  EXPECT_EQ(cache.at({0, 784'111'777'000}), kDate);
  EXPECT_EQ(cache.at({0, 784'111'777'999}), kDate) << "the same second";
  EXPECT_EQ(cache.at({0, 784'111'778'000}), "Sun, 06 Nov 1994 08:49:38 GMT");
}

TEST(DateCache, FormatsTheEdgesOfTheCalendar) {
  DateCache cache;
  EXPECT_EQ(cache.at({0, 0}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(cache.at({0, 1'709'251'199'000}), "Thu, 29 Feb 2024 23:59:59 GMT");
  EXPECT_EQ(cache.at({0, 1'709'251'200'000}), "Fri, 01 Mar 2024 00:00:00 GMT");
  EXPECT_EQ(cache.at({0, 253'402'300'799'000}), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(cache.at({0, ~std::uint64_t{0}}), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(ResponseWriter, WritesHeadLengthAndBody) {
  std::string out = "before";
  ResponseWriter(out, 200, kKept).header("ETag", "\"x\"").body("text/html", "<p>");
  EXPECT_EQ(out,
            "beforeHTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Connection: keep-alive\r\nETag: \"x\"\r\nContent-Type: text/html\r\n"
            "Content-Length: 3\r\n\r\n<p>");
}

TEST(ResponseWriter, AnswersHeadWithTheLengthButNoBody) {
  std::string out;
  ResponseWriter(out, 200, kClosed).body("text/html", "<p>", true);
  EXPECT_TRUE(
      out.ends_with("Connection: close\r\nContent-Type: text/html\r\n"
                    "Content-Length: 3\r\n\r\n"))
      << out;
}

TEST(ResponseWriter, EndsBodilessAnswersSoThatTheConnectionCanGoOn) {
  std::string out;
  ResponseWriter(out, 204, kKept).header("Event-Id", "1-0").no_body();
  EXPECT_TRUE(out.starts_with("HTTP/1.1 204 No Content\r\n"));
  EXPECT_TRUE(out.ends_with("Event-Id: 1-0\r\n\r\n")) << out;
  out.clear();
  ResponseWriter(out, 304, kKept).body("text/html", "");
  EXPECT_EQ(out.find("Content-"), std::string::npos) << out;
  out.clear();
  ResponseWriter(out, 405, kKept).header("Allow", "GET").no_body();
  EXPECT_TRUE(out.ends_with("Allow: GET\r\nContent-Length: 0\r\n\r\n")) << out;
}

TEST(WriteError, IsJsonWithItsLength) {
  std::string out;
  write_error(out, 400, "say \"data\"", kClosed);
  EXPECT_EQ(out,
            "HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"
            "{\"error\":\"say \\\"data\\\"\"}");
}

TEST(WriteError, SaysWhenToComeBack) {
  std::string out;
  write_error(out, 503, "full", kKept, 120);
  EXPECT_NE(out.find("\r\nRetry-After: 120\r\n"), std::string::npos) << out;
  out.clear();
  write_error(out, 503, "full", kKept);
  EXPECT_EQ(out.find("Retry-After"), std::string::npos) << out;
}

TEST(StreamHead, IsChunkedOnHttp11) {
  std::string out;
  write_stream_head(out, 1, kKept);
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n"
            "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
            "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(StreamHead, RunsUntilCloseOnHttp10) {
  std::string out;
  write_stream_head(out, 0, kKept);
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n"
            "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
            "X-Accel-Buffering: no\r\n\r\n");
}

TEST(HeadLines, StandInAnswersOfEachKind) {
  constexpr std::string_view kLines = "\r\nVary: Origin\r\nX-Request-Id: 1\r\n";
  std::string out;
  ResponseWriter(out, 204, kWithLines).no_body();
  EXPECT_EQ(out,
            "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Connection: keep-alive\r\nVary: Origin\r\nX-Request-Id: 1\r\n\r\n");
  out.clear();
  write_error(out, 429, "too many attempts to sign in", kWithLines, 6);
  EXPECT_TRUE(out.starts_with("HTTP/1.1 429 Too Many Requests\r\n")) << out;
  EXPECT_NE(out.find(kLines), std::string::npos) << out;
  EXPECT_NE(out.find("\r\nRetry-After: 6\r\n"), std::string::npos) << out;
  for (const std::uint8_t minor_version : {std::uint8_t{0}, std::uint8_t{1}}) {
    out.clear();
    write_stream_head(out, minor_version, kWithLines);
    EXPECT_NE(out.find(kLines), std::string::npos) << out;
    EXPECT_EQ(out.find("\r\n\r\n"), out.size() - 4) << out;
  }
}

TEST(StreamHead, DecidesByItsVersionAloneWhetherTheConnectionIsKept) {
  std::string out;
  write_stream_head(out, 1, kClosed);
  EXPECT_NE(out.find("\r\nConnection: keep-alive\r\n"), std::string::npos) << out;
  out.clear();
  write_stream_head(out, 0, kKept);
  EXPECT_NE(out.find("\r\nConnection: close\r\n"), std::string::npos) << out;
}

TEST(ReasonPhrase, NamesEachStatusThatARequestIsRefusedWith) {
  const std::pair<std::uint16_t, std::string_view> cases[] = {
      {401, "Unauthorized"},      {403, "Forbidden"},           {415, "Unsupported Media Type"},
      {429, "Too Many Requests"}, {503, "Service Unavailable"},
  };
  for (const auto& [status, phrase] : cases) EXPECT_EQ(reason_phrase(status), phrase);
}

TEST(ReasonPhrase, NamesEachStatusThatTheParserAnswersWith) {
  EXPECT_EQ(reason_phrase(400), "Bad Request");
  EXPECT_EQ(reason_phrase(413), "Content Too Large");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(505), "HTTP Version Not Supported");
  EXPECT_EQ(reason_phrase(599), "");
}

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(out, text);
  return out;
}

TEST(JsonEscaping, EscapesWhatAStringMayNotHold) {
  EXPECT_EQ(escaped("a\"b\\c/\n\r\t"), R"(a\"b\\c/\n\r\t)");
  EXPECT_EQ(escaped(std::string_view("\0\x01\x1f\x7f", 4)), "\\u0000\\u0001\\u001f\x7f");
}

TEST(JsonEscaping, KeepsUtf8AndReplacesWhatIsNone) {
  constexpr std::string_view kWell =
      "\xc3\xa9 \xe2\x82\xac \xed\x9f\xbf \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf";
  EXPECT_EQ(escaped(kWell), kWell);
  EXPECT_EQ(escaped("\x80"), "\\ufffd");
  EXPECT_EQ(escaped("\xc3"), "\\ufffd") << "cut short";
  EXPECT_EQ(escaped("\xc3(\xe2\x82"), "\\ufffd(\\ufffd\\ufffd");
  EXPECT_EQ(escaped("\xc0\xaf"), "\\ufffd\\ufffd") << "too long a form";
  EXPECT_EQ(escaped("\xe0\x9f\xbf"), "\\ufffd\\ufffd\\ufffd") << "too long a form";
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd") << "surrogate";
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd") << "above U+10FFFF";
  EXPECT_EQ(escaped("\xff"), "\\ufffd");
}

}  // namespace
}  // namespace ringcast::http
