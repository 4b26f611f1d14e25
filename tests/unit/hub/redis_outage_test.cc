// What a Redis store does when Redis is cut off, freezes, restarts, or has lost what it held.

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/hub/redis_store.h"

#include "log_capture.h"
#include "redis_instance.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using namespace std::chrono_literals;
using test::Delivered;
using test::Instance;
using test::until;
using Options = RedisStoreOptions;

constexpr EventId kFarAhead{9'999'999'999'999, 5};  // later than any clock of this test

class RedisOutageTest : public testing::Test {
 protected:
  explicit RedisOutageTest(std::vector<std::string> arguments = {})
      : server_(std::move(arguments)) {}

  std::unique_ptr<Instance> start(const std::function<void(Options&)>& change = {}) {
    auto instance = std::make_unique<Instance>(server_, change);
    EXPECT_TRUE(until({instance.get()}, [&] { return instance->is_up(); }));
    test::run_for({instance.get()}, 10ms);  // it may append from now on
    return instance;
  }

  void kill_connection(const std::string& name) {
    client_({"CLIENT", "KILL", "ID", test::client_number(client_, name)});
  }
  /// Entries with one text each.
  void add(std::initializer_list<std::string> texts) {
    for (const auto& text : texts) test::add(client_, {"data", text});
  }
  void add_far_ahead(Instance& instance) {
    client_({"XADD", "ringcast:events", to_string(kFarAhead), "data", "far ahead"});
    ASSERT_TRUE(until({&instance}, [&] { return !instance.sink.delivered.empty(); }));
  }
  std::map<std::string, int> stored() {
    std::map<std::string, int> times;
    for (const auto& entry : test::entries(client_)) ++times[entry.fields.at("data")];
    return times;
  }
  /// Events and gaps in their order, a gap as `gap`.
  static std::vector<std::string> story(const Instance& instance) {
    std::vector<std::string> all;
    for (const Delivered& one : instance.sink.delivered) {
      all.push_back(one.kind == Delivered::Kind::gap ? "gap" : one.data);
    }
    return all;
  }
  static const EventSink::Hole& last_hole(const Instance& instance) {
    const auto& all = instance.sink.delivered;
    const auto found = std::find_if(all.rbegin(), all.rend(), [](const Delivered& one) {
      return one.kind == Delivered::Kind::gap;
    });
    EXPECT_NE(found, all.rend());
    return found->hole;
  }

  using Story = std::vector<std::string>;

  test::RedisServer server_;
  test::RedisClient client_{server_};
};

// ── What a lost reply leaves unknown ────────────────────────────────────────────────────────────

TEST_F(RedisOutageTest, ALostReplyIsSettledByTheNonceInTheTail) {
  const auto one = start();
  const std::string number = test::client_number(client_, "ringcast-commands");
  test::Sender killer(server_);
  test::run_for({one.get()}, 10ms);  // Redis sleeps, so that it will serve them in their order
  server_.freeze();
  const auto serial = one->publish("x");
  one->turn();
  // Redis executes the XADD, and before it writes the reply it is told to drop the connection.
  killer.send("CLIENT KILL ID " + number);
  one->sink.room = 0;  // so that the tail shows nothing yet
  server_.thaw();
  ASSERT_TRUE(until({one.get()}, [&] { return one->no_room; }));
  test::run_for({one.get()}, 300ms);
  EXPECT_EQ(one->outcome(serial), std::nullopt);
  EXPECT_EQ(one->counters.commands_connected.get(), 1u);

  // What is published meanwhile does not overtake it.
  const auto next = one->publish("y");
  one->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(next) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::done);
  EXPECT_EQ(one->answer(serial)->id, one->sink.delivered[0].id);
  EXPECT_EQ(story(*one), (Story{"x", "y"}));
  EXPECT_EQ(one->counters.resent.get(), 0u);
}

TEST_F(RedisOutageTest, WhatNeverArrivedIsSentAgain) {
  const auto one = start();
  add({"before"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  const std::string number = test::client_number(client_, "ringcast-commands");
  test::Sender killer(server_);
  test::run_for({one.get()}, 10ms);
  server_.freeze();
  killer.send("CLIENT KILL ID " + number);
  std::vector<std::uint32_t> serials;
  for (const char* text : {"1", "2", "3"}) serials.push_back(one->publish(text));
  one->turn();
  server_.thaw();
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 4; }));
  for (const auto serial : serials) EXPECT_EQ(one->outcome(serial), Outcome::done);
  EXPECT_EQ(story(*one), (Story{"before", "1", "2", "3"}));
  EXPECT_EQ(one->counters.resent.get(), 3u);
  test::run_for({one.get()}, 100ms);
  EXPECT_EQ(one->sink.delivered.size(), 4u);
}

