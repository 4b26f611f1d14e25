#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "redis_instance.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using test::Instance;
using test::RedisClient;
using test::RedisServer;
using Texts = std::vector<std::string>;

std::string message(const std::string& data) {
  return R"({"data":")" + data + R"("})";
}

/// `prefix1`, `prefix2`, …
Texts numbered(const std::string& prefix, std::size_t count) {
  Texts all;
  for (std::size_t i = 1; i <= count; ++i) all.push_back(prefix + std::to_string(i));
  return all;
}

Texts operator+(Texts left, const Texts& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// Whole instances with one Redis between them, in turn on one thread: one that gets no turn is
/// frozen, one that is destroyed is dead. In real time.
class ChannelDoorTest : public testing::Test {
 protected:
  Instance& add(const std::function<void(RedisStoreOptions&)>& change = {}) {
    instances_.push_back(std::make_unique<Instance>(server_, change));
    return *instances_.back();
  }
  /// The first of them relays, all stand.
  void start(std::size_t count) {
    while (instances_.size() < count) {
      Instance& added = add();
      ASSERT_TRUE(until([&] { return added.counters.standing.get() == 1 && added.is_up(); }));
    }
    ASSERT_EQ(relays(), 1u);
    ASSERT_EQ(instances_[0]->counters.relay.get(), 1u);
  }
  /// Takes turns with those that are not frozen.
  bool until(const std::function<bool()>& done, milliseconds limit = seconds(10)) {
    const auto end = steady_clock::now() + limit;
    while (!done()) {
      if (steady_clock::now() >= end) return done();
      for (const auto& instance : instances_) {
        if (instance.get() != frozen_) instance->turn();
      }
    }
    return true;
  }
  void run_for(milliseconds time) {
    static_cast<void>(until([] { return false; }, time));
  }
  void publish_raw(const Texts& messages) {
    std::vector<Texts> commands;
    for (const std::string& text : messages) commands.push_back({"PUBLISH", "events", text});
    redis_.pipeline(commands);
  }
  void publish(const Texts& data) {
    Texts messages;
    for (const std::string& each : data) messages.push_back(message(each));
    publish_raw(messages);
  }
  /// The data of all entries, in the order of the stream.
  Texts stream() {
    Texts all;
    for (auto& entry : test::entries(redis_)) all.push_back(entry.fields["data"]);
    return all;
  }
  bool until_stream(const Texts& expected, milliseconds limit = seconds(10)) {
    return until([&] { return stream().size() >= expected.size(); }, limit);
  }
  /// Exactly this is in the stream, everybody has received it, and nothing follows.
  void expect_stream(const Texts& expected, milliseconds limit = seconds(10)) {
    EXPECT_TRUE(until_stream(expected, limit));
    EXPECT_TRUE(until([&] {
      return std::ranges::all_of(instances_, [&](const auto& instance) {
        return instance.get() == frozen_ || (instance->sink.delivered.size() >= expected.size() &&
                                             instance->counters.channel_queue.get() == 0);
      });
    })) << "not received, or still waiting to be appended";
    run_for(milliseconds(50));
    EXPECT_EQ(stream(), expected);
  }
  void expect_received(const Texts& expected) {
    for (const auto& instance : instances_) EXPECT_EQ(instance->sink.data(), expected);
  }
  std::size_t relays() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        instances_, [](const auto& each) { return each->counters.relay.get() == 1; }));
  }
  bool until_relay(const Instance& instance, milliseconds limit = seconds(10)) {
    return until([&] { return instance.counters.relay.get() == 1; }, limit);
  }
  bool until_standing() {
    return until([&] {
      return std::ranges::all_of(
          instances_, [](const auto& each) { return each->counters.standing.get() == 1; });
    });
  }
  /// As if its time was over.
  void expire_lease() { redis_({"DEL", "ringcast:events:relay"}); }
  /// Redis takes no events, but goes on publishing.
  void fill_memory() { redis_({"CONFIG", "SET", "maxmemory", "1"}); }
  void free_memory() { redis_({"CONFIG", "SET", "maxmemory", "0"}); }

  // `everysec` may answer before it writes, while the disk is slow; a kill loses that.
  RedisServer server_{{"--appendonly", "yes", "--appendfsync", "always"}};
  RedisClient redis_{server_};
  std::vector<std::unique_ptr<Instance>> instances_;
  const Instance* frozen_ = nullptr;
};

