#include "load/http_publisher.h"

#include <string>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

using State = ResponseProgress::State;

/// The response is complete with its last byte and not before, whatever follows it.
void expect_complete(const std::string& response, std::uint16_t status) {
  for (std::size_t bytes = 0; bytes < response.size(); ++bytes) {
    EXPECT_EQ(read_response(response.substr(0, bytes)).state, State::incomplete) << bytes;
  }
  const auto read = read_response(response + "HTTP/1.1 500");
  EXPECT_EQ(read.state, State::complete);
  EXPECT_EQ(read.bytes, response.size());
  EXPECT_EQ(read.status, status);
}

TEST(ReadResponse, KnowsWhereAResponseEnds) {
  expect_complete("HTTP/1.1 204 No Content\r\nEvent-Id: 1-0\r\n\r\n", 204);
  expect_complete("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nhello", 503);
  expect_complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200);
}

TEST(ReadResponse, KnowsWhetherTheConnectionEnds) {
  EXPECT_FALSE(read_response("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n").closes);
  EXPECT_TRUE(read_response("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").closes);
  EXPECT_TRUE(read_response("HTTP/1.0 204 No Content\r\n\r\n").closes);
}

TEST(ReadResponse, RefusesOtherText) {
  EXPECT_EQ(read_response("SSH-2.0\r\n\r\n").state, State::malformed);
  EXPECT_EQ(read_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").state,
            State::malformed);
}

}  // namespace
}  // namespace ringcast::load
