#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <xxhash.h>

#include "ringcast/hub/history.h"
#include "ringcast/hub/redis_store.h"
#include "ringcast/sse/frame.h"

#include "redis_instance.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using namespace std::chrono_literals;
using Found = HistoryPage::Found;
using test::Instance;
using test::until;

class RedisHistoryTest : public testing::Test {
 protected:
  void SetUp() override { start(); }
  void start(const std::function<void(RedisStoreOptions&)>& change = {}) {
    one_ = std::make_unique<Instance>(server_, change);
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->is_up(); }));
  }

  /// Entries, all delivered.
  std::vector<EventId> fill(std::size_t count, const std::string& more = {}) {
    std::vector<std::vector<std::string>> commands;
    for (std::size_t i = 0; i < count; ++i) {
      commands.push_back({"XADD", "ringcast:events", "*", "data", std::to_string(i) + more});
    }
    std::vector<EventId> ids;
    for (const auto& value : client_.pipeline(commands)) {
      ids.push_back(parse_event_id(value.text).value_or(EventId{}));
    }
    deliver_up_to(ids.back());
    return ids;
  }
  void deliver_up_to(EventId id) {
    const auto& delivered = one_->sink.delivered;
    ASSERT_TRUE(
        until({one_.get()}, [&] { return !delivered.empty() && delivered.back().id == id; }));
  }

  HistoryPage& page(EventId after) {
    const auto serial = one_->ask_history(after);
    EXPECT_TRUE(until({one_.get()}, [&] { return one_->answer(serial) != nullptr; }));
    EXPECT_EQ(one_->outcome(serial), Outcome::done);
    HistoryPage* const got = one_->answer(serial)->page.get();
    if (got == nullptr) {
      ADD_FAILURE() << "no page";
      static HistoryPage none;
      return none;
    }
    return *got;
  }
  static std::vector<EventId> ids(const HistoryPage& page) {
    std::vector<EventId> all;
    for (const HistoryEvent& event : page.events) all.push_back(event.id);
    return all;
  }

  test::RedisServer server_;
  test::RedisClient client_{server_};
  std::unique_ptr<Instance> one_;
};

TEST_F(RedisHistoryTest, APageHoldsTheFramesOfWhatFollows) {
  const EventId first = test::add(client_, {"data", "old"});
  const EventId second = test::add(
      client_, {"data", "two\nlines", "event", "install", "topic", "orders", "retry", "7"});
  const EventId third = test::add(client_, {"data", "new"});
  deliver_up_to(third);
  const HistoryPage& got = page(first);
  EXPECT_EQ(got.found, Found::exact);
  EXPECT_EQ(got.last, third);
  EXPECT_TRUE(got.at_end);
  EXPECT_FALSE(got.oldest);
  ASSERT_EQ(ids(got), (std::vector<EventId>{second, third}));

  const HistoryEvent& event = got.events[0];
  EXPECT_EQ(got.topic(event), "orders");
  EXPECT_EQ(event.topic_hash, XXH3_64bits("orders", 6));
  const sse::EventFields fields{.event = "install", .data = "two\nlines", .retry_ms = 7};
  std::string frame(sse::frame_size(second, fields).bytes, '\0');
  const auto size = sse::encode_frame(second, fields, std::as_writable_bytes(std::span(frame)));
  EXPECT_EQ(got.frame(event), frame);
  EXPECT_EQ(event.chunk_head_bytes, size.chunk_head_bytes);
  EXPECT_EQ(got.topic(got.events[1]), "");
  EXPECT_EQ(got.events[1].topic_hash, 0u);
  EXPECT_NE(got.frame(got.events[1]).find("data: new\n"), std::string::npos);
}