TEST_F(ChannelDoorTest, OneOfThreeRelaysEachMessageOnceInOrder) {
  start(3);
  const Texts sent = numbered("m", 2000);
  publish(sent);
  expect_stream(sent);
  expect_received(sent);
  EXPECT_EQ(relays(), 1u);
  for (const auto& instance : instances_) {
    EXPECT_EQ(instance->counters.channel_messages.get(), 2000u);
    EXPECT_EQ(instance->counters.channel_relayed.get(),
              instance->counters.relay.get() == 1 ? 2000u : 0u);
  }
}

TEST_F(ChannelDoorTest, IdenticalMessagesAreAllThere) {
  start(2);
  const Texts sent(500, "same");
  publish(sent);
  expect_stream(sent);
}

TEST_F(ChannelDoorTest, AllFieldsOfAMessageArrive) {
  start(1);
  publish_raw({R"({"event":"install","data":{"a": [1, 2]},"topic":"orders","retry":5000})"});
  ASSERT_TRUE(until([&] { return instances_[0]->sink.delivered.size() == 1; }));
  const test::Delivered& event = instances_[0]->sink.delivered[0];
  EXPECT_EQ(event.event, "install");
  EXPECT_EQ(event.data, R"({"a":[1,2]})");
  EXPECT_EQ(event.topic, "orders");
  EXPECT_EQ(event.retry_ms, 5000u);
}

TEST_F(ChannelDoorTest, WhatADeadRelayHeardIsAppendedByAnother) {
  start(3);
  publish(numbered("a", 300));
  ASSERT_TRUE(until([&] { return stream().size() >= 64; }));
  // It has appended a part, is on the way with another, and has not read the rest.
  frozen_ = instances_[0].get();
  publish(numbered("b", 300));
  run_for(milliseconds(20));
  instances_.erase(instances_.begin());
  frozen_ = nullptr;
  publish(numbered("c", 100));
  expire_lease();
  expect_stream(numbered("a", 300) + numbered("b", 300) + numbered("c", 100));
  EXPECT_EQ(relays(), 1u);
}

TEST_F(ChannelDoorTest, WhatWasHeardBeforeANewcomerTookOverIsAppendedByThoseWhoHeardIt) {
  start(2);
  frozen_ = instances_[0].get();
  publish(numbered("a", 100));
  // The standby has heard it, but the lease goes to one that has not.
  ASSERT_TRUE(until([&] { return instances_[1]->counters.channel_queue.get() == 100; }));
  instances_.erase(instances_.begin());
  frozen_ = instances_[0].get();
  expire_lease();
  Instance& newcomer = add();
  ASSERT_TRUE(until_relay(newcomer));
  frozen_ = nullptr;
  expect_stream(numbered("a", 100));
  EXPECT_EQ(newcomer.counters.relay.get(), 1u);
  EXPECT_EQ(newcomer.counters.channel_relayed.get(), 0u);
}

TEST_F(ChannelDoorTest, ARelayThatWasFrozenIsFencedAndAddsNothing) {
  start(2);
  Instance& old_relay = *instances_[0];
  publish(numbered("a", 10));
  expect_stream(numbered("a", 10));
  // Its three seconds pass in Redis, and none for itself: it wakes up as a relay.
  frozen_ = &old_relay;
  publish(numbered("b", 200));
  expire_lease();
  ASSERT_TRUE(until_relay(*instances_[1]));
  ASSERT_TRUE(until_stream(numbered("a", 10) + numbered("b", 200)));
  EXPECT_EQ(old_relay.counters.relay.get(), 1u);
  frozen_ = instances_[1].get();
  ASSERT_TRUE(until([&] { return old_relay.counters.relay.get() == 0; }));
  frozen_ = nullptr;
  expect_stream(numbered("a", 10) + numbered("b", 200));
  EXPECT_EQ(old_relay.counters.channel_relayed.get(), 10u);
}

