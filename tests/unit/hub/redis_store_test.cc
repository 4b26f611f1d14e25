#include "ringcast/hub/redis_store.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "redis_instance.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using namespace std::chrono_literals;
using test::Delivered;
using test::Instance;
using test::until;

class RedisStoreTest : public testing::Test {
 protected:
  std::vector<std::string> sent(std::size_t count) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back("event " + std::to_string(i));
    return all;
  }

  test::RedisServer server_;
  test::RedisClient client_{server_};
};

TEST_F(RedisStoreTest, AnAppendIsAnsweredWithTheIdThatRedisGave) {
  Instance one(server_);
  const auto serial =
      one.publish({.event = "install", .data = "two\nlines", .topic = "orders", .retry_ms = 5000});
  ASSERT_TRUE(until({&one}, [&] { return one.answer(serial) && !one.sink.delivered.empty(); }));

  const auto stored = test::entries(client_);
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(one.answer(serial)->outcome, Outcome::done);
  EXPECT_EQ(one.answer(serial)->id, stored[0].id);
  const Delivered& got = one.sink.delivered.front();
  EXPECT_EQ(got.id, stored[0].id);
  EXPECT_EQ(got.event, "install");
  EXPECT_EQ(got.data, "two\nlines");
  EXPECT_EQ(got.topic, "orders");
  EXPECT_EQ(got.retry_ms, 5000u);
  EXPECT_EQ(one.counters.published.get(), 1u);
  EXPECT_EQ(one.counters.queue_events.get(), 0u);
  EXPECT_EQ(one.counters.queue_bytes.get(), 0u);
}

TEST_F(RedisStoreTest, TwoStoresDeliverTheSameEventsUnderTheSameIds) {
  Instance one(server_);
  Instance two(server_);
  constexpr std::size_t kEvents = 2'000;
  for (std::size_t i = 0; i < kEvents; ++i) {
    (i % 3 == 0 ? one : two).publish("event " + std::to_string(i));
    if (i % 50 == 0) one.turn();
    if (i % 70 == 0) two.turn();
  }
  ASSERT_TRUE(until({&one, &two}, [&] {
    return one.sink.delivered.size() == kEvents && two.sink.delivered.size() == kEvents &&
           one.sink.answers.size() + two.sink.answers.size() == kEvents;
  }));
  const auto stored = test::entries(client_);
  ASSERT_EQ(stored.size(), kEvents);
  for (std::size_t i = 0; i < kEvents; ++i) {
    EXPECT_EQ(one.sink.delivered[i].id, stored[i].id);
    EXPECT_EQ(two.sink.delivered[i].id, stored[i].id);
    EXPECT_EQ(one.sink.delivered[i].data, stored[i].fields.at("data"));
    EXPECT_EQ(two.sink.delivered[i].data, stored[i].fields.at("data"));
  }
}

