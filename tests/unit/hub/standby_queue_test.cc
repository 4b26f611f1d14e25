#include "standby_queue.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::hub {
namespace {

using Role = StandbyQueue::Role;
constexpr std::uint64_t kNow = 1'000'000'000'000;

class StandbyQueueTest : public testing::Test {
 protected:
  std::size_t hear(std::string_view text, std::uint64_t now_ns = kNow) {
    return queue_.hear({.text = std::string(text)}, now_ns);
  }
  /// `epoch:number=text` of everything that a relay would send next, and counts it as sent.
  std::vector<std::string> send_all(Role role = Role::relay, std::uint64_t now_ns = kNow,
                                    const StandbyQueue::SliceLimits& limits = {}) {
    std::vector<std::string> all;
    while (const auto slice = queue_.next(role, now_ns, limits)) {
      for (std::size_t i = 0; i < slice->count; ++i) {
        all.push_back(std::to_string(slice->epoch) + ":" + std::to_string(slice->first + i) + "=" +
                      queue_.message(*slice, i).text);
      }
      queue_.sent(*slice);
    }
    return all;
  }

  StandbyQueue queue_{StandbyLimits{}};
};

using Texts = std::vector<std::string>;

TEST(ChannelNumberTest, ReadsTwoDecimalNumbers) {
  EXPECT_EQ(parse_channel_number("17:4"), (ChannelNumber{17, 4}));
  EXPECT_EQ(parse_channel_number("1700000000000:9007199254740991"),
            (ChannelNumber{1'700'000'000'000, 9'007'199'254'740'991}));
}

TEST(ChannelNumberTest, RefusesAnythingElse) {
  for (const std::string_view text :
       {"", ":", "17", "17:", ":4", "17:4 ", " 17:4", "17:-4", "+17:4", "017:4", "17:04", "0:4",
        "17:0", "17:4:1", "17:4x", "99999999999999999:1", "1:99999999999999999"}) {
    EXPECT_FALSE(parse_channel_number(text)) << text;
  }
}

TEST_F(StandbyQueueTest, NumbersNothingBeforeTheFirstMark) {
  hear("early");
  EXPECT_FALSE(queue_.standing());
  EXPECT_EQ(queue_.size(), 0u);
  EXPECT_TRUE(queue_.mark(17, kNow));
  EXPECT_TRUE(queue_.standing());
  hear("a");
  EXPECT_EQ(send_all(), Texts{"17:1=a"});
}

TEST_F(StandbyQueueTest, EachMarkBeginsAtOneAndOlderMessagesGoFirst) {
  queue_.mark(17, kNow);
  hear("a");
  hear("b");
  queue_.mark(18, kNow);
  hear("c");
  EXPECT_EQ(send_all(), (Texts{"17:1=a", "17:2=b", "18:1=c"}));
  EXPECT_TRUE(send_all().empty());
  queue_.unsend();
  EXPECT_EQ(send_all().size(), 3u);
}

TEST_F(StandbyQueueTest, AMarkThatIsHereAlreadyChangesNothing) {
  queue_.mark(17, kNow);
  hear("a");
  EXPECT_FALSE(queue_.mark(17, kNow));
  hear("b");
  EXPECT_EQ(send_all(), (Texts{"17:1=a", "17:2=b"}));
}

TEST_F(StandbyQueueTest, SettledMessagesLeaveUpToTheNumberInTheirEpochOnly) {
  queue_.mark(17, kNow);
  hear("a");
  hear("b");
  queue_.mark(18, kNow);
  hear("c");
  hear("d");
  queue_.settle({18, 1}, kNow);
  EXPECT_EQ(queue_.size(), 3u);
  queue_.settle({17, 1}, kNow);
  queue_.settle({99, 1}, kNow);
  EXPECT_EQ(send_all(), (Texts{"17:2=b", "18:2=d"}));
}

TEST_F(StandbyQueueTest, WhatTheTailShowedFirstIsNotKeptWhenItIsHeard) {
  queue_.mark(17, kNow);
  hear("a");
  queue_.settle({17, 3}, kNow);
  hear("b");
  hear("c");
  EXPECT_EQ(queue_.size(), 0u);
  hear("d");
  EXPECT_EQ(send_all(), Texts{"17:4=d"});
}

TEST_F(StandbyQueueTest, WhatTheTailShowedBeforeItsMarkWasHeardIsNotKept) {
  queue_.mark(17, kNow);
  queue_.settle({18, 1}, kNow);
  queue_.mark(18, kNow);
  hear("a");
  EXPECT_EQ(queue_.size(), 0u);
  hear("b");
  EXPECT_EQ(send_all(), Texts{"18:2=b"});
}

TEST_F(StandbyQueueTest, SettlingKeepsWhatWasSentBehindIt) {
  queue_.mark(17, kNow);
  for (const char* text : {"a", "b", "c", "d"}) hear(text);
  const auto slice = queue_.next(Role::relay, kNow, {.messages_max = 3});
  ASSERT_TRUE(slice);
  queue_.sent(*slice);
  queue_.settle({17, 2}, kNow);
  EXPECT_EQ(send_all(), Texts{"17:4=d"});
  queue_.unsend();
  EXPECT_EQ(send_all(), (Texts{"17:3=c", "17:4=d"}));
}

TEST_F(StandbyQueueTest, FrozenMessagesKeepTheirNumbersAndLaterOnesGetNoneOfThem) {
  queue_.mark(17, kNow);
  hear("a");
  queue_.freeze();
  EXPECT_FALSE(queue_.standing());
  EXPECT_TRUE(queue_.has_frozen());
  hear("between");
  EXPECT_EQ(queue_.size(), 1u);
  queue_.mark(19, kNow);
  hear("b");
  EXPECT_TRUE(queue_.standing());
  const auto slice = queue_.next(Role::standby, kNow, {});
  ASSERT_TRUE(slice);
  EXPECT_TRUE(slice->frozen);
  EXPECT_EQ(send_all(), (Texts{"17:1=a", "19:1=b"}));
  queue_.settle({17, 1}, kNow);
  EXPECT_FALSE(queue_.has_frozen());
  EXPECT_EQ(queue_.size(), 1u);
}

TEST_F(StandbyQueueTest, AStandbySendsFrozenMessagesAtOnceAndOthersWhenTheySeemForgotten) {
  queue_.mark(17, kNow);
  hear("a");
  EXPECT_TRUE(send_all(Role::standby, kNow).empty());
  EXPECT_EQ(queue_.next_due_ns(), kNow + StandbyQueue::kOpenPatienceNs);
  EXPECT_TRUE(send_all(Role::standby, kNow + StandbyQueue::kOpenPatienceNs - 1).empty());
  EXPECT_EQ(send_all(Role::standby, kNow + StandbyQueue::kOpenPatienceNs), Texts{"17:1=a"});

  queue_.unsend();
  const std::uint64_t marked = kNow + 7;
  queue_.mark(18, marked);
  hear("b", marked);
  EXPECT_TRUE(send_all(Role::standby, marked + StandbyQueue::kClosedPatienceNs - 1).empty());
  EXPECT_EQ(send_all(Role::standby, marked + StandbyQueue::kClosedPatienceNs), Texts{"17:1=a"});

  queue_.unsend();
  queue_.freeze();
  EXPECT_EQ(send_all(Role::standby, marked), (Texts{"17:1=a", "18:1=b"}));
}

TEST_F(StandbyQueueTest, AStandbyIsPatientAsLongAsTheRelayGetsOn) {
  queue_.mark(17, kNow);
  hear("a");
  hear("b");
  const std::uint64_t later = kNow + StandbyQueue::kOpenPatienceNs - 1;
  queue_.settle({17, 1}, later);
  EXPECT_TRUE(send_all(Role::standby, later + StandbyQueue::kOpenPatienceNs - 1).empty());
  EXPECT_EQ(send_all(Role::standby, later + StandbyQueue::kOpenPatienceNs), Texts{"17:2=b"});
}

TEST_F(StandbyQueueTest, TooManyMessagesDropTheOldest) {
  StandbyQueue queue({.messages_max = 3});
  queue.mark(17, kNow);
  EXPECT_EQ(queue.hear({.text = "a"}, kNow), 0u);
  EXPECT_EQ(queue.hear({.text = "b"}, kNow), 0u);
  queue.mark(18, kNow);
  EXPECT_EQ(queue.hear({.text = "c"}, kNow), 0u);
  EXPECT_EQ(queue.hear({.text = "d"}, kNow), 1u);
  EXPECT_EQ(queue.hear({.text = "e"}, kNow), 1u);
  EXPECT_EQ(queue.hear({.text = "f"}, kNow), 1u);
  EXPECT_EQ(queue.size(), 3u);
  const auto slice = queue.next(Role::relay, kNow, {});
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->epoch, 18u);
  EXPECT_EQ(slice->first, 2u);
  EXPECT_EQ(queue.message(*slice, 0).text, "d");
}

TEST_F(StandbyQueueTest, TooManyBytesDropTheOldest) {
  const std::size_t each = 100 + StandbyQueue::kMessageOverheadBytes;
  StandbyQueue queue({.messages_max = 1000, .bytes_max = 3 * each});
  queue.mark(17, kNow);
  std::size_t dropped = 0;
  for (int i = 0; i < 10; ++i) dropped += queue.hear({.text = std::string(100, 'x')}, kNow);
  EXPECT_EQ(dropped, 7u);
  EXPECT_EQ(queue.bytes(), 3 * each);
  queue.settle({17, 10}, kNow);
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST_F(StandbyQueueTest, DroppingWhatWasSentLeavesTheRestToBeSent) {
  StandbyQueue queue({.messages_max = 2});
  queue.mark(17, kNow);
  queue.hear({.text = "a"}, kNow);
  queue.hear({.text = "b"}, kNow);
  queue.sent(*queue.next(Role::relay, kNow, {}));
  queue.hear({.text = "c"}, kNow);
  const auto slice = queue.next(Role::relay, kNow, {});
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->first, 3u);
  EXPECT_EQ(slice->count, 1u);
}

TEST_F(StandbyQueueTest, SlicesAreBoundedInMessagesAndBytes) {
  queue_.mark(17, kNow);
  for (int i = 0; i < 5; ++i) hear(std::string(10, 'x'));
  EXPECT_EQ(queue_.next(Role::relay, kNow, {.messages_max = 4})->count, 4u);
  EXPECT_EQ(queue_.next(Role::relay, kNow, {.bytes_max = 30})->count, 3u);
  EXPECT_EQ(queue_.next(Role::relay, kNow, {.bytes_max = 1})->count, 1u);
}

TEST_F(StandbyQueueTest, AMessageThatIsNoEventKeepsItsNumberAndFreesItsBytes) {
  queue_.mark(17, kNow);
  hear("bad");
  hear("good");
  const auto slice = queue_.next(Role::relay, kNow, {});
  queue_.clear(queue_.message(*slice, 0));
  EXPECT_TRUE(queue_.message(*slice, 0).no_event);
  EXPECT_EQ(queue_.bytes(), 4 + 2 * StandbyQueue::kMessageOverheadBytes);
  EXPECT_EQ(send_all(), (Texts{"17:1=", "17:2=good"}));
  queue_.settle({17, 2}, kNow);
  EXPECT_EQ(queue_.bytes(), 0u);
}

TEST_F(StandbyQueueTest, ThawedMessagesAreLeftToARelayForAWhile) {
  queue_.mark(17, kNow);
  hear("a");
  queue_.freeze();
  queue_.thaw(17);
  EXPECT_FALSE(queue_.has_frozen());
  EXPECT_FALSE(queue_.next(Role::relay, kNow, {})->frozen);
}

TEST_F(StandbyQueueTest, DropsAClosedSegmentButNeverTheOpenOne) {
  queue_.mark(17, kNow);
  hear("a");
  hear("b");
  queue_.mark(18, kNow);
  hear("c");
  EXPECT_EQ(queue_.drop(18), 0u);
  EXPECT_EQ(queue_.drop(17), 2u);
  EXPECT_EQ(send_all(), Texts{"18:1=c"});
}

}  // namespace
}  // namespace ringcast::hub