TEST_F(ChannelDoorTest, AFrozenRelayIsReplacedWhenItsLeaseExpires) {
  start(3);
  frozen_ = instances_[0].get();
  publish(numbered("a", 100));
  const auto frozen_at = steady_clock::now();
  ASSERT_TRUE(until([&] { return !stream().empty(); }));
  EXPECT_GT(steady_clock::now() - frozen_at, milliseconds(1500));
  EXPECT_LT(steady_clock::now() - frozen_at, milliseconds(4500));
  publish(numbered("b", 100));
  frozen_ = nullptr;
  expect_stream(numbered("a", 100) + numbered("b", 100));
  EXPECT_EQ(relays(), 1u);
  EXPECT_EQ(instances_[0]->counters.relay.get(), 0u);
}

TEST_F(ChannelDoorTest, OnlyTheRelaysSubscriptionIsCut) {
  start(1);
  const std::string subscription = test::client_number(redis_, "ringcast-channel");
  start(3);
  publish(numbered("a", 300));
  ASSERT_TRUE(until([&] { return stream().size() >= 64; }));
  redis_({"CLIENT", "KILL", "ID", subscription});
  publish(numbered("b", 300));
  ASSERT_TRUE(until([&] { return instances_[0]->counters.standing.get() == 0; }));
  publish(numbered("c", 100));
  ASSERT_TRUE(until_standing());
  publish(numbered("d", 100));
  const Texts sent =
      numbered("a", 300) + numbered("b", 300) + numbered("c", 100) + numbered("d", 100);
  expect_stream(sent);
  expect_received(sent);
  EXPECT_EQ(relays(), 1u);
}

TEST_F(ChannelDoorTest, WhatWasHeardBeforeTheSubscriptionWasLostIsAppended) {
  start(1);
  Instance& alone = *instances_[0];
  fill_memory();
  publish(numbered("a", 200));
  ASSERT_TRUE(until([&] { return alone.counters.channel_queue.get() == 200; }));
  redis_({"CLIENT", "KILL", "TYPE", "pubsub"});
  ASSERT_TRUE(until([&] { return alone.counters.standing.get() == 0; }));
  run_for(milliseconds(300));
  EXPECT_TRUE(stream().empty());
  free_memory();
  ASSERT_TRUE(until_standing());
  publish(numbered("b", 10));
  expect_stream(numbered("a", 200) + numbered("b", 10));
  EXPECT_EQ(alone.counters.channel_dropped.get(), 0u);
  EXPECT_EQ(alone.counters.relay.get(), 1u);
}

TEST_F(ChannelDoorTest, AllSubscriptionsAreCutAgainAndAgain) {
  start(3);
  std::size_t sent = 0;
  Texts expected;
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(until_standing());
    for (int part = 0; part < 4; ++part) {
      const Texts data = numbered(std::to_string(round) + "." + std::to_string(part) + ".", 50);
      publish(data);
      expected = expected + data;
      sent += data.size();
      instances_[sent % 3]->turn();
    }
    redis_({"CLIENT", "KILL", "TYPE", "pubsub"});
    ASSERT_TRUE(until([&] { return instances_[0]->counters.standing.get() == 0; }));
  }
  // Redis has written a message to all subscribers before it takes the publisher's next command:
  // all of them were heard by those who stood.
  ASSERT_TRUE(until_standing());
  expect_stream(expected);
  expect_received(expected);
}

TEST_F(ChannelDoorTest, RedisIsKilledAndComesBack) {
  start(3);
  publish(numbered("a", 300));
  ASSERT_TRUE(until([&] { return stream().size() >= 64; }));
  publish(numbered("b", 300));
  instances_[1]->turn();
  server_.kill();
  ASSERT_TRUE(until([&] {
    return std::ranges::none_of(
        instances_, [](const auto& each) { return each->counters.standing.get() == 1; });
  }));
  std::uint64_t heard = 0;
  for (const auto& instance : instances_)
    heard = std::max(heard, instance->counters.channel_messages.get());
  ASSERT_GE(heard, 64u);
  server_.start();
  Texts expected = numbered("a", 300) + numbered("b", 300);
  expected.resize(static_cast<std::size_t>(heard));
  ASSERT_TRUE(until_standing());
  publish(numbered("c", 100));
  expect_stream(expected + numbered("c", 100));
  expect_received(expected + numbered("c", 100));
  EXPECT_EQ(relays(), 1u);
}