TEST_F(RedisStoreTest, WhatOneInstancePublishesKeepsItsOrder) {
  Instance one(server_);
  const auto data = sent(3'000);
  for (const auto& text : data) one.publish(text);
  ASSERT_TRUE(until({&one}, [&] { return one.sink.delivered.size() == data.size(); }));
  EXPECT_EQ(one.sink.data(), data);
}

TEST_F(RedisStoreTest, EntriesAppendedByHandAreEvents) {
  Instance one(server_);
  const EventId before = test::add(client_, {"data", "before the start"});
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  const EventId after = test::add(client_, {"data", "x", "event", "install", "mine", "1"});
  ASSERT_TRUE(until({&one}, [&] { return one.sink.delivered.size() == 2; }));
  EXPECT_EQ(one.sink.delivered[0].id, before);
  EXPECT_EQ(one.sink.delivered[1].id, after);
  EXPECT_EQ(one.sink.delivered[1].event, "install");
  EXPECT_EQ(one.sink.gaps(), 0u);
}

TEST_F(RedisStoreTest, EntriesThatAreNoEventsAreCountedAndSkipped) {
  Instance one(server_, [](auto& options) { options.event_bytes_max = 10; });
  test::add(client_, {"data", "first"});
  test::add(client_, {"temperature", "21"});
  test::add(client_, {"data", "longer than ten"});
  test::add(client_, {"data", "\xff"});
  test::add(client_, {"data", "x", "retry", "soon"});
  test::add(client_, {"data", "last"});
  ASSERT_TRUE(until({&one}, [&] { return one.counters.entries.get() == 6; }));
  EXPECT_EQ(one.sink.data(), (std::vector<std::string>{"first", "last"}));
  EXPECT_EQ(one.counters.entries_invalid.get(), 4u);
}

TEST_F(RedisStoreTest, TheLogBeginsBehindTheFloor) {
  const EventId first = test::add(client_, {"data", "old"});
  test::add(client_, {"data", "new"});
  Instance one(server_, [&](auto& options) { options.floor = first; });
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  EXPECT_EQ(one.sink.data(), std::vector<std::string>{"new"});
  EXPECT_EQ(one.sink.gaps(), 0u);
}

TEST_F(RedisStoreTest, WithoutRoomRedisIsNotRead) {
  Instance one(server_);
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  one.sink.room = 10;
  const auto data = sent(1'000);
  std::vector<std::vector<std::string>> commands;
  for (const auto& text : data) {
    commands.push_back({"XADD", "ringcast:events", "*", "data", text});
  }
  client_.pipeline(commands);
  ASSERT_TRUE(until({&one}, [&] { return one.no_room; }));

  const auto reads = [&] { return client_({"INFO", "commandstats"}).text; };
  const auto reads_of = [&](const std::string& all) {
    const std::size_t at = all.find("cmdstat_xrange:");
    return all.substr(at, all.find(',', at) - at);
  };
  const std::string before = reads_of(reads());
  test::run_for({&one}, 100ms);
  EXPECT_EQ(reads_of(reads()), before);
  EXPECT_TRUE(one.no_room);
  EXPECT_EQ(one.sink.delivered.size(), 10u);

  one.sink.room = SIZE_MAX;
  ASSERT_TRUE(until({&one}, [&] { return one.sink.delivered.size() == data.size(); }));
  EXPECT_EQ(one.sink.data(), data);
  EXPECT_FALSE(one.no_room);
}

TEST_F(RedisStoreTest, ALateShardStopsNothingButTheTail) {
  Instance one(server_);
  one.sink.room = 0;
  const auto serial = one.publish("x");
  ASSERT_TRUE(until({&one}, [&] { return one.answer(serial) != nullptr; }));
  EXPECT_EQ(one.outcome(serial), Outcome::done);
  EXPECT_TRUE(one.sink.delivered.empty());
}

TEST_F(RedisStoreTest, MoreThanTheQueueHoldsIsNotTaken) {
  Instance events(server_, [](auto& options) { options.queue_events_max = 3; });
  for (int i = 0; i < 4; ++i) events.publish("x");  // not connected yet: nothing leaves
  EXPECT_EQ(events.outcome(4), Outcome::not_taken);
  EXPECT_EQ(events.counters.queue_events.get(), 3u);

  Instance bytes(server_, [](auto& options) { options.queue_bytes_max = 10'000; });
  bytes.publish(std::string(9'000, 'x'));
  bytes.publish(std::string(2'000, 'x'));
  EXPECT_EQ(bytes.outcome(2), Outcome::not_taken);

  ASSERT_TRUE(until({&events, &bytes}, [&] {
    return events.sink.answers.size() == 4 && bytes.sink.answers.size() == 2;
  }));
  EXPECT_EQ(events.outcome(3), Outcome::done);
  EXPECT_EQ(bytes.outcome(1), Outcome::done);
  EXPECT_EQ(events.counters.not_taken.get(), 1u);

  // There is room again.
  const auto serial = events.publish("x");
  ASSERT_TRUE(until({&events}, [&] { return events.answer(serial) != nullptr; }));
  EXPECT_EQ(events.outcome(serial), Outcome::done);
}

TEST_F(RedisStoreTest, WhatRedisRefusesIsNotTakenAtOnce) {
  Instance one(server_);
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  client_({"CONFIG", "SET", "maxmemory", "1"});
  const auto serial = one.publish("x");
  ASSERT_TRUE(until(
      {&one}, [&] { return one.answer(serial) != nullptr; }, 1s));
  EXPECT_EQ(one.outcome(serial), Outcome::not_taken);
  client_({"CONFIG", "SET", "maxmemory", "0"});
  const auto again = one.publish("x");
  ASSERT_TRUE(until({&one}, [&] { return one.answer(again) != nullptr; }));
  EXPECT_EQ(one.outcome(again), Outcome::done);
}

TEST_F(RedisStoreTest, AServerThatBecomesAReplicaIsLeft) {
  Instance one(server_);
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  // The tail waits for room, so that no blocking read of it is ended: the publication finds out.
  one.sink.room = 0;
  test::add(client_, {"data", "held"});
  ASSERT_TRUE(until({&one}, [&] { return one.no_room; }));
  client_({"REPLICAOF", "127.0.0.1", "1"});
  const auto serial = one.publish("x");
  ASSERT_TRUE(until(
      {&one}, [&] { return one.answer(serial) != nullptr; }, 1s));
  EXPECT_EQ(one.outcome(serial), Outcome::not_taken);
  ASSERT_TRUE(until(
      {&one}, [&] { return one.counters.commands_connected.get() == 0; }, 1s));
  EXPECT_FALSE(readiness(one.counters).empty());
  one.sink.room = SIZE_MAX;
  client_({"REPLICAOF", "NO", "ONE"});
  const auto again = one.publish("x");
  ASSERT_TRUE(until({&one}, [&] { return one.answer(again) != nullptr; }));
  EXPECT_EQ(one.outcome(again), Outcome::done);
}

TEST_F(RedisStoreTest, TheStreamIsTrimmedToItsLimit) {
  Instance one(server_, [](auto& options) { options.redis.max_events = 100; });
  for (int i = 0; i < 1'000; ++i) one.publish("x");
  ASSERT_TRUE(until({&one}, [&] { return one.sink.answers.size() == 1'000; }));
  EXPECT_LT(client_({"XLEN", "ringcast:events"}).number, 250);
}

TEST_F(RedisStoreTest, ASignOutReachesEveryInstanceInItsPlace) {
  Instance one(server_);
  Instance two(server_);
  ASSERT_TRUE(until({&one, &two}, [&] { return one.is_up() && two.is_up(); }));
  const SignOut what{.session = 0xabc, .expires_ms = read_clock().unix_ms + 60'000};
  client_({"ZADD", "ringcast:events:signed-out", "1000", "long ago"});
  one.publish("before");
  const auto serial = one.sign_out("user:7", what);
  one.publish("after");
  ASSERT_TRUE(until({&one, &two}, [&] {
    return one.sink.delivered.size() == 4 && two.sink.delivered.size() == 3 &&
           one.answer(serial) != nullptr;
  }));
  EXPECT_EQ(one.outcome(serial), Outcome::done);
  // The instance that was asked does not wait for Redis, and hears of it once more in its place.
  EXPECT_EQ(one.sink.delivered[0].kind, Delivered::Kind::sign_out);
  for (const Delivered& got : {one.sink.delivered[2], two.sink.delivered[1]}) {
    EXPECT_EQ(got.kind, Delivered::Kind::sign_out);
    EXPECT_EQ(got.topic, "user:7");
    EXPECT_EQ(got.sign_out.session, what.session);
    EXPECT_EQ(got.sign_out.expires_ms, what.expires_ms);
  }
  // For those who start later; what has expired is forgotten.
  const auto members = client_({"ZRANGE", "ringcast:events:signed-out", "0", "-1", "WITHSCORES"});
  ASSERT_EQ(members.list.size(), 2u);
  EXPECT_EQ(members[0].text, "0000000000000abc user:7");
  EXPECT_EQ(members[1].text, std::to_string(what.expires_ms));
}

TEST_F(RedisStoreTest, StopWaitsForWhatIsOnItsWay) {
  Instance one(server_);
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  const auto serial = one.publish("x");
  one.store().stop(read_clock());
  ASSERT_TRUE(until(
      {&one}, [&] { return one.store().stopped(); }, 2s));
  EXPECT_EQ(one.outcome(serial), Outcome::done);
  const auto late = one.publish("x");
  EXPECT_EQ(one.outcome(late), Outcome::not_taken);
}

TEST_F(RedisStoreTest, StopWithoutRedisAnswersAll) {
  server_.kill();
  Instance one(server_);
  const auto serial = one.publish("x");
  one.turn();
  one.store().stop(read_clock());
  ASSERT_TRUE(until(
      {&one}, [&] { return one.store().stopped(); }, 1500ms));
  EXPECT_EQ(one.outcome(serial), Outcome::not_taken);
}

TEST_F(RedisStoreTest, ReadinessSaysWhatIsMissing) {
  Instance one(server_);
  EXPECT_EQ(readiness(one.counters), "Redis: not connected");
  ASSERT_TRUE(until({&one}, [&] { return one.is_up(); }));
  const std::uint64_t now_ms = read_clock().unix_ms;
  EXPECT_LE(one.counters.last_current_ms.get(), now_ms);
  EXPECT_GT(one.counters.last_current_ms.get() + 1'000, now_ms);
  one.counters.last_current_ms.set(now_ms - 11'500);
  EXPECT_EQ(readiness(one.counters), "Redis: this server is 11 seconds behind the stream");
  one.counters.caught_up.set(0);
  EXPECT_EQ(readiness(one.counters), "Redis: the events of the stream are still being read");
}

}  // namespace
}  // namespace ringcast::hub
