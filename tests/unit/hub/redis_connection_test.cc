#include "redis_connection.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "log_capture.h"
#include "redis_loop.h"
#include "redis_server.h"
#include "two_addresses.h"

namespace ringcast::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::LogCapture;
using test::RedisClient;
using test::RedisServer;

std::string with_credentials(const RedisServer& server, const std::string& credentials,
                             const std::string& database = "") {
  return "redis://" + credentials + "@127.0.0.1:" + std::to_string(server.port()) + database;
}

// ── Signing in ──────────────────────────────────────────────────────────────────────────────────

TEST(RedisConnectionTest, IsReadyAfterItConnectedOverTcpAndOverASocket) {
  const RedisServer server;
  for (const std::string& url : {server.url(), server.socket_url()}) {
    Loop loop(url);
    EXPECT_FALSE(loop.connection().ready());
    ASSERT_TRUE(loop.until_ready());
    EXPECT_EQ(loop.connected.get(), 1u);
    EXPECT_EQ(loop.reconnects.get(), 0u);
    EXPECT_EQ(loop.readies, 1);
    EXPECT_EQ(loop.ask({"PING"}), "PONG");
    EXPECT_EQ(loop.ask({"CLIENT", "GETNAME"}), "ringcast-commands");
  }
}

TEST(RedisConnectionTest, SignsInWithPasswordUserAndDatabase) {
  const RedisServer server({"--requirepass", "s3cret/ @"});
  RedisClient client(server);
  client({"AUTH", "s3cret/ @"});
  client({"ACL", "SETUSER", "alice", "on", ">p%w", "allkeys", "allcommands"});
  Loop by_password(with_credentials(server, ":s3cret%2F%20%40"));
  ASSERT_TRUE(by_password.until_ready());
  EXPECT_EQ(by_password.ask({"ACL", "WHOAMI"}), "default");
  Loop by_user(with_credentials(server, "alice:p%25w", "/5"));
  ASSERT_TRUE(by_user.until_ready());
  EXPECT_EQ(by_user.ask({"ACL", "WHOAMI"}), "alice");
  EXPECT_NE(by_user.ask({"CLIENT", "INFO"}).find(" db=5 "), std::string::npos);
}

TEST(RedisConnectionTest, AWrongPasswordIsSaidOnceInWordsAndTheRightOneHelpsLater) {
  const RedisServer server({"--requirepass", "right"});
  const LogCapture log;
  Loop loop(with_credentials(server, ":wrong-one"));
  ASSERT_TRUE(loop.until([&] { return log.says("does not know the user 'default'"); }));
  EXPECT_FALSE(loop.until([&] { return loop.connection().ready(); }, milliseconds(300)));
  EXPECT_EQ(log.count("Trying again"), 1u) << log.text();
  EXPECT_FALSE(log.says("wrong-one"));
  EXPECT_EQ(loop.losses, 0);
  RedisClient client(server);
  client({"AUTH", "right"});
  client({"CONFIG", "SET", "requirepass", "wrong-one"});
  ASSERT_TRUE(loop.until_ready());
  EXPECT_TRUE(log.says("works again, after 0.")) << log.text();
}

TEST(RedisConnectionTest, MissingCredentialsAndDatabasesAreSaidInWords) {
  const RedisServer secret({"--requirepass", "right", "--databases", "4"});
  const RedisServer open;
  const std::vector<std::pair<std::string, std::string>> cases{
      {secret.url(), "wants a password"},
      {with_credentials(secret, ":right", "/4"), "has no database 4"},
      {with_credentials(open, ":any"), "has no password for the default user"},
      {with_credentials(open, "nobody:any"), "does not know the user 'nobody'"},
  };
  for (const auto& [url, words] : cases) {
    const LogCapture log;
    Loop loop(url);
    EXPECT_TRUE(loop.until([&] { return log.says("Trying again"); })) << url;
    EXPECT_TRUE(log.says(words)) << log.text();
    EXPECT_FALSE(loop.connection().ready());
  }
}

TEST(RedisConnectionTest, WorksWithAUserWhoMayOnlyUseAFewCommands) {
  const RedisServer server;
  RedisClient client(server);
  client({"ACL", "SETUSER", "few", "on", ">pw", "~*", "&*", "+get"});
  for (const auto role :
       {ConnectionRole::commands, ConnectionRole::tail, ConnectionRole::channel}) {
    Loop loop(with_credentials(server, "few:pw"), role);
    ASSERT_TRUE(loop.until_ready());
    EXPECT_EQ(loop.ask({"GET", "nothing"}), "nil");
  }
}

