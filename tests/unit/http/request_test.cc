#include "ringcast/http/request.h"

#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

constexpr ParserLimits kLimits{1024, 64};

std::string with_target(const std::string& method, const std::string& target) {
  return method + " " + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

TEST(RequestParser, GivesEachFieldOfABrowsersRequest) {
  RequestParser parser(kLimits);
  const std::string bytes =
      "GET /events?topic=a&topic=b HTTP/1.1\r\nhost: x.example:8080\r\nAccept: "
      "text/event-stream\r\n"
      "ORIGIN: https://app.example\r\nLast-Event-ID: 17-0\r\nIf-None-Match: \"e\"\r\n"
      "Content-Type: text/plain\r\nConnection: keep-alive\r\nAUTHORIZATION: Bearer x.y.z\r\n"
      "cookie: a=1; token=b\r\nSec-Fetch-Site: same-site\r\n"
      "access-control-request-method: POST\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n"
      "X-FORWARDED-PROTO: https\r\n\r\n";
  EXPECT_EQ(parser.feed(bytes), bytes.size());
  ASSERT_EQ(parser.state(), ParseState::complete);
  const Request& request = parser.request();
  EXPECT_EQ(request.method, Method::get);
  EXPECT_EQ(request.path, "/events");
  EXPECT_EQ(request.query, "topic=a&topic=b");
  EXPECT_EQ(request.minor_version, 1);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.host, "x.example:8080");
  EXPECT_EQ(request.accept, "text/event-stream");
  EXPECT_EQ(request.origin, "https://app.example");
  EXPECT_EQ(request.last_event_id, "17-0");
  EXPECT_EQ(request.if_none_match, "\"e\"");
  EXPECT_EQ(request.content_type, "text/plain");
  EXPECT_EQ(request.authorization, "Bearer x.y.z");
  EXPECT_EQ(request.cookie, "a=1; token=b");
  EXPECT_EQ(request.sec_fetch_site, "same-site");
  EXPECT_EQ(request.request_method, "POST");
  EXPECT_EQ(request.forwarded_for, "192.0.2.7, 10.0.0.1");
  EXPECT_EQ(request.forwarded_proto, "https");
  EXPECT_EQ(request.body, "");
}