TEST_F(RedisOutageTest, WithoutTheRightToKillItIsNeverSentAgain) {
  client_({"ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-client|kill"});
  const std::string url = "redis://limited:secret@127.0.0.1:" + std::to_string(server_.port());
  const auto one = start([&](Options& options) { options.redis.url = url; });
  add({"before"});
  const std::string number = test::client_number(client_, "ringcast-commands");
  test::Sender killer(server_);
  test::run_for({one.get()}, 10ms);
  server_.freeze();
  killer.send("CLIENT KILL ID " + number);
  const auto serial = one->publish("x");
  one->turn();
  server_.thaw();
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::unknown);
  EXPECT_EQ(one->counters.unknown.get(), 1u);
  EXPECT_EQ(stored(), (std::map<std::string, int>{{"before", 1}}));
  // What comes later is taken.
  const auto next = one->publish("y");
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(next) != nullptr; }));
  EXPECT_EQ(one->outcome(next), Outcome::done);
}

TEST_F(RedisOutageTest, AfterAHoleItIsNeverSentAgain) {
  const auto one = start();
  add({"before"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  const std::string number = test::client_number(client_, "ringcast-commands");
  test::Sender killer(server_);
  test::run_for({one.get()}, 10ms);
  server_.freeze();
  const auto serial = one->publish("x");
  one->turn();
  killer.send("CLIENT KILL ID " + number);
  killer.send("XADD ringcast:events * data y");
  killer.send("XTRIM ringcast:events MAXLEN 1");
  one->sink.room = 0;
  server_.thaw();
  test::run_for({one.get()}, 300ms);
  one->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::unknown);
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"before", "gap", "y"}));
  EXPECT_EQ(one->counters.resent.get(), 0u);
}

TEST_F(RedisOutageTest, AFreezeThatOutlivesTheConnectionDoublesNothing) {
  const auto one = start([](Options& options) { options.redis.publish_timeout_ms = 20'000; });
  server_.freeze();
  for (int i = 0; i < 50; ++i) one->publish(std::to_string(i));
  ASSERT_TRUE(until({one.get()}, [&] { return one->counters.commands_connected.get() == 0; }));
  for (int i = 50; i < 100; ++i) one->publish(std::to_string(i));
  EXPECT_TRUE(one->sink.answers.empty());
  server_.thaw();
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 100; }));
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.answers.size() == 100; }));
  Story all;
  for (int i = 0; i < 100; ++i) all.push_back(std::to_string(i));
  EXPECT_EQ(story(*one), all);
  for (const auto& [serial, answer] : one->sink.answers) EXPECT_EQ(answer.outcome, Outcome::done);
}

TEST_F(RedisOutageTest, WhileRedisIsFrozenTheDeadlineAnswers) {
  const auto one = start([](Options& options) { options.redis.publish_timeout_ms = 300; });
  server_.freeze();
  const auto serial = one->publish("x");
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_GE(std::chrono::steady_clock::now() - began, 295ms);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 600ms);
  EXPECT_EQ(one->outcome(serial), Outcome::unknown);  // Redis has it in its socket
  EXPECT_EQ(one->counters.queue_events.get(), 0u);
  server_.thaw();
  // It arrives, and is answered no second time.
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  const auto next = one->publish("y");
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(next) != nullptr; }));
  EXPECT_EQ(one->outcome(next), Outcome::done);
}

TEST_F(RedisOutageTest, WhatWasNeverSentIsNotTakenAtTheDeadline) {
  const auto one = start([](Options& options) { options.redis.publish_timeout_ms = 300; });
  server_.kill();
  ASSERT_TRUE(until({one.get()}, [&] { return one->counters.commands_connected.get() == 0; }));
  const auto serial = one->publish("x");
  ASSERT_TRUE(until(
      {one.get()}, [&] { return one->answer(serial) != nullptr; }, 1s));
  EXPECT_EQ(one->outcome(serial), Outcome::not_taken);
  EXPECT_FALSE(readiness(one->counters).empty());
}