TEST_F(RedisHistoryTest, PagesFollowEachOtherWithoutHoleOrDuplicate) {
  const auto all = fill(1'000);
  std::vector<EventId> got;
  EventId position = all[0];
  int pages = 0;
  for (bool at_end = false; !at_end; ++pages) {
    const HistoryPage& next = page(position);
    EXPECT_EQ(next.found, Found::exact);
    for (const EventId id : ids(next)) got.push_back(id);
    position = next.last;
    at_end = next.at_end;
    ASSERT_LT(pages, 20);
  }
  EXPECT_EQ(got, std::vector<EventId>(all.begin() + 1, all.end()));
  EXPECT_GE(pages, 7);
  EXPECT_EQ(one_->counters.history_pages.get(), static_cast<std::uint64_t>(pages));
}

TEST_F(RedisHistoryTest, APageIsBoundedInBytesButTakesOneEvent) {
  const auto all = fill(20, std::string(kHistoryPageBytes / 3, 'x'));
  std::vector<EventId> got;
  EventId position = all[0];
  for (bool at_end = false; !at_end;) {
    const HistoryPage& next = page(position);
    EXPECT_LE(next.bytes.size(), kHistoryPageBytes);
    EXPECT_EQ(next.events.size(), next.at_end ? next.events.size() : 2u);
    ASSERT_FALSE(next.events.empty());
    for (const EventId id : ids(next)) got.push_back(id);
    position = next.last;
    at_end = next.at_end;
  }
  EXPECT_EQ(got, std::vector<EventId>(all.begin() + 1, all.end()));

  start([](auto& options) { options.event_bytes_max = 2 * kHistoryPageBytes; });
  const EventId large = test::add(client_, {"data", std::string(2 * kHistoryPageBytes, 'x')});
  deliver_up_to(large);
  EXPECT_EQ(ids(page(all.back())), std::vector<EventId>{large});
}

TEST_F(RedisHistoryTest, APageThatWouldBeTooLargeToReadIsReadInParts) {
  const EventId first = test::add(client_, {"data", "x"});
  const std::string large(std::size_t{5} << 18, 'x');  // no event: longer than limits.event_bytes
  for (int i = 0; i < 140; ++i) test::add(client_, {"data", large});
  const EventId last = test::add(client_, {"data", "y"});
  ASSERT_TRUE(until(
      {one_.get()}, [&] { return one_->sink.delivered.size() == 2; }, 30s));
  EventId position = first;
  std::vector<EventId> got;
  for (int tries = 0; position < last && tries < 40; ++tries) {
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->counters.commands_connected.get() == 1; }));
    const auto serial = one_->ask_history(position);
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(serial) != nullptr; }));
    if (one_->outcome(serial) != Outcome::done) continue;  // refused: the stream comes back
    const HistoryPage& next = *one_->answer(serial)->page;
    EXPECT_EQ(next.found, Found::exact);
    for (const EventId id : ids(next)) got.push_back(id);
    position = next.last;
  }
  EXPECT_EQ(got, std::vector<EventId>{last});
}

TEST_F(RedisHistoryTest, ATrimmedPositionIsAGap) {
  const auto all = fill(100);
  client_({"XTRIM", "ringcast:events", "MAXLEN", "10"});
  const HistoryPage& got = page(all[50]);
  EXPECT_EQ(got.found, Found::gap);
  EXPECT_EQ(got.oldest, all[90]);
  EXPECT_EQ(ids(got), std::vector<EventId>(all.begin() + 90, all.end()));
  EXPECT_EQ(page(all[90]).found, Found::exact);
  EXPECT_EQ(page({1, 1}).found, Found::gap);
}

TEST_F(RedisHistoryTest, APositionBehindTheEndIsBeyond) {
  const auto all = fill(3);
  const HistoryPage& got = page({all[2].ms + 1'000'000, 0});
  EXPECT_EQ(got.found, Found::beyond);
  EXPECT_EQ(got.last, all[2]);
  EXPECT_TRUE(got.events.empty());
}

TEST_F(RedisHistoryTest, APositionThatIsNewerThanTheTailIsAnsweredWhenTheTailIsThere) {
  one_->sink.room = 0;  // shards are late: the tail stands still
  const EventId newest = test::add(client_, {"data", "x"});
  const auto serial = one_->ask_history(newest);
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->counters.history_pages.get() == 1; }));
  EXPECT_FALSE(until(
      {one_.get()}, [&] { return one_->answer(serial) != nullptr; }, 50ms));
  EXPECT_EQ(one_->counters.history_waiting.get(), 1u);
  one_->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(serial) != nullptr; }));
  EXPECT_EQ(one_->sink.delivered.size(), 1u);
  EXPECT_EQ(one_->answer(serial)->page->found, Found::exact);
  EXPECT_EQ(one_->answer(serial)->page->last, newest);
  EXPECT_TRUE(one_->answer(serial)->page->at_end);
}

TEST_F(RedisHistoryTest, TheNewestPositionIsExact) {
  const auto all = fill(3);
  const HistoryPage& got = page(all[2]);
  EXPECT_EQ(got.found, Found::exact);
  EXPECT_EQ(got.last, all[2]);
  EXPECT_TRUE(got.at_end);
  EXPECT_TRUE(got.events.empty());
}

