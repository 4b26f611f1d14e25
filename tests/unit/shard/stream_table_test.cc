#include "stream_table.h"

#include <algorithm>
#include <list>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

StreamTable make_table(std::uint32_t slots) {
  auto table = StreamTable::create(slots);
  EXPECT_TRUE(table.ok()) << table.error().message;
  return std::move(table).value();
}

TEST(StreamTable, HandsOutEverySlotOnceAndThenNone) {
  StreamTable table = make_table(5);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 5; ++i) {
    const auto slot = table.take();
    ASSERT_TRUE(slot);
    seen.insert(uring::to_index(*slot));
  }
  EXPECT_EQ(seen, (std::set<std::uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(table.take());
  EXPECT_EQ(table.in_use(), 5u) << "a refusal counts nothing";
  EXPECT_EQ(table.used_end(), 5u);
}

TEST(StreamTable, MostRecentlyFreedSlotIsTakenFirst) {
  StreamTable table = make_table(8);
  std::vector<uring::Slot> slots;
  for (int i = 0; i < 4; ++i) slots.push_back(*table.take());
  table.give_back(slots[1]);
  table.give_back(slots[3]);
  table.give_back(slots[0]);
  EXPECT_EQ(table.take(), slots[0]);
  EXPECT_EQ(table.take(), slots[3]);
  EXPECT_EQ(table.take(), slots[1]);
  EXPECT_EQ(table.take(), uring::Slot{4}) << "untouched memory comes last";
}

TEST(StreamTable, SweepEndsAtTheHighestSlotEverUsed) {
  StreamTable table = make_table(1000);
  EXPECT_EQ(table.used_end(), 0u);
  for (int round = 0; round < 50; ++round) {
    const auto a = table.take();
    const auto b = table.take();
    table.give_back(*a);
    table.give_back(*b);
  }
  EXPECT_EQ(table.used_end(), 2u);
  EXPECT_EQ(table.in_use(), 0u);
}

TEST(StreamTable, HandleOfAFormerConnectionIsNotCurrent) {
  StreamTable table = make_table(2);
  const uring::Slot slot = *table.take();
  const uring::Handle first = table.handle(slot);
  EXPECT_TRUE(table.current(first));
  EXPECT_FALSE(table.current({slot, 0})) << "a zeroed handle means nobody";
  table.give_back(slot);
  EXPECT_FALSE(table.current(first));
  ASSERT_EQ(table.take(), slot);
  EXPECT_FALSE(table.current(first));
  EXPECT_TRUE(table.current(table.handle(slot)));
  EXPECT_NE(table.handle(slot), first);
}

TEST(StreamTable, ReusedSlotRemembersNothingOfItsFormerConnection) {
  StreamTable table = make_table(1);
  const uring::Slot slot = *table.take();
  Stream& stream = table[slot];
  stream.cursor = 77;
  stream.phase = Phase::stream;
  stream.set(Fact::blocked);
  stream.topic_set = 5;
  stream.extra = 9;
  stream.batch = 3;
  stream.last_sent_ms = 11;
  table.give_back(slot);
  EXPECT_EQ(stream.phase, Phase::free) << "a sweep must pass it over";

  ASSERT_EQ(table.take(), slot);
  EXPECT_EQ(stream.cursor, 0u);
  EXPECT_EQ(stream.facts, 0);
  EXPECT_EQ(stream.topic_set, 0u);
  EXPECT_EQ(stream.batch, 0u);
  EXPECT_EQ(stream.last_sent_ms, 0u);
  EXPECT_EQ(stream.list, ListId::none);
}

TEST(StreamTable, SlotWithSomethingOutstandingIsNotGivenBack) {
  StreamTable table = make_table(3);
  const uring::Slot armed = *table.take();
  table[armed].set(Armed::receive);
  EXPECT_DEATH(table.give_back(armed), "quiet");
  const uring::Slot cancelled = *table.take();
  table[cancelled].cancels = 1;
  EXPECT_DEATH(table.give_back(cancelled), "quiet");
  const uring::Slot listed = *table.take();
  StreamList list(ListId::ready);
  list.push_back(table, listed);
  EXPECT_DEATH(table.give_back(listed), "list");
}

TEST(StreamTable, MovedTableKeepsItsStreams) {
  StreamTable table = make_table(4);
  const uring::Slot slot = *table.take();
  table[slot].cursor = 42;
  const uring::Handle handle = table.handle(slot);
  StreamTable moved = std::move(table);
  EXPECT_EQ(moved[slot].cursor, 42u);
  EXPECT_TRUE(moved.current(handle));
  EXPECT_EQ(moved.in_use(), 1u);
}

TEST(StreamTable, RandomTakesAndReturnsMatchAModel) {
  constexpr std::uint32_t kSlots = 64;
  std::mt19937 random(20'240'601);
  StreamTable table = make_table(kSlots);
  std::vector<uring::Handle> out;
  std::vector<uring::Handle> past;
  std::vector<uring::Slot> free_stack;
  std::uint32_t ever_used = 0;
  for (int step = 0; step < 20'000; ++step) {
    // Long phases of growing and of shrinking, so that both ends are reached.
    const bool grow = random() % 10 < ((step / 500) % 2 == 0 ? 7u : 3u);
    if (grow) {
      std::optional<uring::Slot> expected;
      if (!free_stack.empty()) {
        expected = free_stack.back();
        free_stack.pop_back();
      } else if (ever_used < kSlots) {
        expected = uring::Slot{ever_used++};
      }
      const auto slot = table.take();
      ASSERT_EQ(slot, expected);
      if (slot) out.push_back(table.handle(*slot));
    } else if (!out.empty()) {
      const std::size_t which = random() % out.size();
      const uring::Handle handle = out[which];
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(which));
      table.give_back(handle.slot);
      free_stack.push_back(handle.slot);
      past.push_back(handle);
    }
    ASSERT_EQ(table.in_use(), out.size());
    ASSERT_EQ(table.used_end(), ever_used);
    for (const uring::Handle& handle : out) ASSERT_TRUE(table.current(handle));
  }
  EXPECT_EQ(ever_used, kSlots);
  for (const uring::Handle& handle : past) ASSERT_FALSE(table.current(handle));
}