class DurableRedisTest : public RedisOutageTest {
 protected:
  DurableRedisTest() : RedisOutageTest({"--appendonly", "yes", "--appendfsync", "always"}) {}
};

TEST_F(RedisOutageTest, ASignOutGoesOnUntilRedisTakesIt) {
  const auto one = start([](Options& options) { options.redis.publish_timeout_ms = 300; });
  const std::uint64_t in_an_hour_ms = read_clock().unix_ms + 3'600'000;
  server_.kill();
  ASSERT_TRUE(until({one.get()}, [&] { return one->counters.commands_connected.get() == 0; }));
  const auto serial = one->sign_out("user/ann", {.session = 7, .expires_ms = in_an_hour_ms});
  ASSERT_EQ(one->sink.delivered.size(), 1u);  // here it is at once
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::not_taken);

  server_.start();
  const auto other = start();
  ASSERT_TRUE(until({one.get(), other.get()}, [&] { return !other->sink.delivered.empty(); }));
  EXPECT_EQ(other->sink.delivered[0].kind, Delivered::Kind::sign_out);
  EXPECT_EQ(other->sink.delivered[0].sign_out.session, 7u);
  ASSERT_TRUE(until({one.get()}, [&] { return one->counters.queue_events.get() == 0; }));
}

TEST_F(DurableRedisTest, NothingAcknowledgedIsLostOrDoubledWhenRedisIsKilled) {
  const auto one = start();
  const auto two = start();
  constexpr int kRounds = 4;
  constexpr int kEvents = 500;
  std::map<std::uint32_t, std::string> sent;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kEvents; ++i) {
      const std::string text = std::to_string(round) + "/" + std::to_string(i);
      sent[one->publish(text)] = text;
      if (i % 20 == 0) one->turn();
      if (i == 250 + 13 * round) server_.kill();
    }
    test::run_for({one.get(), two.get()}, 20ms);
    server_.start();
    ASSERT_TRUE(
        until({one.get(), two.get()}, [&] { return one->sink.answers.size() == sent.size(); }));
  }
  const auto in_stream = stored();
  std::size_t done = 0;
  for (const auto& [serial, text] : sent) {
    const auto found = in_stream.find(text);
    if (found != in_stream.end()) {
      EXPECT_EQ(found->second, 1) << text;
    }
    if (one->outcome(serial) != Outcome::done) continue;
    ++done;
    EXPECT_NE(found, in_stream.end()) << "acknowledged and lost: " << text;
  }
  EXPECT_GT(done, sent.size() / 2);
  ASSERT_TRUE(until({one.get(), two.get()}, [&] {
    return one->sink.delivered.size() >= in_stream.size() &&
           two->sink.delivered.size() >= in_stream.size();
  }));
  EXPECT_EQ(one->sink.data(), two->sink.data());
  EXPECT_EQ(one->sink.data().size(), in_stream.size());
  EXPECT_EQ(one->sink.gaps() + two->sink.gaps(), 0u);
}

// ── Holes ───────────────────────────────────────────────────────────────────────────────────────

TEST_F(RedisOutageTest, TrimmedHistoryIsOneGapInItsPlace) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  kill_connection("ringcast-tail");
  add({"b", "c", "d", "e"});
  const auto all = client_({"XRANGE", "ringcast:events", "-", "+"});
  const auto trimmed = parse_event_id(all[2][0].text);  // c
  ASSERT_TRUE(trimmed);
  client_({"XTRIM", "ringcast:events", "MAXLEN", "2"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 4; }));
  EXPECT_EQ(story(*one), (Story{"a", "gap", "d", "e"}));
  const auto& delivered = one->sink.delivered;
  const auto& hole = last_hole(*one);
  EXPECT_EQ(hole.newest, delivered[0].id);
  EXPECT_EQ(hole.oldest, delivered[2].id);
  EXPECT_GE(hole.id, *trimmed);  // who comes from inside the hole is told too
  EXPECT_LT(hole.id, delivered[2].id);
  EXPECT_EQ(one->counters.holes.get(), 1u);

  add({"f"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 5; }));
  test::run_for({one.get()}, 1200ms);
  EXPECT_EQ(story(*one), (Story{"a", "gap", "d", "e", "f"}));
}

