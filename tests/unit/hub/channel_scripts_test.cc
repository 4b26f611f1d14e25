#include "channel_scripts.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "redis_server.h"

namespace ringcast::hub {
namespace {

using test::RedisClient;
using test::RedisServer;
using test::RedisValue;
using Words = std::vector<std::string>;

/// The scripts in a real Redis, which is emptied for each test.
class ChannelScriptsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new RedisServer; }
  static void TearDownTestSuite() { delete std::exchange(server_, nullptr); }
  void SetUp() override { redis_({"FLUSHALL"}); }

  RedisValue eval(std::string_view script, const Words& keys, const Words& arguments) {
    Words words{"EVAL", std::string(script), std::to_string(keys.size())};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    RedisValue reply = redis_(words);
    EXPECT_FALSE(reply.is_error()) << reply.text;
    return reply;
  }
  RedisValue lease(const std::string& instance) {
    return eval(kLeaseScript, {"relay", "epoch", "relayed"}, {instance, "3000", "marks"});
  }
  /// The lease as it is given to the other scripts.
  std::string take(const std::string& instance) { return instance + ":" + lease(instance)[2].text; }
  /// `{"…"}` is an event with that data; `{}` is a message that is none.
  RedisValue append(const std::string& lease, std::uint64_t epoch, std::uint64_t first,
                    const std::vector<Words>& messages, bool holes = false) {
    Words arguments{lease, holes ? "1" : "0", "1000", std::to_string(epoch), std::to_string(first)};
    for (const Words& message : messages) {
      if (message.empty()) {
        arguments.insert(arguments.end(), {"0"});
      } else {
        arguments.insert(arguments.end(), {"2", "data", message[0]});
      }
    }
    return eval(kAppendScript, {"relay", "relayed", "stream"}, arguments);
  }
  /// `c=data` of each entry.
  Words entries() {
    Words all;
    for (const RedisValue& entry : redis_({"XRANGE", "stream", "-", "+"}).list)
      all.push_back(entry[1][1].text + "=" + entry[1][3].text);
    return all;
  }

  static RedisServer* server_;
  RedisClient redis_{*server_};
};
RedisServer* ChannelScriptsTest::server_ = nullptr;

TEST_F(ChannelScriptsTest, OneInstanceHoldsTheLeaseAndRenewsIt) {
  const RedisValue first = lease("a1");
  EXPECT_EQ(first[0].number, 1);
  EXPECT_EQ(first[1].number, 1);
  EXPECT_EQ(lease("b2")[0].number, 0);
  redis_({"PEXPIRE", "relay", "1500"});
  const RedisValue again = lease("a1");
  EXPECT_EQ(again[0].number, 1);
  EXPECT_EQ(again[1].number, 0);
  EXPECT_EQ(again[2].text, first[2].text);
  EXPECT_GT(redis_({"PTTL", "relay"}).number, 2000);
}

TEST_F(ChannelScriptsTest, EachTakeoverBeginsAGreaterEpochThanEveryOneBefore) {
  const std::string first = take("a1");
  EXPECT_EQ(redis_({"GET", "epoch"}).text, first.substr(3));
  redis_({"DEL", "relay"});
  // The clock is behind what was given already.
  redis_({"SET", "epoch", "3000000000000"});
  EXPECT_EQ(take("a1"), "a1:3000000000001");
  // The last epoch is lost, but it is known that a greater one was used.
  redis_({"DEL", "relay", "epoch"});
  redis_({"HSET", "relayed", "4000000000000", "7"});
  EXPECT_EQ(take("b2"), "b2:4000000000001");
}

TEST_F(ChannelScriptsTest, ALeaseThatWasTakenAgainIsAnotherOne) {
  const std::string old = take("a1");
  redis_({"DEL", "relay"});
  const std::string now = take("a1");
  EXPECT_NE(old, now);
  EXPECT_EQ(append(old, 17, 1, {{"x"}})[2].text, "fenced");
  EXPECT_EQ(eval(kMarkScript, {"relay", "epoch", "relayed"}, {old, "marks"}).number, 0);
  EXPECT_EQ(eval(kReleaseScript, {"relay"}, {old, "marks"}).number, 0);
  EXPECT_EQ(redis_({"GET", "relay"}).text, now);
  EXPECT_TRUE(entries().empty());
}

