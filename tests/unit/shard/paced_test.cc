#include "paced.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

class Paced : public testing::Test {
 protected:
  uring::Slot open(std::uint32_t last_sent_ms) {
    const uring::Slot slot = *table_.take();
    table_[slot].last_sent_ms = last_sent_ms;
    return slot;
  }
  std::vector<std::uint32_t> take_due(PacedStreams& paced, std::uint32_t now_ms) {
    std::vector<std::uint32_t> all;
    for (std::uint32_t index = paced.due(now_ms); index != kNoSlot; index = paced.due(now_ms)) {
      all.push_back(index);
      paced.remove(table_, uring::Slot{index});
    }
    return all;
  }

  StreamTable table_ = StreamTable::create(64).value();
};

TEST_F(Paced, WithoutALimitNobodyWaits) {
  const PacedStreams paced(0);
  EXPECT_FALSE(paced.must_wait(table_[open(1'000)], 1'000));
}

TEST_F(Paced, StreamsWaitTheIntervalAndNoLonger) {
  const PacedStreams paced(10);
  const Stream& stream = table_[open(1'000)];
  EXPECT_TRUE(paced.must_wait(stream, 1'000));
  EXPECT_TRUE(paced.must_wait(stream, 1'099));
  EXPECT_FALSE(paced.must_wait(stream, 1'100));
}

TEST_F(Paced, ARateThatDoesNotDivideASecondIsNotExceeded) {
  const PacedStreams paced(300);  // 3.3 ms: 4 ms, 250 a second
  EXPECT_TRUE(paced.must_wait(table_[open(0)], 3));
  EXPECT_FALSE(paced.must_wait(table_[open(0)], 4));
}

TEST_F(Paced, AreDueInTheOrderOfTheirLastSend) {
  PacedStreams paced(10);
  const uring::Slot late = open(1'050);
  const uring::Slot early = open(1'010);
  paced.add(table_, late);
  paced.add(table_, early);
  EXPECT_EQ(paced.size(), 2U);
  EXPECT_TRUE(take_due(paced, 1'109).empty());
  EXPECT_EQ(paced.next_in_ms(1'109), 1U);
  EXPECT_EQ(take_due(paced, 1'120), std::vector{uring::to_index(early)});
  EXPECT_EQ(paced.next_in_ms(1'120), 30U);
  EXPECT_EQ(take_due(paced, 5'000), std::vector{uring::to_index(late)});
  EXPECT_EQ(paced.size(), 0U);
}

TEST_F(Paced, OneThatLeavesEarlyIsNotDue) {
  PacedStreams paced(1);
  const uring::Slot slot = open(1'000);
  paced.add(table_, slot);
  paced.remove(table_, slot);
  EXPECT_TRUE(take_due(paced, 10'000).empty());
  EXPECT_EQ(table_[slot].list, ListId::none);
}

TEST_F(Paced, TheClockMayWrap) {
  PacedStreams paced(1);
  const uring::Slot slot = open(0xffff'ff00);
  paced.add(table_, slot);
  EXPECT_TRUE(take_due(paced, 0xffff'fff0).empty());
  EXPECT_TRUE(take_due(paced, 0x0000'02e7).empty());
  EXPECT_EQ(take_due(paced, 0x0000'02e8).size(), 1U);
}

TEST_F(Paced, OneThatIsAddedAfterALongSleepIsNotDueBeforeItsTime) {
  PacedStreams paced(1);
  paced.add(table_, open(100));  // due at 1,100: until then the wheel stands there
  EXPECT_EQ(take_due(paced, 1'300).size(), 1U);
  const uring::Slot waiting = open(700);
  paced.add(table_, waiting);
  EXPECT_TRUE(take_due(paced, 1'699).empty());  // the wheel comes to the present
  const uring::Slot fresh = open(1'699);        // due a whole interval later
  paced.add(table_, fresh);
  EXPECT_EQ(take_due(paced, 1'700), std::vector{uring::to_index(waiting)});
  EXPECT_TRUE(take_due(paced, 2'698).empty());
  EXPECT_EQ(take_due(paced, 2'699), std::vector{uring::to_index(fresh)});
}

TEST_F(Paced, NobodyIsForgottenWhileOthersComeAndGo) {
  PacedStreams paced(7);
  std::multiset<std::uint32_t> waiting;
  std::uint32_t now_ms = 12'345;
  std::size_t released = 0;
  std::size_t added = 0;
  for (int step = 0; step < 3'000; ++step) {
    now_ms += static_cast<std::uint32_t>(step * 7919 % 40);
    for (const std::uint32_t index : take_due(paced, now_ms)) {
      const std::uint32_t due_ms = table_.at(index).last_sent_ms + 143;
      EXPECT_LE(due_ms, now_ms);
      const auto known = waiting.find(due_ms);
      ASSERT_NE(known, waiting.end());
      waiting.erase(known);
      table_.give_back(uring::Slot{index});
      ++released;
    }
    if (table_.in_use() < 60) {
      const auto sent_ms = now_ms - static_cast<std::uint32_t>(step * 31 % 143);
      const uring::Slot slot = open(sent_ms);
      paced.add(table_, slot);
      waiting.insert(sent_ms + 143);
      ++added;
    }
  }
  released += take_due(paced, now_ms + 143).size();
  EXPECT_EQ(released, added);
}

}  // namespace
}  // namespace ringcast::shard
