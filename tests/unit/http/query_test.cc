#include "ringcast/http/query.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs fields_of(std::string_view query) {
  Pairs found;
  QueryFields fields(query);
  while (const auto field = fields.next()) found.emplace_back(field->name, field->value);
  return found;
}

TEST(QueryFields, ComeInOrderWithRepeats) {
  EXPECT_EQ(fields_of("topic=a&topic=b&last_event_id=1-0"),
            (Pairs{{"topic", "a"}, {"topic", "b"}, {"last_event_id", "1-0"}}));
}

TEST(QueryFields, SplitAtTheFirstEqualsSign) {
  EXPECT_EQ(fields_of("a=b=c&d&=e&f="), (Pairs{{"a", "b=c"}, {"d", ""}, {"", "e"}, {"f", ""}}));
}

TEST(QueryFields, EmptyPartsAreNoFields) {
  EXPECT_EQ(fields_of(""), Pairs{});
  EXPECT_EQ(fields_of("&&a=1&&"), (Pairs{{"a", "1"}}));
}

TEST(QueryFields, AreNotDecoded) {
  EXPECT_EQ(fields_of("a%3D=%26"), (Pairs{{"a%3D", "%26"}}));
}

TEST(PercentDecode, DecodesEscapesAndPlus) {
  std::string out = "old";
  EXPECT_TRUE(percent_decode("user%2Fann+b%c3%A9%00", out));
  EXPECT_EQ(out, std::string("user/ann b\xc3\xa9\0", 13));
  EXPECT_TRUE(percent_decode("", out));
  EXPECT_EQ(out, "");
}

TEST(PercentDecode, RefusesBrokenEscapes) {
  std::string out;
  for (const char* text : {"%", "%4", "a%4", "%g0", "%0g", "%%41", "%+1", "%-1", "% 1"}) {
    EXPECT_FALSE(percent_decode(text, out)) << text;
  }
  EXPECT_FALSE(percent_decode(std::string_view("%41").substr(0, 2), out)) << "reads past the end";
}

}  // namespace
}  // namespace ringcast::http