TEST(RedisConnectionTest, AReplicaIsRefusedAndNamesItsPrimary) {
  const RedisServer primary;
  const RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(primary.port()),
                             "--repl-diskless-sync-delay", "0"});
  RedisClient client(replica);
  for (const auto role :
       {ConnectionRole::commands, ConnectionRole::tail, ConnectionRole::channel}) {
    const LogCapture log;
    Loop loop(replica.url(), role);
    ASSERT_TRUE(loop.until([&] { return log.says("it is a replica"); })) << log.text();
    EXPECT_TRUE(log.says("127.0.0.1:" + std::to_string(primary.port()))) << log.text();
    EXPECT_FALSE(loop.connection().ready());
    EXPECT_NE(loop.connection().departures(), 0u);
    // It takes over, and is what is wanted then.
    client({"REPLICAOF", "NO", "ONE"});
    EXPECT_TRUE(loop.until_ready());
    client({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  }
}

TEST(RedisConnectionTest, APrimaryThatBecomesAReplicaIsLeftThoughItClosesNothing) {
  const RedisServer server;
  RedisClient client(server);
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.connection().run().size(), 40u);
  const std::string run(loop.connection().run());
  EXPECT_EQ(loop.connection().departures(), 0u);
  client({"REPLICAOF", "127.0.0.1", "1"});
  loop.put_ahead(milliseconds(1'000));
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }, milliseconds(500)));
  EXPECT_TRUE(log.says("it is a replica")) << log.text();
  EXPECT_EQ(loop.connection().departures(), 1u);
  EXPECT_EQ(loop.connection().departed_from(), run);
  client({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(loop.until_ready());
}

TEST(RedisConnectionTest, WhatSpeaksAnotherLanguageIsSaidInWords) {
  const SilentListener listener;
  const LogCapture log;
  Loop loop(listener.url());
  listener.answer("HTTP/1.1 400 Bad Request\r\n\r\n\x1b[31m");
  ASSERT_TRUE(loop.until([&] { return log.says("Protocol error"); })) << log.text();
  EXPECT_FALSE(log.says("\x1b"));
}

// ── Commands ────────────────────────────────────────────────────────────────────────────────────

TEST(RedisConnectionTest, RepliesComeInTheOrderOfTheCommands) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  for (std::uint64_t i = 0; i < 1000; ++i) loop.send({"ECHO", std::to_string(i)}, i);
  EXPECT_EQ(loop.connection().outstanding(), 1000u);
  ASSERT_TRUE(loop.until_replies(1000));
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(loop.tags[i], i);
    EXPECT_EQ(loop.replies[i], std::to_string(i));
  }
  EXPECT_EQ(loop.connection().outstanding(), 0u);
}

TEST(RedisConnectionTest, ArgumentsAndRepliesMayHoldAnyBytesAndMegabytes) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  const std::string odd("a\0b\r\n%s \xff", 9);
  EXPECT_EQ(loop.ask({"ECHO", odd}), odd);
  EXPECT_EQ(loop.ask({"ECHO", ""}), "");
  // Neither leaves nor arrives in one piece; polls alone keep it going.
  loop.nap = seconds(10);
  const std::string large(std::size_t{20} << 20, 'x');
  EXPECT_TRUE(loop.ask({"ECHO", large}) == large);
  EXPECT_EQ(loop.ask({"PING"}), "PONG");
}

TEST(RedisConnectionTest, CommandsOfOneTurnLeaveInOneWrite) {
  const RedisServer server;
  RedisClient client(server);
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  const auto reads = [&] {
    const std::string stats = client({"INFO", "stats"}).text;
    const std::string name = "total_reads_processed:";
    return std::stoull(stats.substr(stats.find(name) + name.size()));
  };
  const auto before = reads();
  for (int i = 0; i < 100; ++i) loop.send({"PING"});
  ASSERT_TRUE(loop.until_replies(100));
  // One for them, one for each INFO.
  EXPECT_LE(reads() - before, 3u);
}

TEST(RedisConnectionTest, AReplyThatIsSentFromAReplyIsAnsweredToo) {
  const RedisServer server;
  Loop loop(server.url());
  loop.when_ready = [&] { loop.send({"INCR", "n"}); };
  loop.then = [&](const redisReply*) {
    if (loop.replies.size() < 10) loop.send({"INCR", "n"});
  };
  ASSERT_TRUE(loop.until_replies(10));
  EXPECT_EQ(loop.replies.back(), "10");
}

TEST(RedisConnectionTest, SleepsWhileNothingHappens) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.ask({"PING"}), "PONG");
  const std::size_t before = loop.turns;
  EXPECT_FALSE(loop.until([] { return false; }, milliseconds(200)));
  EXPECT_LE(loop.turns - before, 12u);  // of 20 ms each
}

TEST(RedisConnectionTest, AReplyThatIsTooLargeEndsTheConnection) {
  const RedisServer server;
  RedisClient client(server);
  // Elements of 1 MiB each: no single one is large.
  client({"SET", "part", std::string(std::size_t{1} << 20, 'x')});
  Loop loop(server.socket_url());
  ASSERT_TRUE(loop.until_ready());
  const LogCapture log;
  Words words{"MGET"};
  words.insert(words.end(), 131, "part");
  loop.send(words);
  ASSERT_TRUE(loop.until_lost());
  EXPECT_TRUE(log.says("a reply of more than 129 MiB")) << log.text();
  EXPECT_EQ(loop.replies, Words{"lost"});
  ASSERT_TRUE(loop.until_ready());
  words.resize(129);
  EXPECT_GT(loop.ask(words).size(), std::size_t{128} << 20);
}