TEST_F(ChannelScriptsTest, TheHolderMarksAndReleases) {
  const std::string held = take("a1");
  const std::string epoch = redis_({"GET", "epoch"}).text;
  EXPECT_EQ(eval(kMarkScript, {"relay", "epoch", "relayed"}, {held, "marks"}).number, 1);
  EXPECT_GT(std::stoull(redis_({"GET", "epoch"}).text), std::stoull(epoch));
  EXPECT_EQ(eval(kReleaseScript, {"relay"}, {held, "marks"}).number, 1);
  EXPECT_EQ(redis_({"EXISTS", "relay"}).number, 0);
}

TEST_F(ChannelScriptsTest, EachNumberIsAppendedOnceWhoeverSendsIt) {
  const std::string held = take("a1");
  RedisValue reply = append(held, 17, 1, {{"a"}, {"b"}, {"c"}});
  EXPECT_EQ(reply[0].number, 3);
  EXPECT_EQ(reply[1].text, "3");
  reply = append(held, 17, 2, {{"b"}, {"c"}, {"d"}});
  EXPECT_EQ(reply[0].number, 1);
  EXPECT_EQ(reply[1].text, "4");
  reply = append("", 17, 3, {{"c"}, {"d"}, {"e"}});
  EXPECT_EQ(reply[0].number, 1);
  EXPECT_EQ(reply[1].text, "5");
  EXPECT_EQ(entries(), (Words{"17:1=a", "17:2=b", "17:3=c", "17:4=d", "17:5=e"}));
}

TEST_F(ChannelScriptsTest, AHoleIsRefusedUnlessTheHolderSaysThatItIsReal) {
  const std::string held = take("a1");
  append(held, 17, 1, {{"a"}});
  RedisValue reply = append("", 17, 3, {{"c"}});
  EXPECT_EQ(reply[2].text, "hole");
  EXPECT_EQ(reply[1].text, "1");
  EXPECT_EQ(append(held, 17, 3, {{"c"}})[2].text, "hole");
  EXPECT_EQ(append(held, 17, 3, {{"c"}}, true)[1].text, "3");
  EXPECT_EQ(append("", 17, 2, {{"b"}})[0].number, 0);
  EXPECT_EQ(entries(), (Words{"17:1=a", "17:3=c"}));
}

TEST_F(ChannelScriptsTest, ANumberWithoutEventIsPassedOver) {
  EXPECT_EQ(append("", 17, 1, {{"a"}, {}, {"c"}})[1].text, "3");
  EXPECT_EQ(append("", 17, 4, {{}})[1].text, "4");
  EXPECT_EQ(entries(), (Words{"17:1=a", "17:3=c"}));
}

TEST_F(ChannelScriptsTest, NothingIsAppendedUnderALeaseThatExpired) {
  const std::string held = take("a1");
  redis_({"DEL", "relay"});
  EXPECT_EQ(append(held, 17, 1, {{"a"}})[2].text, "fenced");
  EXPECT_TRUE(entries().empty());
}

TEST_F(ChannelScriptsTest, OldEpochsAreForgottenAndNeverAppendedAgain) {
  for (std::uint64_t epoch = 1001; epoch <= 1100; ++epoch) append("", epoch, 1, {{"x"}});
  take("a1");
  EXPECT_EQ(redis_({"HLEN", "relayed"}).number, 65);
  EXPECT_EQ(redis_({"HGET", "relayed", "floor"}).text, "1036");
  EXPECT_EQ(entries().size(), 100u);
  const RedisValue reply = append("", 1036, 1, {{"x"}, {"y"}});
  EXPECT_EQ(reply[0].number, 0);
  EXPECT_EQ(reply[1].text, std::to_string(kWholeEpoch));
  EXPECT_EQ(append("", 1037, 1, {{"x"}})[0].number, 0);
  EXPECT_EQ(entries().size(), 100u);
}

TEST_F(ChannelScriptsTest, AFailureHalfWayLeavesTheCountTrue) {
  // One ID is left in the stream: the second XADD fails.
  redis_(
      {"XADD", "stream", "18446744073709551615-18446744073709551614", "c", "0:0", "data", "old"});
  const RedisValue reply = append("", 17, 1, {{"a"}, {"b"}, {"c"}});
  EXPECT_EQ(reply[0].number, 1);
  EXPECT_EQ(reply[1].text, "1");
  EXPECT_EQ(redis_({"HGET", "relayed", "17"}).text, "1");
  EXPECT_EQ(entries(), (Words{"0:0=old", "17:1=a"}));
}

}  // namespace
}  // namespace ringcast::hub