TEST(Stream, BitsOfFactsAndArmedDoNotDisturbEachOther) {
  Stream stream;
  EXPECT_TRUE(stream.quiet());
  EXPECT_EQ(stream.wire(), sse::Wire::chunked);
  stream.set(Fact::plain_wire);
  stream.set(Fact::blocked);
  stream.clear(Fact::blocked);
  EXPECT_TRUE(stream.is(Fact::plain_wire));
  EXPECT_FALSE(stream.is(Fact::blocked));
  EXPECT_EQ(stream.wire(), sse::Wire::plain);
  stream.set(Armed::receive);
  stream.set(Armed::writable);
  stream.clear(Armed::receive);
  EXPECT_FALSE(stream.quiet());
  EXPECT_TRUE(stream.is(Armed::writable));
  stream.clear(Armed::writable);
  EXPECT_TRUE(stream.quiet());
  stream.cancels = 1;
  EXPECT_FALSE(stream.quiet());
}

// --- lists

std::vector<std::uint32_t> members(StreamTable& table, const StreamList& list) {
  std::vector<std::uint32_t> found;
  std::uint32_t before = kNoSlot;
  for (std::uint32_t at = list.empty() ? kNoSlot : uring::to_index(list.front()); at != kNoSlot;
       at = table.at(at).next) {
    EXPECT_EQ(table.at(at).previous, before);
    if (found.size() > table.slots()) {
      ADD_FAILURE() << "the list goes in a circle";
      break;
    }
    found.push_back(at);
    before = at;
  }
  return found;
}

TEST(StreamList, KeepsTheOrderOfJoining) {
  StreamTable table = make_table(4);
  StreamList list(ListId::blocked);
  EXPECT_TRUE(list.empty());
  for (int i = 0; i < 4; ++i) list.push_back(table, *table.take());
  EXPECT_EQ(members(table, list), (std::vector<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(table.at(2).list, ListId::blocked);
}

TEST(StreamList, LosesItsFirstItsLastItsMiddleAndItsOnlyOne) {
  StreamTable table = make_table(4);
  StreamList list(ListId::ready);
  for (int i = 0; i < 4; ++i) list.push_back(table, *table.take());
  list.remove(table, uring::Slot{0});
  EXPECT_EQ(members(table, list), (std::vector<std::uint32_t>{1, 2, 3}));
  list.remove(table, uring::Slot{3});
  EXPECT_EQ(members(table, list), (std::vector<std::uint32_t>{1, 2}));
  list.push_back(table, uring::Slot{0});
  list.remove(table, uring::Slot{2});
  EXPECT_EQ(members(table, list), (std::vector<std::uint32_t>{1, 0}));
  list.remove(table, uring::Slot{1});
  list.remove(table, uring::Slot{0});
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.size(), 0u);
  EXPECT_EQ(table.at(0).list, ListId::none);
  list.push_back(table, uring::Slot{2});
  EXPECT_EQ(members(table, list), std::vector<std::uint32_t>{2});
}

TEST(StreamList, RandomOperationsOnSeveralListsMatchAModel) {
  constexpr std::uint32_t kSlots = 100;
  std::mt19937 random(7);
  StreamTable table = make_table(kSlots);
  for (std::uint32_t i = 0; i < kSlots; ++i) ASSERT_TRUE(table.take());

  StreamList lists[] = {StreamList(ListId::ready), StreamList(ListId::blocked),
                        StreamList(ListId::backoff)};
  std::list<std::uint32_t> models[3];
  std::vector<int> member_of(kSlots, -1);
  for (int step = 0; step < 30'000; ++step) {
    const auto index = static_cast<std::uint32_t>(random() % kSlots);
    const auto to = static_cast<int>(random() % 3);
    if (const int from = member_of[index]; from >= 0) {
      lists[from].remove(table, uring::Slot{index});
      models[from].remove(index);
      member_of[index] = -1;
    }
    if (random() % 4 != 0) {
      lists[to].push_back(table, uring::Slot{index});
      models[to].push_back(index);
      member_of[index] = to;
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(lists[i].size(), models[i].size());
      ASSERT_EQ(lists[i].empty(), models[i].empty());
      if (!models[i].empty()) {
        ASSERT_EQ(uring::to_index(lists[i].front()), models[i].front());
      }
      if (step % 50 != 0) continue;
      ASSERT_EQ(members(table, lists[i]),
                std::vector<std::uint32_t>(models[i].begin(), models[i].end()));
    }
  }
}

}  // namespace
}  // namespace ringcast::shard