// ── Subscribing ─────────────────────────────────────────────────────────────────────────────────

/// Subscribes whenever it is ready.
class Subscriber : public Loop {
 public:
  explicit Subscriber(const std::string& url) : Loop(url, ConnectionRole::channel) {
    when_ready = [this] {
      const std::vector<std::string_view> channels{"news", "news:marks"};
      connection().subscribe(channels, *this);
    };
  }
  [[nodiscard]] std::vector<std::string> messages() const {
    std::vector<std::string> found;
    for (const std::string& reply : replies) {
      if (reply.starts_with("[message ")) found.push_back(reply);
    }
    return found;
  }
  [[nodiscard]] bool subscribed(std::size_t times = 1) {
    return until([this, times] { return replies.size() - messages().size() >= 2 * times; });
  }
};

TEST(RedisConnectionTest, MessagesOfBothChannelsComeInOneOrder) {
  const RedisServer server;
  RedisClient client(server);
  Subscriber loop(server.url());
  ASSERT_TRUE(loop.subscribed());
  EXPECT_EQ(loop.replies, (Words{"[subscribe news 1]", "[subscribe news:marks 2]"}));
  Words wanted;
  for (int i = 0; i < 500; ++i) {
    const std::string channel = i % 3 == 0 ? "news:marks" : "news";
    client({"PUBLISH", channel, std::to_string(i)});
    wanted.push_back("[message " + channel + " " + std::to_string(i) + "]");
  }
  ASSERT_TRUE(loop.until([&] { return loop.messages().size() >= 500; }));
  EXPECT_EQ(loop.messages(), wanted);
}

TEST(RedisConnectionTest, ASubscriptionIsRepeatedEachSecondAndLosesNothing) {
  const RedisServer server;
  RedisClient client(server);
  Subscriber loop(server.url());
  ASSERT_TRUE(loop.subscribed());
  for (int second = 0; second < 60; ++second) {
    loop.put_ahead(milliseconds(1'000));
    client({"PUBLISH", "news", std::to_string(second)});
    loop.turn(milliseconds(20));
  }
  EXPECT_TRUE(loop.until([&] { return loop.messages().size() == 60; }));
  EXPECT_EQ(loop.losses, 0);
  const std::size_t repeated = (loop.replies.size() - 60) / 2;
  EXPECT_GE(repeated, 20u);
  EXPECT_LE(repeated, 62u);
}

TEST(RedisConnectionTest, AFrozenServerIsNoticedWhileOnlySubscribed) {
  RedisServer server;
  Subscriber loop(server.url());
  ASSERT_TRUE(loop.subscribed());
  server.freeze();
  loop.put_ahead(milliseconds(1'000));
  loop.turn(milliseconds(0));  // SUBSCRIBE again
  loop.put_ahead(milliseconds(3'900));
  loop.turn(milliseconds(0));
  EXPECT_EQ(loop.losses, 0);
  loop.put_ahead(milliseconds(200));
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }, milliseconds(500)));
  server.thaw();
  EXPECT_TRUE(loop.subscribed(2));
}

TEST(RedisConnectionTest, ASubscriptionThatIsNotAllowedIsSaidInWords) {
  const RedisServer server;
  RedisClient client(server);
  client({"ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "resetchannels", "&news"});
  const LogCapture log;
  Subscriber loop(with_credentials(server, "deaf:pw"));
  ASSERT_TRUE(loop.until([&] { return log.says("may not use a channel"); })) << log.text();
  client({"ACL", "SETUSER", "deaf", "&news:*"});
  EXPECT_TRUE(loop.subscribed());
}

// ── Names ───────────────────────────────────────────────────────────────────────────────────────

TEST(RedisConnectionTest, AHostNameIsLookedUp) {
  const RedisServer server;  // on 127.0.0.1 alone, and localhost may be ::1 first
  Loop loop("redis://localhost:" + std::to_string(server.port()));
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.ask({"PING"}), "PONG");
}

TEST(RedisConnectionTest, OfANameWithSeveralAddressesTheNextIsTriedWhenOneRefuses) {
  const RedisServer primary;
  const RedisServer replica({"--bind", "127.0.0.2", "--port", std::to_string(primary.port()),
                             "--replicaof", "127.0.0.1 1"});
  Loop loop("redis://" + std::string(test::kTwoAddresses) + ":" + std::to_string(primary.port()));
  // At once: each row of tries begins with the first address.
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.ask({"CONFIG", "GET", "bind"}), "[bind 127.0.0.1]");
  EXPECT_EQ(loop.losses, 0);
  EXPECT_EQ(loop.connection().departures(), 1u);
}

TEST(RedisConnectionTest, ANameThatDoesNotExistIsSaidInWords) {
  const LogCapture log;
  Loop loop("redis://no-such-host.invalid");
  ASSERT_TRUE(loop.until([&] { return log.says("Trying again"); }, seconds(30)));
  EXPECT_TRUE(log.says("the host name 'no-such-host.invalid' of redis.url cannot be looked up"))
      << log.text();
}

}  // namespace
}  // namespace ringcast::hub