TEST_F(RedisOutageTest, AHoleIsNoticedThoughTheConnectionLived) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  test::run_for({one.get()}, 50ms);  // it waits for the next one
  one->sink.room = 0;
  add({"b"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->no_room; }));
  add({"c", "d"});
  client_({"XTRIM", "ringcast:events", "MAXLEN", "1"});
  one->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 4; }));
  EXPECT_EQ(story(*one), (Story{"a", "b", "gap", "d"}));
}

TEST_F(RedisOutageTest, AGapWaitsForRoomToo) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  one->sink.room = 0;
  kill_connection("ringcast-tail");
  add({"b", "c"});
  client_({"XTRIM", "ringcast:events", "MAXLEN", "1"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->no_room; }));
  test::run_for({one.get()}, 50ms);
  one->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"a", "gap", "c"}));
  EXPECT_EQ(one->counters.holes.get(), 1u);
}

TEST_F(RedisOutageTest, WhenAllWasTrimmedUnreadThereIsOneGap) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  kill_connection("ringcast-tail");
  add({"b", "c"});
  client_({"XTRIM", "ringcast:events", "MAXLEN", "0"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  EXPECT_EQ(last_hole(*one).oldest, std::nullopt);
  add({"d"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"a", "gap", "d"}));
}

// Whether it was trimmed or lost, the stream does not tell.
TEST_F(RedisOutageTest, NewestEventsThatWereReplacedAreAGapToo) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  const test::LogCapture log;
  const EventId next{one->sink.delivered[0].id.ms + 1, 0};
  // What a failover does to a replica that was behind.
  client_.pipeline({{"MULTI"},
                    {"DEL", "ringcast:events"},
                    {"XADD", "ringcast:events", to_string(next), "data", "other"},
                    {"EXEC"}});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"a", "gap", "other"}));
  EXPECT_TRUE(log.says("it was trimmed before it was read")) << log.text();
  EXPECT_TRUE(log.says("or Redis lost them and has newer ones")) << log.text();
}

