#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "request_corpus.h"

namespace ringcast::http::test {

/// What GoogleTest shows of a failed one.
void PrintTo(const Sample& sample, std::ostream* out) {
  *out << testing::PrintToString(sample.bytes.substr(0, 200));
}

namespace {

std::string name_of(const testing::TestParamInfo<Sample>& info) {
  return std::string(info.param.name);
}

class Accepted : public testing::TestWithParam<Sample> {};

TEST_P(Accepted, IsComplete) {
  RequestParser parser(kSampleLimits);
  EXPECT_GT(parser.feed(GetParam().bytes), 0U);
  EXPECT_EQ(parser.state(), ParseState::complete) << parser.failure().reason;
}

INSTANTIATE_TEST_SUITE_P(Corpus, Accepted, testing::ValuesIn(good_samples()), name_of);

class Refused : public testing::TestWithParam<Sample> {};

TEST_P(Refused, SaysWhatIsWrong) {
  RequestParser parser(kSampleLimits);
  parser.feed(GetParam().bytes);
  ASSERT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, GetParam().status);
  EXPECT_EQ(parser.failure().reason, GetParam().reason);
}

INSTANTIATE_TEST_SUITE_P(Corpus, Refused, testing::ValuesIn(bad_samples()), name_of);

TEST(Refusal, ComesWithTheFirstByteThatNoRequestCanBeginWith) {
  RequestParser parser(kSampleLimits);
  EXPECT_EQ(parser.feed("\x16"), 1U);
  EXPECT_EQ(parser.state(), ParseState::failed);
}

TEST(Refusal, OfALongBodyDoesNotWaitForIt) {
  RequestParser parser(kSampleLimits);
  parser.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n");
  EXPECT_EQ(parser.state(), ParseState::failed);
  EXPECT_EQ(parser.failure().status, 413);
}

}  // namespace
}  // namespace ringcast::http::test
