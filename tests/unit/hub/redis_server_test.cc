#include "redis_server.h"

#include <gtest/gtest.h>

namespace ringcast::test {
namespace {

TEST(RedisServerTest, AnswersUntilItIsKilledAndAgainAfterTheNextStart) {
  RedisServer server;
  RedisClient client(server);
  EXPECT_EQ(client({"SET", "key", "value"}).text, "OK");
  server.kill();
  EXPECT_EQ(client({"GET", "key"}).kind, RedisValue::Kind::none);
  server.start();
  EXPECT_TRUE(client({"GET", "key"}).is_nil());
}

TEST(RedisServerTest, KeepsWhatItIsToldToKeep) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  RedisClient client(server);
  EXPECT_EQ(client({"SET", "key", "value"}).text, "OK");
  server.kill();
  server.start();
  EXPECT_EQ(client({"GET", "key"}).text, "value");
}

TEST(RedisServerTest, FrozenItAnswersLater) {
  RedisServer server;
  RedisClient client(server);
  EXPECT_EQ(client({"PING"}).text, "PONG");
  server.freeze();
  server.thaw();
  EXPECT_EQ(client({"PING"}).text, "PONG");
}

TEST(RedisServerTest, RepliesOfAPipelineKeepTheirOrder) {
  const RedisServer server;
  RedisClient client(server);
  const auto replies =
      client.pipeline({{"RPUSH", "list", "a", "b"}, {"LRANGE", "list", "0", "-1"}, {"NONSENSE"}});
  EXPECT_EQ(replies[0].number, 2);
  EXPECT_EQ(replies[1][1].text, "b");
  EXPECT_EQ(replies[1][2].kind, RedisValue::Kind::none);
  EXPECT_TRUE(replies[2].is_error());
}

}  // namespace
}  // namespace ringcast::test