TEST_F(RedisOutageTest, WhatWasReadMayGo) {
  const auto one = start();
  add({"a", "b"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  client_({"XTRIM", "ringcast:events", "MAXLEN", "0"});
  test::run_for({one.get()}, 1200ms);
  add({"c"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"a", "b", "c"}));
  EXPECT_TRUE(one->is_up());
}

TEST_F(RedisOutageTest, SignOutsThatMayHaveBeenMissedAreReadFromTheSet) {
  const auto one = start();
  add({"a"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  const std::uint64_t expires_ms = read_clock().unix_ms + 60'000;
  client_({"ZADD", "ringcast:events:signed-out", std::to_string(expires_ms),
           "0000000000000abc user:7", "1000", "0000000000000def user:8"});
  kill_connection("ringcast-tail");
  add({"b", "c"});
  client_({"XTRIM", "ringcast:events", "MAXLEN", "1"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 4; }));
  const auto& delivered = one->sink.delivered;
  const auto found = std::ranges::find(delivered, Delivered::Kind::sign_out, &Delivered::kind);
  ASSERT_NE(found, delivered.end());
  EXPECT_EQ(found->topic, "user:7");
  EXPECT_EQ(found->sign_out.session, 0xabcu);
  EXPECT_EQ(found->sign_out.expires_ms, expires_ms);
  test::run_for({one.get()}, 100ms);
  EXPECT_EQ(delivered.size(), 4u);
}

// ── A Redis that went backwards ─────────────────────────────────────────────────────────────────

TEST_F(RedisOutageTest, ARedisThatRestartsWithoutItsDataIsNoticed) {
  const auto one = start();
  const auto two = start();
  add_far_ahead(*one);
  ASSERT_TRUE(until({two.get()}, [&] { return two->sink.delivered.size() == 1; }));
  server_.kill();
  server_.start();
  ASSERT_TRUE(until({one.get(), two.get()}, [&] {
    return one->sink.gaps() == 1 && two->sink.gaps() == 1 && one->is_up() && two->is_up();
  }));
  EXPECT_GE(one->counters.went_backwards.get() + two->counters.went_backwards.get(), 1u);
  EXPECT_EQ(last_hole(*one).newest, kFarAhead);

  const auto serial = one->publish("x");
  ASSERT_TRUE(until({one.get(), two.get()}, [&] {
    return one->sink.delivered.size() == 3 && two->sink.delivered.size() == 3 &&
           one->answer(serial) != nullptr;
  }));
  EXPECT_EQ(one->outcome(serial), Outcome::done);
  EXPECT_GT(one->answer(serial)->id, kFarAhead);
  EXPECT_EQ(story(*one), (Story{"far ahead", "gap", "x"}));
  EXPECT_EQ(story(*two), (Story{"far ahead", "gap", "x"}));
  test::run_for({one.get(), two.get()}, 1200ms);
  EXPECT_EQ(one->sink.gaps() + two->sink.gaps(), 2u);
}

TEST_F(RedisOutageTest, AnEmptiedRedisIsNoticedThoughTheConnectionLived) {
  const auto one = start();
  add_far_ahead(*one);
  for (const char* command : {"FLUSHALL", "DEL"}) {
    const auto gaps = one->sink.gaps();
    const auto before = one->sink.delivered.back().id;
    if (std::string(command) == "DEL") {
      client_({"DEL", "ringcast:events"});
    } else {
      client_({command});
    }
    ASSERT_TRUE(until(
        {one.get()}, [&] { return one->sink.gaps() == gaps + 1; }, 3s));
    EXPECT_EQ(one->counters.went_backwards.get(), gaps + 1);
    const auto serial = one->publish("x");
    ASSERT_TRUE(until({one.get()}, [&] {
      return one->answer(serial) != nullptr && one->sink.delivered.back().data == "x";
    }));
    EXPECT_GT(one->answer(serial)->id, before);
  }
  EXPECT_EQ(story(*one), (Story{"far ahead", "gap", "x", "gap", "x"}));
}

TEST_F(RedisOutageTest, NoEntryOfOursStaysWhenTheStreamIsRaised) {
  const auto one = start();
  add_far_ahead(*one);
  client_({"FLUSHALL"});
  ASSERT_TRUE(until(
      {one.get()}, [&] { return one->sink.gaps() == 1; }, 3s));
  const auto last = last_hole(*one).id;
  ASSERT_TRUE(until({one.get()}, [&] {
    const auto info = client_({"XINFO", "STREAM", "ringcast:events"});
    for (std::size_t i = 0; i + 1 < info.list.size(); i += 2) {
      if (info[i].text == "last-generated-id") return info[i + 1].text == to_string(last);
    }
    return false;
  }));
  test::run_for({one.get()}, 20ms);
  EXPECT_TRUE(test::entries(client_).empty());
}

// At the place of the gap there is no entry, but what was removed is counted.
TEST_F(RedisOutageTest, AReconnectAfterThatIsNoSecondGap) {
  const auto one = start();
  add_far_ahead(*one);
  client_({"FLUSHALL"});
  ASSERT_TRUE(until(
      {one.get()}, [&] { return one->sink.gaps() == 1; }, 3s));
  test::run_for({one.get()}, 50ms);
  kill_connection("ringcast-tail");
  add({"x"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 3; }));
  EXPECT_EQ(story(*one), (Story{"far ahead", "gap", "x"}));

  client_({"FLUSHALL"});
  ASSERT_TRUE(until(
      {one.get()}, [&] { return one->sink.gaps() == 2; }, 3s));
  test::run_for({one.get()}, 50ms);
  kill_connection("ringcast-tail");
  add({"y", "z"});
  client_({"XTRIM", "ringcast:events", "MAXLEN", "1"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.back().data == "z"; }));
  EXPECT_EQ(story(*one), (Story{"far ahead", "gap", "x", "gap", "gap", "z"}));
}

TEST_F(RedisOutageTest, WhatWasUnknownWhenRedisLostItsDataIsNeverSentAgain) {
  const auto one = start();
  add_far_ahead(*one);
  // The tail has something to hand on and no room: it will not be the one that notices.
  one->sink.room = 0;
  client_({"XADD", "ringcast:events", "*", "data", "y"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->no_room; }));
  server_.freeze();
  const auto serial = one->publish("x");
  one->turn();
  server_.kill();
  server_.start();
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::unknown);
  EXPECT_EQ(one->counters.went_backwards.get(), 0u);
  one->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.gaps() == 1; }));
  EXPECT_TRUE(test::entries(client_).empty());
}

}  // namespace
}  // namespace ringcast::hub
