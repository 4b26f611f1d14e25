#include "ringcast/base/event_id.h"

#include <cstdint>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(EventId, ComparesNumericallyPartByPart) {
  EXPECT_LT((EventId{9, 0}), (EventId{10, 0}));
  EXPECT_LT((EventId{9, kMax}), (EventId{10, 0}));
  EXPECT_LT((EventId{10, 9}), (EventId{10, 10}));
  EXPECT_EQ((EventId{10, 9}), (EventId{10, 9}));
  EXPECT_LT(EventId{}, (EventId{0, 1}));
}

TEST(EventId, TextHasTheFormOfRedisStreams) {
  EXPECT_EQ(to_string(EventId{}), "0-0");
  EXPECT_EQ(to_string(EventId{1526919030474, 55}), "1526919030474-55");
  EXPECT_EQ(to_string(EventId{kMax, kMax}), "18446744073709551615-18446744073709551615");
}

TEST(EventId, LongestTextFillsTheBufferExactly) {
  std::array<char, kEventIdTextMax> text;
  EXPECT_EQ(format_event_id(EventId{kMax, kMax}, text), kEventIdTextMax);
}

TEST(EventId, EveryTextReadsBackAsTheSameId) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const EventId id{random() >> (random() % 64), random() >> (random() % 64)};
    EXPECT_EQ(parse_event_id(to_string(id)), id);
  }
}

TEST(EventId, AnythingButTwoNumbersAndADashIsRefused) {
  for (const char* text : {"",
                           "-",
                           "1",
                           "1-",
                           "-1",
                           "1-2-3",
                           "1--2",
                           "+1-2",
                           "1-+2",
                           " 1-2",
                           "1-2 ",
                           "1 -2",
                           "1-2\n",
                           "a-b",
                           "1-2a",
                           "0x1-2",
                           "1.0-2",
                           "1_2",
                           "18446744073709551616-0",
                           "0-18446744073709551616",
                           "99999999999999999999999999999-1",
                           "-1-1",
                           "1-*",
                           "$",
                           "\xef\xbb\xbf"
                           "1-2"}) {
    EXPECT_FALSE(parse_event_id(text)) << '"' << text << '"';
  }
  EXPECT_FALSE(parse_event_id(std::string_view("1-2\0", 4)));
}

TEST(EventId, LargestPartsAreRead) {
  EXPECT_EQ(parse_event_id("18446744073709551615-18446744073709551615"), (EventId{kMax, kMax}));
}

}  // namespace
}  // namespace ringcast
