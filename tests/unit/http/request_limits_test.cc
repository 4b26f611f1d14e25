#include <string>

#include <gtest/gtest.h>

#include "ringcast/http/request.h"

#include "allocation_counter.h"

namespace ringcast::http {
namespace {

constexpr ParserLimits kLimits{300, 100};

/// A request whose head is exactly that long.
std::string head_of(std::size_t bytes) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  return begin + std::string(bytes - begin.size() - 4, 'x') + "\r\n\r\n";
}

const std::string kChunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(RequestLimits, AHeadOfTheLimitPassesAndOneByteMoreIs431) {
  RequestParser parser(kLimits);
  EXPECT_EQ(parser.feed(head_of(300)), 300U);
  EXPECT_EQ(parser.state(), ParseState::complete);
  parser.reset();
  EXPECT_EQ(parser.feed(head_of(301)), 300U);
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, 431);
}

TEST(RequestLimits, EmptyLinesInFrontDoNotCountAsHead) {
  RequestParser parser(kLimits);
  parser.feed("\r\n\r\n\r\n\r\n" + head_of(300));
  EXPECT_EQ(parser.state(), ParseState::complete);
}

TEST(RequestLimits, ABodyOfTheLimitPassesAndOneByteMoreIs413) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  RequestParser parser(kLimits);
  parser.feed(head + "100\r\n\r\n" + std::string(100, 'b'));
  ASSERT_EQ(parser.state(), ParseState::complete);
  EXPECT_EQ(parser.request().body.size(), 100U);
  parser.reset();
  parser.feed(head + "101\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, 413);
}

TEST(RequestLimits, ChunksOfTheLimitPassAndOneByteMoreIs413WhenItsSizeIsKnown) {
  const std::string half = "32\r\n" + std::string(50, 'b') + "\r\n";
  RequestParser parser(kLimits);
  parser.feed(kChunkedHead + half + half + "0\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete);
  EXPECT_EQ(parser.request().body.size(), 100U);
  parser.reset();
  parser.feed(kChunkedHead + half + half + "1\r\n");
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, 413);
}

TEST(RequestLimits, TrailersOfTheHeadLimitPassAndOneByteMoreIs431) {
  const auto trailers = [](std::size_t bytes) {
    return "0\r\nA: " + std::string(bytes - 7, 'x') + "\r\n\r\n";
  };
  RequestParser parser(kLimits);
  parser.feed(kChunkedHead + trailers(300));
  EXPECT_EQ(parser.state(), ParseState::complete);
  parser.reset();
  parser.feed(kChunkedHead + trailers(301));
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, 431);
}

TEST(RequestLimits, ManyShortExtensionsAreBoundedTogether) {
  std::string bytes = kChunkedHead;
  for (int chunk = 0; chunk < 50; ++chunk) bytes += "1;aaaaaaaaaaaaaaaaaa\r\nx\r\n";
  RequestParser parser(kLimits);
  parser.feed(bytes);
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().reason, "chunk extensions too large");
}

TEST(RequestLimits, ABodyOfManySmallChunksIsNotTakenForExtensions) {
  std::string bytes = kChunkedHead;
  for (int chunk = 0; chunk < 100; ++chunk) bytes += "0001\r\nx\r\n";
  RequestParser parser(kLimits);
  parser.feed(bytes + "0\r\n\r\n");
  ASSERT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
  EXPECT_EQ(parser.request().body, std::string(100, 'x'));
}

TEST(RequestLimits, NothingIsAllocatedOnceTheBuffersHaveGrown) {
  const std::string through_a_proxy =
      "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nCookie: token=x\r\n"
      "Sec-Fetch-Site: none\r\nAccess-Control-Request-Method: GET\r\n"
      "X-Forwarded-For: 192.0.2.7, 2001:db8::7, 10.0.0.1\r\nX-Forwarded-Proto: a, b\r\n\r\n";
  const std::string requests[] = {
      "GET /events?topic=a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nOrigin: b\r\n\r\n",
      "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'b'),
      kChunkedHead + "64;e=1\r\n" + std::string(100, 'b') + "\r\n0\r\nLong-Trailer: value\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
      through_a_proxy,
  };
  RequestParser parser(kLimits);
  const auto parse_all = [&] {
    for (const std::string& bytes : requests) {
      for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t taken = parser.feed(std::string_view(bytes).substr(at, 61));
        if (taken == 0) break;
        at += taken;
      }
      parser.reset();
    }
  };
  parse_all();
  const std::uint64_t before = test::allocations();
  parse_all();
  EXPECT_EQ(test::allocations(), before);
}

TEST(RequestLimits, OnlyAHeadOfSeveralForwardedForLinesNeedsMemoryOfItsOwn) {
  const auto head = [](const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  };
  const std::string long_list(100, '7');
  const std::string one = head("X-Forwarded-For: " + long_list + "\r\n");
  const std::string two =
      head("X-Forwarded-For: " + long_list + "\r\nX-Forwarded-For: " + long_list + "\r\n");
  RequestParser parser(kLimits);
  const auto allocated_by = [&](const std::string& bytes, std::size_t keep_bytes) {
    const std::uint64_t before = test::allocations();
    parser.feed(bytes);
    EXPECT_EQ(parser.state(), ParseState::complete);
    parser.reset(keep_bytes);
    return test::allocations() - before;
  };
  allocated_by(one, 4096);
  EXPECT_EQ(allocated_by(one, 4096), 0U);
  EXPECT_GT(allocated_by(two, 4096), 0U);
  EXPECT_EQ(allocated_by(two, 4096), 0U) << "kept with the other buffers";
  const std::int64_t held = test::bytes_allocated();
  allocated_by(one, 0);
  EXPECT_LE(test::bytes_allocated(), held - 512 - 200) << "and given back with them";
}

TEST(RequestLimits, ResetGivesBackWhatIsAboveTheMemoryToKeep) {
  RequestParser parser({8192, 65536});
  const auto parse = [&parser] {
    parser.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" +
                std::string(60000, 'b'));
    ASSERT_EQ(parser.state(), ParseState::complete);
  };
  parse();
  const std::int64_t full = test::bytes_allocated();
  parser.reset(4096);
  EXPECT_LE(test::bytes_allocated(), full - 60000);
  parse();
  const std::int64_t again = test::bytes_allocated();
  parser.reset(1U << 20U);
  EXPECT_EQ(test::bytes_allocated(), again);
  parser.reset(0);
  EXPECT_LE(test::bytes_allocated(), again - 60000 - 512) << "the head's buffer goes too";
}

}  // namespace
}  // namespace ringcast::http