TEST(RequestParser, JoinsSeveralForwardedForLinesInTheirOrder) {
  const std::pair<const char*, const char*> cases[] = {
      {"X-Forwarded-For: a\r\nx-forwarded-for:  b, c \r\nAccept: x\r\nX-Forwarded-For: d\r\n",
       "a,b, c,d"},
      {"X-Forwarded-For:\r\nX-Forwarded-For: b\r\n", ",b"},
      {"X-Forwarded-For:\r\nX-Forwarded-For:\r\nX-Forwarded-For:\r\n", ",,"},
      {"X-Forwarded-For: a\r\nX-Forwarded-For:\r\n", "a,"},
      {"X-Forwarded-For: a\r\n", "a"},
  };
  RequestParser parser(kLimits);
  for (const auto& [fields, joined] : cases) {
    parser.feed("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
    ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
    EXPECT_EQ(parser.request().forwarded_for, joined);
    parser.reset();
  }
}

TEST(RequestParser, JoinedForwardedForStaysValidWhileTheBodyArrivesAndTheParserMoves) {
  RequestParser first(kLimits);
  first.feed(
      "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n"
      "Content-Length: 60\r\n\r\n");
  RequestParser second(std::move(first));
  second.feed(std::string(60, 'b'));
  ASSERT_EQ(second.state(), ParseState::complete);
  EXPECT_EQ(second.request().forwarded_for, "a,b");
}

TEST(RequestParser, TakesTheProtocolThatTheNearestProxySaw) {
  const std::pair<const char*, const char*> cases[] = {
      {"X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", "https"},
      {"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "http"},
      {"X-Forwarded-Proto: http,\t https \r\n", "https"},
      {"X-Forwarded-Proto: https, http\r\n", "http"},
      {"X-Forwarded-Proto: http, http, https\r\n", "https"},
      {"X-Forwarded-Proto: https,\r\n", ""},
      {"X-Forwarded-Proto: https\r\nX-Forwarded-Proto:\r\n", ""},
  };
  RequestParser parser(kLimits);
  for (const auto& [fields, expected] : cases) {
    parser.feed("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
    ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
    EXPECT_EQ(parser.request().forwarded_proto, expected) << fields;
    parser.reset();
  }
}

TEST(RequestParser, TakesTheFirstOfRepeatedFieldsThatMayRepeat) {
  RequestParser parser(kLimits);
  parser.feed(
      "GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Site: none\r\n"
      "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Method: GET\r\n"
      "Accept:\r\nAccept: b\r\nIf-None-Match: c\r\nIf-None-Match: d\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
  EXPECT_EQ(parser.request().sec_fetch_site, "cross-site");
  EXPECT_EQ(parser.request().request_method, "PUT");
  EXPECT_EQ(parser.request().accept, "");
  EXPECT_EQ(parser.request().if_none_match, "c");
}

TEST(RequestParser, TellsAnEmptyLastEventIdFromNone) {
  RequestParser parser(kLimits);
  parser.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(parser.request().last_event_id, std::nullopt);
  parser.reset();
  parser.feed("GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID:\r\n\r\n");
  EXPECT_EQ(parser.request().last_event_id, "");
}

TEST(RequestParser, KnowsItsMethodsAndTheirCase) {
  const std::pair<const char*, Method> cases[] = {
      {"GET", Method::get},         {"HEAD", Method::head}, {"POST", Method::post},
      {"OPTIONS", Method::options}, {"PUT", Method::other}, {"get", Method::other},
      {"M-SEARCH", Method::other},  {"Q", Method::other},
  };
  RequestParser parser(kLimits);
  for (const auto& [name, method] : cases) {
    parser.feed(with_target(name, "/"));
    ASSERT_EQ(parser.state(), ParseState::complete) << name;
    EXPECT_EQ(parser.request().method, method) << name;
    parser.reset();
  }
}

TEST(RequestParser, TakesPathQueryAndHostFromEachFormOfTarget) {
  struct Case {
    const char *method, *target, *path, *query, *host;
  };
  const Case cases[] = {
      {"GET", "/", "/", "", "a"},
      {"GET", "/a%20b?x=1?y", "/a%20b", "x=1?y", "a"},
      {"GET", "/?", "/", "", "a"},
      {"GET", "//a/b", "//a/b", "", "a"},
      {"GET", "http://b:81/p?q", "/p", "q", "b:81"},
      {"GET", "HTTPS://b", "/", "", "b"},
      {"GET", "http://[::1]:80?q", "/", "q", "[::1]:80"},
      {"OPTIONS", "*", "*", "", "a"},
  };
  RequestParser parser(kLimits);
  for (const Case& c : cases) {
    parser.feed(with_target(c.method, c.target));
    ASSERT_EQ(parser.state(), ParseState::complete) << c.target << parser.failure().reason;
    EXPECT_EQ(parser.request().path, c.path) << c.target;
    EXPECT_EQ(parser.request().query, c.query) << c.target;
    EXPECT_EQ(parser.request().host, c.host) << c.target;
    parser.reset();
  }
}

TEST(RequestParser, KeepsAliveAsTheVersionAndConnectionSay) {
  struct Case {
    const char *version, *connection;
    bool keep_alive;
  };
  const Case cases[] = {
      {"1.1", "x", true},          {"1.1", "close", false},     {"1.1", "x, CLOSE", false},
      {"1.0", "x", false},         {"1.0", "Keep-Alive", true}, {"1.0", "keep-alive, close", false},
      {"1.1", "keep-alive", true},
  };
  RequestParser parser(kLimits);
  for (const Case& c : cases) {
    parser.feed("GET / HTTP/" + std::string(c.version) +
                "\r\nHost: a\r\nConnection: " + c.connection + "\r\n\r\n");
    ASSERT_EQ(parser.state(), ParseState::complete);
    EXPECT_EQ(parser.request().keep_alive, c.keep_alive) << c.version << ' ' << c.connection;
    EXPECT_EQ(parser.request().minor_version, c.version[2] - '0');
    parser.reset();
  }
}

TEST(RequestParser, TrailersCannotChangeWhatTheHeadSaid) {
  RequestParser parser(kLimits);
  parser.feed(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
      "Connection: close\r\nHost: b\r\nLast-Event-ID: 9-9\r\nContent-Length: 7\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
  EXPECT_TRUE(parser.request().keep_alive);
  EXPECT_EQ(parser.request().host, "a");
  EXPECT_EQ(parser.request().last_event_id, std::nullopt);
  EXPECT_EQ(parser.request().body, "x");
}

TEST(RequestParser, JoinsChunksAndDropsTheirFraming) {
  RequestParser parser(kLimits);
  parser.feed(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=\"1\"\r\nhello\r\n00001\r\n \r\nB\r\nworld\r\n0\r\n\r\r\n0\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
  EXPECT_EQ(parser.request().body, "hello world\r\n0\r\n\r");
}

TEST(RequestParser, LeavesTheNextRequestToTheNextParse) {
  const std::string first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
  const std::string second =
      "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  const std::string all = first + second + "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
  RequestParser parser(kLimits);
  std::string_view rest = all;
  for (const char* path : {"/1", "/2", "/3"}) {
    rest.remove_prefix(parser.feed(rest));
    ASSERT_EQ(parser.state(), ParseState::complete);
    EXPECT_EQ(parser.request().path, path);
    EXPECT_EQ(parser.feed(rest), 0U) << "a complete request takes nothing more";
    parser.reset();
  }
  EXPECT_EQ(rest, "");
}

TEST(RequestParser, AFailedParserTakesNothingUntilReset) {
  RequestParser parser(kLimits);
  EXPECT_EQ(parser.feed("GET / HTTP/1.1\nHost: a"), 15U);
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0U);
  parser.reset();
  parser.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(parser.state(), ParseState::complete);
}

TEST(RequestParser, NothingOfARequestSurvivesReset) {
  RequestParser parser(kLimits);
  parser.feed(
      "POST http://b/x?y HTTP/1.0\r\nHost: a\r\nAccept: b\r\nOrigin: c\r\nContent-Type: d\r\n"
      "If-None-Match: e\r\nLast-Event-ID: 1-1\r\nExpect: 100-continue\r\nAuthorization: f\r\n"
      "Cookie: g=h\r\nSec-Fetch-Site: i\r\nAccess-Control-Request-Method: j\r\n"
      "X-Forwarded-For: k\r\nX-Forwarded-For: l\r\nX-Forwarded-Proto: m\r\n"
      "Content-Length: 1\r\n\r\nx");
  ASSERT_EQ(parser.state(), ParseState::complete);
  parser.reset();
  EXPECT_EQ(parser.state(), ParseState::head);
  EXPECT_FALSE(parser.started());
  parser.feed("OPTIONS / HTTP/1.1\r\nHost: z\r\nX-Forwarded-For: y\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete);
  const Request& request = parser.request();
  EXPECT_EQ(request.host, "z");
  EXPECT_EQ(request.forwarded_for, "y");
  for (const std::string_view empty :
       {request.query, request.accept, request.origin, request.content_type, request.if_none_match,
        request.authorization, request.cookie, request.sec_fetch_site, request.request_method,
        request.forwarded_proto, request.body}) {
    EXPECT_EQ(empty, "");
  }
  EXPECT_EQ(request.last_event_id, std::nullopt);
  EXPECT_TRUE(request.keep_alive);
}

TEST(RequestParser, ResetInTheMiddleOfEachPhaseBeginsAnew) {
  const std::string bytes =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;e\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n";
  RequestParser parser(kLimits);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    parser.feed(std::string_view(bytes).substr(0, cut));
    parser.reset(cut % 2 == 0 ? 0 : 4096);
    ASSERT_EQ(parser.feed(bytes), bytes.size()) << cut;
    ASSERT_EQ(parser.state(), ParseState::complete) << cut << ": " << parser.failure().reason;
    EXPECT_EQ(parser.request().body, "hello!") << cut;
    parser.reset();
  }
}

TEST(RequestParser, EmptyLinesInFrontAreNotTheStartOfARequest) {
  RequestParser parser(kLimits);
  EXPECT_FALSE(parser.started());
  EXPECT_EQ(parser.feed("\r\n\r"), 3U);
  EXPECT_FALSE(parser.started());
  EXPECT_EQ(parser.feed("\nG"), 2U);
  EXPECT_TRUE(parser.started());
  parser.feed("ET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(parser.state(), ParseState::complete);
  EXPECT_TRUE(parser.started());
}

TEST(RequestParser, TheHeadCanBeReadBeforeTheBody) {
  RequestParser parser(kLimits);
  parser.feed("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
  ASSERT_EQ(parser.state(), ParseState::body);
  EXPECT_EQ(parser.request().path, "/publish");
  EXPECT_EQ(parser.request().body, "") << "not before it is whole";
  parser.feed("c");
  ASSERT_EQ(parser.state(), ParseState::complete);
  EXPECT_EQ(parser.request().body, "abc");
}

TEST(RequestParser, ViewsOfTheHeadStayValidWhileALongBodyArrives) {
  RequestParser parser({1024, 1U << 20U});
  const std::string body(1U << 20U, 'b');
  parser.feed("POST /publish?q HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
  const std::string_view path = parser.request().path;
  const char* const where = path.data();
  for (std::size_t at = 0; at < body.size(); at += 1000) {
    parser.feed(std::string_view(body).substr(at, 1000));
  }
  ASSERT_EQ(parser.state(), ParseState::complete);
  EXPECT_EQ(parser.request().path.data(), where);
  EXPECT_EQ(path, "/publish");
  EXPECT_EQ(parser.request().body, body);
}

TEST(RequestParser, AMovedParserGoesOnWhereItStopped) {
  RequestParser first(kLimits);
  first.feed("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
  RequestParser second(std::move(first));
  second.feed("bc");
  ASSERT_EQ(second.state(), ParseState::complete);
  EXPECT_EQ(second.request().path, "/p");
  EXPECT_EQ(second.request().body, "abc");
}

TEST(RequestParser, ExpectsContinueUntilTheBodyBegins) {
  RequestParser parser(kLimits);
  parser.feed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r");
  EXPECT_FALSE(parser.expects_continue());
  parser.feed("\n");
  EXPECT_TRUE(parser.expects_continue());
  parser.feed("");
  EXPECT_TRUE(parser.expects_continue());
  parser.feed("o");
  EXPECT_FALSE(parser.expects_continue());
}

TEST(RequestParser, ExpectsContinueOnlyWithABodyAndOnHttp11) {
  for (const char* bytes :
       {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: other\r\nContent-Length: 2\r\n\r\n"}) {
    RequestParser parser(kLimits);
    parser.feed(bytes);
    EXPECT_NE(parser.state(), ParseState::failed);
    EXPECT_FALSE(parser.expects_continue()) << bytes;
  }
}

}  // namespace
}  // namespace ringcast::http