TEST_F(RedisHistoryTest, ZeroAsksForEverythingThatThereIs) {
  EXPECT_EQ(page({}).found, Found::exact);
  EXPECT_EQ(page({}).last, EventId{});
  EXPECT_TRUE(page({}).at_end);
  const auto all = fill(100);
  EXPECT_EQ(ids(page({})), all);
  client_({"XTRIM", "ringcast:events", "MAXLEN", "10"});
  const HistoryPage& got = page({});
  EXPECT_EQ(got.found, Found::exact);
  EXPECT_EQ(ids(got), std::vector<EventId>(all.begin() + 90, all.end()));
}

TEST_F(RedisHistoryTest, WhatIsNoEventIsSteppedOver) {
  const EventId first = test::add(client_, {"data", "x"});
  std::vector<std::vector<std::string>> commands(
      300, {"XADD", "ringcast:events", "*", "temperature", "21"});
  client_.pipeline(commands);
  client_({"XADD", "ringcast:events", "*", "sign-out", "0000000000000001-ffffffffff", "topic",
           "user:1"});
  const EventId last = test::add(client_, {"data", "y"});
  deliver_up_to(last);
  std::vector<EventId> got;
  EventId position = first;
  for (bool at_end = false; !at_end;) {
    const HistoryPage& next = page(position);
    EXPECT_EQ(next.found, Found::exact);
    ASSERT_LT(position, next.last);
    for (const EventId id : ids(next)) got.push_back(id);
    position = next.last;
    at_end = next.at_end;
  }
  EXPECT_EQ(got, std::vector<EventId>{last});
}

// Whoever asks goes on until the log has what was read here.
TEST_F(RedisHistoryTest, ThereIsNoEndBeforeTheTailHasComeToIt) {
  const auto all = fill(3);
  one_->sink.room = 0;
  const EventId next = test::add(client_, {"data", "x"});
  const HistoryPage& got = page(all[2]);
  EXPECT_EQ(got.last, next);
  EXPECT_FALSE(got.at_end);
  one_->sink.room = SIZE_MAX;
  deliver_up_to(next);
  EXPECT_TRUE(page(all[2]).at_end);
}

TEST_F(RedisHistoryTest, EventsThatRedisLostAreAGapForThoseWhoStandBeforeThem) {
  const auto all = fill(3);
  client_({"XDEL", "ringcast:events", to_string(all[1]), to_string(all[2])});
  const HistoryPage& got = page(all[0]);
  EXPECT_EQ(got.found, Found::gap);
  EXPECT_EQ(got.last, all[2]);
  EXPECT_TRUE(got.at_end);
}

TEST_F(RedisHistoryTest, AFewAtOnceTheOthersWaitInOrder) {
  const auto all = fill(200);
  server_.freeze();
  std::vector<std::uint32_t> serials;
  for (int i = 0; i < 10; ++i) serials.push_back(one_->ask_history(all[0]));
  one_->turn();
  EXPECT_EQ(one_->counters.history_waiting.get(), 10u);
  server_.thaw();
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(serials.back()) != nullptr; }));
  for (const auto serial : serials) EXPECT_EQ(one_->outcome(serial), Outcome::done);
  EXPECT_EQ(one_->counters.history_waiting.get(), 0u);
}

TEST_F(RedisHistoryTest, MoreThanMayWaitAreRefused) {
  start([](auto& options) {
    options.history_at_once = 1;
    options.history_waiting_max = 2;
  });
  const auto all = fill(5);
  std::vector<std::uint32_t> serials;
  for (int i = 0; i < 4; ++i) serials.push_back(one_->ask_history(all[0]));
  EXPECT_EQ(one_->outcome(serials[3]), Outcome::not_taken);
  EXPECT_EQ(one_->counters.history_refused.get(), 1u);
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(serials[2]) != nullptr; }));
  EXPECT_EQ(one_->outcome(serials[2]), Outcome::done);
}

TEST_F(RedisHistoryTest, WithoutRedisThereIsNone) {
  const auto all = fill(5);
  server_.freeze();
  const auto waiting = one_->ask_history(all[0]);
  one_->turn();
  server_.kill();
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(waiting) != nullptr; }));
  EXPECT_EQ(one_->outcome(waiting), Outcome::not_taken);
  const auto late = one_->ask_history(all[0]);
  EXPECT_EQ(one_->outcome(late), Outcome::not_taken);
  EXPECT_EQ(one_->counters.history_refused.get(), 2u);
  EXPECT_EQ(one_->counters.history_waiting.get(), 0u);
}

}  // namespace
}  // namespace ringcast::hub