TEST_F(ChannelDoorTest, MessagesThatAreNoEventsAreCountedAndChangeNothingElse) {
  start(1);
  Instance& other = add([](RedisStoreOptions& options) { options.event_bytes_max = 65'536; });
  ASSERT_TRUE(until([&] { return other.counters.standing.get() == 1; }));
  publish_raw({message("a"), "", "no JSON", R"({"data":1,"dat":2})", message("b"),
               message(std::string(70'000, 'x')), "\xff\xfe", message("c"), "last"});
  ASSERT_TRUE(until([&] { return instances_[0]->counters.channel_invalid.get() == 6; }));
  publish({"d"});
  expect_stream({"a", "b", "c", "d"});
  EXPECT_EQ(instances_[0]->counters.channel_invalid.get(), 6u);
  EXPECT_EQ(instances_[0]->counters.channel_relayed.get(), 4u);
}

TEST_F(ChannelDoorTest, GoesOnWhenRedisIsEmptied) {
  start(2);
  publish(numbered("a", 100));
  expect_stream(numbered("a", 100));
  redis_({"FLUSHALL"});
  publish(numbered("b", 100));
  ASSERT_TRUE(until_stream(numbered("b", 100)));
  publish(numbered("c", 100));
  ASSERT_TRUE(until_stream(numbered("b", 100) + numbered("c", 100)));
  run_for(milliseconds(100));
  EXPECT_EQ(stream(), numbered("b", 100) + numbered("c", 100));
  EXPECT_EQ(relays(), 1u);
}

TEST_F(ChannelDoorTest, WaitsWhileRedisTakesNothingAndKeepsTheOrder) {
  start(2);
  fill_memory();
  publish(numbered("a", 300));
  run_for(milliseconds(500));
  EXPECT_TRUE(stream().empty());
  free_memory();
  publish(numbered("b", 100));
  expect_stream(numbered("a", 300) + numbered("b", 100));
}

TEST_F(ChannelDoorTest, AQueueThatIsFullDropsTheOldestAndSaysSo) {
  Instance& alone = add([](RedisStoreOptions& options) { options.standby_messages_max = 10; });
  ASSERT_TRUE(until([&] { return alone.counters.standing.get() == 1; }));
  fill_memory();
  publish(numbered("m", 50));
  ASSERT_TRUE(until([&] { return alone.counters.channel_messages.get() == 50; }));
  EXPECT_EQ(alone.counters.channel_dropped.get(), 40u);
  EXPECT_EQ(alone.counters.channel_queue.get(), 10u);
  free_memory();
  const Texts all = numbered("m", 50);
  expect_stream(Texts(all.end() - 10, all.end()));
}

TEST_F(ChannelDoorTest, ScriptsThatRedisForgotAreLoadedAgain) {
  start(1);
  for (int i = 0; i < 3; ++i) {
    redis_({"SCRIPT", "FLUSH"});
    publish(numbered(std::to_string(i) + ".", 100));
    run_for(milliseconds(100));
  }
  expect_stream(numbered("0.", 100) + numbered("1.", 100) + numbered("2.", 100));
}

TEST_F(ChannelDoorTest, ANewcomerSoonStandsByAndARelayThatEndsHandsOver) {
  start(1);
  Instance& newcomer = add();
  const auto began = steady_clock::now();
  ASSERT_TRUE(until([&] { return newcomer.counters.standing.get() == 1; }));
  EXPECT_LT(steady_clock::now() - began, milliseconds(1000));

  publish(numbered("a", 500));
  instances_[0]->turn();
  instances_[0]->store().stop(read_clock());
  const auto asked = steady_clock::now();
  ASSERT_TRUE(until([&] { return instances_[0]->store().stopped(); }));
  ASSERT_TRUE(until_relay(newcomer));
  EXPECT_LT(steady_clock::now() - asked, milliseconds(900));
  instances_.erase(instances_.begin());
  publish(numbered("b", 100));
  expect_stream(numbered("a", 500) + numbered("b", 100));
}

TEST_F(ChannelDoorTest, AnInstanceThatEndsAloneLeavesNothingBehind) {
  start(1);
  publish(numbered("a", 500));
  ASSERT_TRUE(until([&] { return instances_[0]->counters.channel_messages.get() == 500; }));
  instances_[0]->store().stop(read_clock());
  ASSERT_TRUE(until([&] { return instances_[0]->store().stopped(); }));
  EXPECT_EQ(stream(), numbered("a", 500));
  EXPECT_EQ(redis_({"EXISTS", "ringcast:events:relay"}).number, 0);
}

}  // namespace
}  // namespace ringcast::hub
