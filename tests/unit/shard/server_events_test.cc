#include "server_events.h"

#include <string>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

TEST(ServerEvents, PlainWireHasTheFrameAlone) {
  std::string out = "before";
  append_event(out, sse::Wire::plain, EventId{17, 3}, {.event = "heartbeat"});
  EXPECT_EQ(out, "beforeid: 17-3\nevent: heartbeat\ndata: \n\n");
}

TEST(ServerEvents, ChunkedWireHasOneChunkForEachEvent) {
  std::string out;
  append_event(out, sse::Wire::chunked, EventId{17, 3}, {.event = "heartbeat"});
  const std::string frame = "id: 17-3\nevent: heartbeat\ndata: \n\n";
  ASSERT_EQ(frame.size(), 0x22u);
  EXPECT_EQ(out, "22\r\n" + frame + "\r\n");
}

TEST(ServerEvents, EventWithoutAPositionHasNoId) {
  std::string out;
  append_event(out, sse::Wire::plain, std::nullopt,
               {.event = "closing", .data = reason_data("drain"), .retry_ms = 4200});
  EXPECT_EQ(out.find("id:"), std::string::npos) << out;
  EXPECT_NE(out.find("event: closing\n"), std::string::npos) << out;
  EXPECT_NE(out.find("retry: 4200\n"), std::string::npos) << out;
  EXPECT_NE(out.find("data: {\"reason\":\"drain\"}\n"), std::string::npos) << out;
}

TEST(ServerEvents, GapNamesWhatIsKnownAndNullOtherwise) {
  EXPECT_EQ(gap_data(EventId{1, 2}, EventId{3, 4}, EventId{5, 6}),
            R"({"requested":"1-2","oldest":"3-4","newest":"5-6"})");
  EXPECT_EQ(gap_data(std::nullopt, std::nullopt, std::nullopt),
            R"({"requested":null,"oldest":null,"newest":null})");
  EXPECT_EQ(
      gap_data(EventId{0, 0}, std::nullopt, EventId{~std::uint64_t{0}, ~std::uint64_t{0}}),
      R"({"requested":"0-0","oldest":null,"newest":"18446744073709551615-18446744073709551615"})");
}

TEST(ServerEvents, BodyEndsOnlyWhereItHasAnEnd) {
  std::string chunked;
  append_end(chunked, sse::Wire::chunked);
  EXPECT_EQ(chunked, "0\r\n\r\n");
  std::string plain;
  append_end(plain, sse::Wire::plain);
  EXPECT_EQ(plain, "") << "the end of the connection is the end of the body";
}

}  // namespace
}  // namespace ringcast::shard
