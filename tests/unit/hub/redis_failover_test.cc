// What a Redis store does when another Redis becomes the primary.

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "ringcast/hub/redis_store.h"

#include "log_capture.h"
#include "redis_instance.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using namespace std::chrono_literals;
using test::Delivered;
using test::Instance;
using test::RedisClient;
using test::RedisServer;
using test::until;
using Story = std::vector<std::string>;

constexpr std::array<std::string_view, 3> kNames{"ringcast-commands", "ringcast-tail",
                                                 "ringcast-channel"};

/// Two servers behind an address that leads to one of them: a link to its socket. Connections that
/// are there stay when it is changed, as with a name, or a proxy that closes nothing.
class RedisFailoverTest : public testing::Test {
 protected:
  RedisFailoverTest() : address_(old_.socket() + ".address") {
    lead_to(old_);
    other_client_({"REPLICAOF", "127.0.0.1", std::to_string(old_.port())});
    EXPECT_TRUE(test::eventually([&] { return in_step(other_client_); }));
  }
  ~RedisFailoverTest() override { ::unlink(address_.c_str()); }

  std::unique_ptr<Instance> start() {
    auto instance = std::make_unique<Instance>(
        old_, [&](RedisStoreOptions& options) { options.redis.url = "unix://" + address_; });
    EXPECT_TRUE(until({instance.get()}, [&] { return instance->is_up(); }));
    return instance;
  }
  void lead_to(const RedisServer& server) {
    ::unlink(address_.c_str());
    ASSERT_EQ(::symlink(server.socket().c_str(), address_.c_str()), 0);
  }
  void promote() {
    ASSERT_TRUE(test::eventually([&] { return in_step(other_client_); }));
    other_client_({"REPLICAOF", "NO", "ONE"});
  }
  /// A replica of nobody that answers: it has what it has.
  void demote() { old_client_({"REPLICAOF", "127.0.0.1", "1"}); }

  static std::size_t connections(RedisClient& client) {
    return static_cast<std::size_t>(std::ranges::count_if(
        kNames, [&](std::string_view name) { return !test::client_number(client, name).empty(); }));
  }
  /// The instance has all it needs, and nothing of it is left at the old primary.
  [[nodiscard]] bool has_moved(Instance& instance) {
    return until({&instance},
                 [&] { return instance.is_up() && connections(other_client_) == 3; }) &&
           connections(old_client_) == 0;
  }
  /// That what one publishes at the new primary, in each way, is an event.
  void expect_service(Instance& instance) {
    const std::size_t before = instance.sink.data().size();
    const auto serial = instance.publish("by us");
    ASSERT_TRUE(until({&instance}, [&] { return instance.answer(serial) != nullptr; }));
    EXPECT_EQ(instance.outcome(serial), Outcome::done);
    test::add(other_client_, {"data", "by hand"});
    EXPECT_EQ(other_client_({"PUBLISH", "events", R"({"data":"by channel"})"}).number, 1);
    ASSERT_TRUE(until({&instance}, [&] { return instance.sink.data().size() == before + 3; }));
    const Story all = instance.sink.data();
    EXPECT_EQ(Story(all.end() - 3, all.end()), (Story{"by us", "by hand", "by channel"}));
  }

  // A replica's first copy waits for others as long as its primary is told to.
  RedisServer old_{{"--repl-diskless-sync-delay", "0"}};
  RedisServer other_{{"--repl-diskless-sync-delay", "0"}};
  RedisClient old_client_{old_};
  RedisClient other_client_{other_};

 private:
  /// A replica that has all that its primary has.
  bool in_step(RedisClient& replica) {
    const std::string info = replica({"INFO", "replication"}).text;
    return info.find("master_link_status:up") != std::string::npos &&
           replica({"XINFO", "STREAM", "ringcast:events"})[1].text ==
               old_client_({"XINFO", "STREAM", "ringcast:events"})[1].text &&
           test::entries(replica).size() == test::entries(old_client_).size();
  }

  std::string address_;
};

TEST_F(RedisFailoverTest, APrimaryThatIsDemotedWhileConnectedIsLeftByAllThree) {
  const auto one = start();
  const auto serial = one->publish("before");
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  promote();
  lead_to(other_);
  demote();
  ASSERT_TRUE(has_moved(*one));
  expect_service(*one);
  EXPECT_EQ(one->sink.gaps(), 0u);
}

