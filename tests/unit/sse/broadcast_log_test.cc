#include "ringcast/sse/broadcast_log.h"

#include <cstring>
#include <deque>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace ringcast::sse {
namespace {

std::unique_ptr<BroadcastLog> make(const LogOptions& options) {
  auto log = BroadcastLog::create(options);
  EXPECT_TRUE(log.ok());
  return std::move(log).value();
}

// The log copies whatever it is given; these need not be events.
std::string frame_of(std::size_t bytes, char filler) {
  return "3\r\n" + std::string(bytes - 5, filler) + "\r\n";
}

Ordinal append(BroadcastLog& log, EventId id, std::string_view frame, TopicId topic = kPublicTopic,
               Ordinal previous = kNoOrdinal) {
  return log.append(id, topic, std::as_bytes(std::span(frame)), 3, previous);
}

Ordinal append(BroadcastLog& log, std::uint64_t ms, std::size_t bytes = 10) {
  return append(log, EventId{ms, 0}, frame_of(bytes, 'x'));
}

std::string text_of(const BroadcastLog& log, Ordinal ordinal, Wire wire = Wire::chunked) {
  const auto bytes = log.bytes(log.entry(ordinal), wire);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void expect_resume(const BroadcastLog& log, EventId requested, Ordinal cursor, bool gap) {
  const Resume resume = log.resume(requested);
  EXPECT_EQ(resume.cursor, cursor) << to_string(requested);
  EXPECT_EQ(resume.gap, gap) << to_string(requested);
}

TEST(BroadcastLog, LogThatCanKeepNothingIsRefused) {
  EXPECT_FALSE(BroadcastLog::create({.bytes = 0, .events = 1}).ok());
  EXPECT_FALSE(BroadcastLog::create({.bytes = 1, .events = 0}).ok());
}

TEST(BroadcastLog, StartsEmptyAtTheFloor) {
  const auto log = make({.bytes = 100, .events = 10, .floor = {7, 3}});
  EXPECT_TRUE(log->empty());
  EXPECT_EQ(log->tail(), 0u);
  EXPECT_EQ(log->head(), 0u);
  EXPECT_EQ(log->newest(), (EventId{7, 3}));
  EXPECT_EQ(log->floor(), (EventId{7, 3}));
  EXPECT_EQ(log->before(0), (EventId{7, 3}));
  EXPECT_FALSE(log->oldest().has_value());
  EXPECT_EQ(log->position(0), 0u);
}

TEST(BroadcastLog, KeepsWhatWasAppended) {
  const auto log = make({.bytes = 1000, .events = 10});
  EXPECT_EQ(append(*log, {5, 0}, "3\r\nabc\r\n", TopicId{4}), 0u);
  EXPECT_EQ(append(*log, {5, 1}, "4\r\nefgh\r\n", TopicId{4}, 0), 1u);
  EXPECT_EQ(log->head(), 2u);
  EXPECT_EQ(text_of(*log, 0), "3\r\nabc\r\n");
  EXPECT_EQ(text_of(*log, 1), "4\r\nefgh\r\n");
  EXPECT_EQ(text_of(*log, 1, Wire::plain), "efgh");
  EXPECT_EQ(log->entry(0).id, (EventId{5, 0}));
  EXPECT_EQ(log->entry(0).topic, TopicId{4});
  EXPECT_EQ(log->entry(0).previous_distance, 0u);
  EXPECT_EQ(log->entry(1).previous_distance, 1u);
  EXPECT_EQ(log->position(1), 8u);
  EXPECT_EQ(log->position(2), 17u);
  EXPECT_EQ(log->newest(), (EventId{5, 1}));
  EXPECT_EQ(log->oldest(), (EventId{5, 0}));
  EXPECT_EQ(log->before(0), EventId{});
  EXPECT_EQ(log->before(1), (EventId{5, 0}));
  EXPECT_EQ(log->before(2), (EventId{5, 1}));
}

TEST(BroadcastLog, NumberOfEventsIsALimitEvenIfTheIndexIsLarger) {
  const auto log = make({.bytes = 100'000, .events = 5});
  for (std::uint64_t i = 1; i <= 5; ++i) {
    EXPECT_TRUE(log->has_room(10));
    append(*log, i);
  }
  EXPECT_FALSE(log->has_room(0));
  log->evict();
  EXPECT_TRUE(log->has_room(10));
}

TEST(BroadcastLog, BytesAreALimitEvenIfTheMemoryIsLarger) {
  const auto log = make({.bytes = 100, .events = 1000});
  EXPECT_TRUE(log->has_room(100));
  EXPECT_FALSE(log->has_room(101));
  append(*log, 1, 60);
  EXPECT_TRUE(log->has_room(40));
  EXPECT_FALSE(log->has_room(41));
  append(*log, 2, 40);
  EXPECT_FALSE(log->has_room(1));
  log->evict();
  EXPECT_TRUE(log->has_room(60));
  EXPECT_FALSE(log->has_room(61));
  log->evict();
  EXPECT_TRUE(log->has_room(100));
}

TEST(BroadcastLog, EvictedEntryIsReadableUntilTheNextAppend) {
  const auto log = make({.bytes = 20, .events = 2});
  append(*log, {1, 0}, frame_of(10, 'a'));
  append(*log, {2, 0}, frame_of(10, 'b'));
  log->evict();
  EXPECT_EQ(log->tail(), 1u);
  EXPECT_EQ(text_of(*log, 0), frame_of(10, 'a'));
  EXPECT_EQ(log->floor(), (EventId{1, 0}));
  EXPECT_EQ(log->oldest(), (EventId{2, 0}));
  EXPECT_EQ(log->before(1), (EventId{1, 0}));
}

TEST(BroadcastLog, NewestSurvivesTheEvictionOfEverything) {
  const auto log = make({.bytes = 100, .events = 10});
  append(*log, 4);
  log->evict();
  EXPECT_TRUE(log->empty());
  EXPECT_EQ(log->newest(), (EventId{4, 0}));
  EXPECT_FALSE(log->oldest().has_value());
}

TEST(BroadcastLog, ResumeInAnEmptyLogKnowsTheFloor) {
  const auto log = make({.bytes = 100, .events = 10, .floor = {7, 3}});
  expect_resume(*log, {0, 0}, 0, false);
  expect_resume(*log, {7, 3}, 0, false);
  expect_resume(*log, {7, 2}, 0, true);
  expect_resume(*log, {7, 4}, 0, true);
}

TEST(BroadcastLog, ResumeGoesOnAfterTheEventThatIsNamed) {
  const auto log = make({.bytes = 1000, .events = 10, .floor = {1, 0}});
  for (const std::uint64_t ms : {10u, 20u, 30u}) append(*log, ms);
  expect_resume(*log, {10, 0}, 1, false);
  expect_resume(*log, {20, 0}, 2, false);
  expect_resume(*log, {30, 0}, 3, false);
  expect_resume(*log, {1, 0}, 0, false);
  expect_resume(*log, {0, 0}, 0, false);
}

TEST(BroadcastLog, ResumeFromAnIdThatNeverWasIsAGapWithTheNewerEvents) {
  const auto log = make({.bytes = 1000, .events = 10, .floor = {5, 0}});
  for (const std::uint64_t ms : {10u, 20u, 30u}) append(*log, ms);
  expect_resume(*log, {10, 1}, 1, true);
  expect_resume(*log, {7, 0}, 0, true);
  expect_resume(*log, {29, 99}, 2, true);
}

TEST(BroadcastLog, ResumeFromBeforeTheKeptEventsIsAGap) {
  const auto log = make({.bytes = 1000, .events = 2});
  for (const std::uint64_t ms : {10u, 20u}) append(*log, ms);
  log->evict();
  append(*log, 30);
  expect_resume(*log, {9, 0}, 1, true);
  expect_resume(*log, {10, 0}, 1, false);  // nothing newer than it was evicted
  log->evict();
  expect_resume(*log, {10, 0}, 2, true);
  expect_resume(*log, {0, 0}, 2, false);
}

TEST(BroadcastLog, ResumeFromBeyondTheNewestIsAGapAtTheHead) {
  const auto log = make({.bytes = 1000, .events = 10});
  append(*log, 10);
  expect_resume(*log, {10, 1}, 1, true);
  expect_resume(*log, {~0ull, ~0ull}, 1, true);
}

TEST(BroadcastLog, ResumeAgreesWithALinearSearchForEveryId) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const auto log =
        make({.bytes = 100'000, .events = 1 + random() % 40, .floor = {random() % 3, 0}});
    std::uint64_t ms = 3;
    for (int i = static_cast<int>(random() % 100); i > 0; --i) {
      if (!log->has_room(10)) log->evict();
      append(*log, ms += 1 + random() % 3);
    }
    for (std::uint64_t asked = 0; asked < ms + 3; ++asked) {
      for (const EventId id : {EventId{asked, 0}, EventId{asked, 1}}) {
        Ordinal cursor = log->tail();
        bool known = id == EventId{} || id == log->floor();
        for (Ordinal ordinal = log->tail(); ordinal < log->head(); ++ordinal) {
          if (log->entry(ordinal).id <= id) cursor = ordinal + 1;
          known |= log->entry(ordinal).id == id;
        }
        expect_resume(*log, id, cursor, !known);
      }
    }
  }
}

TEST(BroadcastLog, FramesStayWholeWhileTheLogWraps) {
  std::mt19937 random(9);
  constexpr std::size_t kBytes = 5000;
  constexpr std::size_t kEvents = 37;
  const auto log = make({.bytes = kBytes, .events = kEvents});
  std::deque<std::string> kept;
  std::size_t kept_bytes = 0;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    const std::string frame = frame_of(5 + random() % 400, static_cast<char>('a' + i % 26));
    while (!log->has_room(frame.size())) {
      ASSERT_TRUE(kept.size() == kEvents || kept_bytes + frame.size() > kBytes)
          << "evicted without need";
      log->evict();
      kept_bytes -= kept.front().size();
      kept.pop_front();
    }
    append(*log, {i, 0}, frame);
    kept.push_back(frame);
    kept_bytes += frame.size();
    ASSERT_LE(kept_bytes, kBytes);
    ASSERT_LE(kept.size(), kEvents);
    ASSERT_EQ(log->head() - log->tail(), kept.size());
    ASSERT_EQ(log->position(log->head()) - log->position(log->tail()), kept_bytes);
    ASSERT_EQ(text_of(*log, log->tail()), kept.front());
    if (i % 100 == 0) {
      for (std::size_t k = 0; k < kept.size(); ++k)
        ASSERT_EQ(text_of(*log, log->tail() + k), kept[k]);
    }
  }
}

TEST(BroadcastLogDeathTest, MisuseIsABug) {
  const auto log = make({.bytes = 20, .events = 5});
  EXPECT_DEATH(log->evict(), "internal error");
  append(*log, 5);
  EXPECT_DEATH(append(*log, 5), "internal error") << "the ID must grow";
  EXPECT_DEATH(append(*log, 6, 11), "internal error") << "there must be room";
}

}  // namespace
}  // namespace ringcast::sse