// The tail holds a page that nobody takes, so that no blocking read of it is ended; another
// instance has the lease, so that no script of ours writes.
TEST_F(RedisFailoverTest, ADemotionThatEndsNothingIsNoticedToo) {
  const auto one = start();
  old_client_({"SET", "ringcast:events:relay", "ffff:1"});
  one->sink.room = 0;
  test::add(old_client_, {"data", "held"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->no_room; }));
  promote();
  lead_to(other_);
  demote();
  ASSERT_TRUE(until(
      {one.get()}, [&] { return connections(other_client_) == 3; }, 5s));
  one->sink.room = SIZE_MAX;
  other_client_({"DEL", "ringcast:events:relay"});
  ASSERT_TRUE(has_moved(*one));
  expect_service(*one);
}

TEST_F(RedisFailoverTest, NoneStaysWithADemotedPrimaryThatTheAddressStillLeadsTo) {
  const auto one = start();
  promote();
  demote();
  for (const auto name : kNames) {
    old_client_({"CLIENT", "KILL", "ID", test::client_number(old_client_, name)});
  }
  // As long as a name is remembered somewhere.
  test::run_for({one.get()}, 700ms);
  EXPECT_EQ(readiness(one->counters), "Redis: not connected");
  for (const Counter* connected : {&one->counters.commands_connected, &one->counters.tail_connected,
                                   &one->counters.channel_connected})
    EXPECT_EQ(connected->get(), 0u);
  test::add(other_client_, {"data", "meanwhile"});
  const auto serial = one->publish("waits");
  lead_to(other_);
  ASSERT_TRUE(has_moved(*one));
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  EXPECT_EQ(one->outcome(serial), Outcome::done);
  EXPECT_EQ(one->sink.data(), (Story{"meanwhile", "waits"}));
  expect_service(*one);
}

TEST_F(RedisFailoverTest, WhenOneConnectionIsLedToAnotherRedisTheOthersFollow) {
  for (const auto name : kNames) {
    const auto one = start();
    promote();
    lead_to(other_);
    // The old one takes itself for a primary still.
    old_client_({"CLIENT", "KILL", "ID", test::client_number(old_client_, name)});
    ASSERT_TRUE(has_moved(*one)) << name;
    expect_service(*one);
    lead_to(old_);
    other_client_({"REPLICAOF", "127.0.0.1", std::to_string(old_.port())});
  }
}

TEST_F(RedisFailoverTest, WhatTheDemotedOneNeverExecutedIsSentToTheNewOne) {
  const auto one = start();
  test::add(old_client_, {"data", "before"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  promote();
  const std::string number = test::client_number(old_client_, "ringcast-commands");
  test::Sender fate(old_);
  test::run_for({one.get()}, 10ms);  // Redis sleeps, so that it will serve them in their order
  old_.freeze();
  fate.send("CLIENT KILL ID " + number);
  fate.send("REPLICAOF 127.0.0.1 1");
  const auto serial = one->publish("x");
  one->turn();
  old_.thaw();
  test::run_for({one.get()}, 300ms);
  EXPECT_EQ(one->outcome(serial), std::nullopt);
  lead_to(other_);
  ASSERT_TRUE(has_moved(*one));
  ASSERT_TRUE(until({one.get()}, [&] { return one->answer(serial) != nullptr; }));
  EXPECT_EQ(one->outcome(serial), Outcome::done);
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  EXPECT_EQ(one->counters.resent.get(), 1u);
  expect_service(*one);
  EXPECT_EQ(one->sink.data(), (Story{"before", "x", "by us", "by hand", "by channel"}));
}

TEST_F(RedisFailoverTest, WhatWasNotReplicatedIsAGap) {
  const auto one = start();
  test::add(old_client_, {"data", "before"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 1; }));
  promote();
  test::add(old_client_, {"data", "lost"});
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.delivered.size() == 2; }));
  const EventId lost = one->sink.delivered[1].id;
  lead_to(other_);
  demote();
  ASSERT_TRUE(has_moved(*one));
  ASSERT_TRUE(until({one.get()}, [&] { return one->sink.gaps() == 1; }));
  EXPECT_EQ(one->counters.went_backwards.get(), 1u);
  EXPECT_EQ(one->sink.delivered[2].kind, Delivered::Kind::gap);
  EXPECT_EQ(one->sink.delivered[2].hole.newest, lost);
  expect_service(*one);
  EXPECT_EQ(one->sink.gaps(), 1u);
  EXPECT_EQ(one->sink.data(), (Story{"before", "lost", "by us", "by hand", "by channel"}));
}

}  // namespace
}  // namespace ringcast::hub
