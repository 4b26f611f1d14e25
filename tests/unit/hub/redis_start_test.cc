#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringcast/base/assert.h"
#include "ringcast/hub/redis_store.h"

#include "log_capture.h"
#include "redis_server.h"

namespace ringcast::hub {
namespace {

using test::LogCapture;
using test::RedisClient;
using test::RedisServer;
using Clock = std::chrono::steady_clock;

RedisOptions options(const std::string& url, std::uint32_t start_timeout_ms = 0) {
  RedisOptions options;
  options.url = url;
  options.start_timeout_ms = start_timeout_ms;
  return options;
}

RedisStart started(const RedisOptions& options, const WarmUp& warm_up = {}) {
  auto start = check_redis(options, warm_up);
  if (start) return std::move(start).value();
  ADD_FAILURE() << start.error().message;
  return {};
}

std::string failure(const RedisOptions& options) {
  const auto start = check_redis(options, {});
  return start ? "started" : start.error().message;
}

/// `redis://` with what stands before the host.
std::string url_of(const RedisServer& server, const std::string& credentials,
                   const std::string& behind = "") {
  return "redis://" + credentials + "127.0.0.1:" + std::to_string(server.port()) + behind;
}

EventId id(std::uint64_t ms, std::uint64_t sequence = 0) {
  return {ms, sequence};
}

/// Adds entries 1-0, 2-0 … with `bytes` of data.
void add(RedisClient& redis, std::uint64_t first, std::uint64_t last, std::size_t bytes = 1) {
  std::vector<std::vector<std::string>> commands;
  for (std::uint64_t ms = first; ms <= last; ++ms) {
    commands.push_back(
        {"XADD", "ringcast:events", std::to_string(ms) + "-0", "data", std::string(bytes, 'x')});
  }
  for (const auto& reply : redis.pipeline(commands)) ASSERT_FALSE(reply.is_error()) << reply.text;
}

TEST(RedisStart, AnEmptyRedisBeginsAtTheBeginning) {
  const RedisServer server;
  const RedisStart start = started(options(server.url()));
  EXPECT_EQ(start.floor, EventId());
  EXPECT_EQ(start.newest, EventId());
  EXPECT_TRUE(start.signed_out.empty());
  EXPECT_GE(start.version, "6.2");
  EXPECT_EQ(started(options(server.socket_url())).version, start.version);
}

TEST(RedisStart, NothingIsWrittenByTheCheck) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 3);
  const auto before = redis({"XINFO", "STREAM", "ringcast:events"});
  started(options(server.url()));
  EXPECT_EQ(redis({"DBSIZE"}).number, 1);
  const auto after = redis({"XINFO", "STREAM", "ringcast:events"});
  EXPECT_EQ(after[7].text, before[7].text) << "last-generated-id";
  EXPECT_EQ(redis({"XLEN", "ringcast:events"}).number, 3);
}

TEST(RedisStart, AStreamThatFitsAndWasNeverTrimmedIsTakenWhole) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 2'000);
  const RedisStart start = started(options(server.url()), {.events = 2'000});
  EXPECT_EQ(start.floor, EventId());
  EXPECT_EQ(start.newest, id(2'000));
}

TEST(RedisStart, TheLogBeginsBehindTheEntryBeforeTheOldestThatFits) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 2'000);
  EXPECT_EQ(started(options(server.url()), {.events = 1'999}).floor, id(1));
  EXPECT_EQ(started(options(server.url()), {.events = 10}).floor, id(1'990));
  EXPECT_EQ(started(options(server.url()), {.events = 1}).floor, id(1'999));
  EXPECT_EQ(started(options(server.url()), {.events = 1}).newest, id(2'000));
}

TEST(RedisStart, BytesAreALimitToo) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 100, 10'000);
  const EventId floor = started(options(server.url()), {.events = 1'000, .bytes = 500'000}).floor;
  EXPECT_GE(floor, id(51));
  EXPECT_LE(floor, id(53));
  EXPECT_EQ(started(options(server.url()), {.events = 1'000, .bytes = 5'000}).floor, id(100));
}

TEST(RedisStart, ATrimmedStreamBeginsAtTheOldestThatIsLeft) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 100);
  redis({"XTRIM", "ringcast:events", "MAXLEN", "30"});
  EXPECT_EQ(started(options(server.url())).floor, id(71));
  EXPECT_EQ(started(options(server.url())).newest, id(100));
}

TEST(RedisStart, ADeletedEntryMakesTheBeginningUnknown) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 3);
  redis({"XDEL", "ringcast:events", "1-0"});
  EXPECT_EQ(started(options(server.url())).floor, id(2));
}

TEST(RedisStart, AStreamThatWasEmptiedBeginsAtItsLastId) {
  const RedisServer server;
  RedisClient redis(server);
  add(redis, 1, 3);
  redis({"XTRIM", "ringcast:events", "MAXLEN", "0"});
  EXPECT_EQ(started(options(server.url())).floor, id(3));
  EXPECT_EQ(started(options(server.url())).newest, id(3));
}

TEST(RedisStart, SignOutsThatHaveNotExpiredAreKnown) {
  const RedisServer server;
  RedisClient redis(server);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const auto sign_out = [&](const std::string& member, std::int64_t in_ms) {
    redis({"ZADD", "ringcast:events:signed-out", std::to_string(now + in_ms), member});
  };
  sign_out("00000000000000ff user/alice", 60'000);
  sign_out("ffffffffffffffff user/bob smith", 120'000);
  sign_out("0000000000000001 user/gone", -1'000);
  sign_out("nonsense", 60'000);
  const LogCapture log;
  const RedisStart start = started(options(server.url()));
  ASSERT_EQ(start.signed_out.size(), 2u);
  EXPECT_EQ(start.signed_out[0].session, 0xffu);
  EXPECT_EQ(start.signed_out[0].expires_ms, static_cast<std::uint64_t>(now + 60'000));
  EXPECT_EQ(start.signed_out[1].session, ~std::uint64_t{0});
  EXPECT_EQ(log.count("1 members of ringcast:events:signed-out are no sign-outs"), 1u)
      << log.text();
}

TEST(RedisStart, TheDatabaseOfTheUrlIsTheOneThatIsLookedAt) {
  const RedisServer server;
  RedisClient redis(server);
  redis({"SELECT", "5"});
  add(redis, 1, 3);
  EXPECT_EQ(started(options(url_of(server, "", "/5"))).newest, id(3));
  EXPECT_EQ(started(options(url_of(server, "", "/4"))).newest, EventId());
}

TEST(RedisStart, AMissingOrWrongPasswordIsSaidAtOnce) {
  const RedisServer server({"--requirepass", "right"});
  const auto begin = Clock::now();
  const std::string none = failure(options(server.url(), 20'000));
  EXPECT_NE(none.find("wants a password"), std::string::npos) << none;
  const std::string wrong = failure(options(url_of(server, ":wrong@"), 20'000));
  EXPECT_NE(wrong.find("with this password"), std::string::npos) << wrong;
  EXPECT_EQ(wrong.find("wrong"), std::string::npos) << "the password is repeated: " << wrong;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
  started(options(url_of(server, ":right@")));
}

TEST(RedisStart, ADatabaseThatIsNotThereIsNamed) {
  const RedisServer server;
  const std::string found = failure(options(url_of(server, "", "/99"), 20'000));
  EXPECT_NE(found.find("has no database 99"), std::string::npos) << found;
}

TEST(RedisStart, AReplicaIsRefusedWithTheAddressOfItsPrimary) {
  const RedisServer primary;
  const RedisServer replica({"--replicaof", "127.0.0.1", std::to_string(primary.port())});
  const std::string found = failure(options(replica.url(), 20'000));
  EXPECT_NE(found.find("is a replica"), std::string::npos) << found;
  EXPECT_NE(found.find("127.0.0.1:" + std::to_string(primary.port())), std::string::npos) << found;
}

TEST(RedisStart, AKeyOfAnotherTypeIsNamed) {
  const RedisServer server;
  RedisClient redis(server);
  const auto refused = [&](const std::string& key, const std::string& kind) {
    const std::string found = failure(options(server.url(), 20'000));
    EXPECT_NE(found.find("holds something else than " + kind + " under the key \"" + key + "\""),
              std::string::npos)
        << found;
    redis({"DEL", key});
  };
  redis({"SET", "ringcast:events", "x"});
  refused("ringcast:events", "a stream");
  for (const char* suffix : {":relay", ":epoch"}) {
    redis({"SADD", std::string("ringcast:events") + suffix, "x"});
    refused(std::string("ringcast:events") + suffix, "a string");
  }
  redis({"SET", "ringcast:events:relayed", "x"});
  refused("ringcast:events:relayed", "a hash");
  redis({"SET", "ringcast:events:signed-out", "x"});
  refused("ringcast:events:signed-out", "a sorted set");
  started(options(server.url()));
}

TEST(RedisStart, AClusterNeedsAHashTag) {
  const RedisServer server({"--cluster-enabled", "yes"});
  const std::string found = failure(options(server.url(), 20'000));
  EXPECT_NE(found.find("give redis.stream a part in braces, as \"{ringcast}:events\""),
            std::string::npos)
      << found;
}

TEST(RedisStart, ANodeOfAClusterThatHasTheStreamWorksWithAWarning) {
  const RedisServer server({"--cluster-enabled", "yes"});
  RedisClient redis(server);
  redis({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
  ASSERT_TRUE(test::eventually([&] {
    return redis({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos;
  }));
  RedisOptions tagged = options(server.url());
  tagged.stream = "{ringcast}:events";
  const LogCapture log;
  started(tagged);
  EXPECT_EQ(log.count("is a node of a cluster"), 1u) << log.text();
}

TEST(RedisStart, WhatMayLoseEventsIsWarnedOf) {
  const RedisServer server({"--maxmemory-policy", "allkeys-lru"});
  const LogCapture log;
  started(options(server.url()));
  EXPECT_EQ(log.count("maxmemory-policy is allkeys-lru"), 1u) << log.text();
  EXPECT_EQ(log.count("appendonly is off"), 1u) << log.text();
}

TEST(RedisStart, ASoundRedisIsNotWarnedOf) {
  const RedisServer server({"--appendonly", "yes", "--maxmemory-policy", "noeviction"});
  const LogCapture log;
  started(options(server.url()));
  EXPECT_EQ(log.text(), "");
}

TEST(RedisStart, ARedisWithoutMemoryIsAWarningAndNoRefusal) {
  const RedisServer server({"--maxmemory", "1"});
  const LogCapture log;
  started(options(server.url()));
  EXPECT_EQ(log.count("has reached its `maxmemory`"), 1u) << log.text();
}

TEST(RedisStart, ARedisThatComesLaterIsWaitedFor) {
  RedisServer server;
  server.stop();
  const LogCapture log;
  std::string found = "did not end";
  std::thread waiting([&] { found = failure(options(server.url(), 20'000)); });
  EXPECT_TRUE(test::eventually([&log] { return log.count("waiting for it") > 0; }));
  server.start();
  waiting.join();
  EXPECT_EQ(found, "started");
  EXPECT_EQ(log.count("cannot be reached: Connection refused; waiting for it"), 1u) << log.text();
  EXPECT_EQ(log.count("answers"), 1u) << log.text();
}

TEST(RedisStart, ARedisThatDoesNotComeIsGivenUpAfterTheTime) {
  RedisServer server;
  server.stop();
  const auto begin = Clock::now();
  const std::string found = failure(options(server.url(), 300));
  const auto took = Clock::now() - begin;
  EXPECT_NE(found.find("cannot be reached: Connection refused (waited 0.3 s, "
                       "redis.start_timeout_seconds)"),
            std::string::npos)
      << found;
  EXPECT_GE(took, std::chrono::milliseconds(300));
  EXPECT_LT(took, std::chrono::seconds(5));
}

TEST(RedisStart, WaitingIsGivenUpWhenAsked) {
  RedisServer server;
  server.stop();
  const auto begin = Clock::now();
  int asked = 0;
  const auto start =
      check_redis(options(server.url(), 60'000), {}, [&asked] { return ++asked == 3; });
  ASSERT_FALSE(start.ok());
  EXPECT_TRUE(start.error().message.starts_with("stopped while waiting: "))
      << start.error().message;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
}

TEST(RedisStart, ASocketThatIsNotThereYetIsWaitedFor) {
  const RedisServer server;
  const std::string found = failure(options(server.socket_url() + ".not", 300));
  EXPECT_NE(found.find("cannot be reached: No such file or directory (waited 0.3 s"),
            std::string::npos)
      << found;
}

/// Answers each command by its name with what is given, else with +OK or +QUEUED. For what a Redis
/// of today does not do. `MULTI XADD` is an XADD behind MULTI.
class FakeRedis {
 public:
  using Answers = std::map<std::string, std::string>;

  explicit FakeRedis(Answers answers) : answers_(std::move(answers)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    RC_ASSERT(bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes) == 0);
    RC_ASSERT(listen(listener_, 8) == 0);
    RC_ASSERT(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeRedis() {
    stop_ = true;
    thread_.join();
    close(listener_);
  }
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  void set(const std::string& command, const std::string& answer) {
    const std::lock_guard lock(mutex_);
    answers_[command] = answer;
  }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  bool readable(int fd) const {
    while (!stop_) {
      pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
      if (poll(&wanted, 1, 20) > 0) return true;
    }
    return false;
  }
  void serve() {
    while (readable(listener_)) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      ++connections_;
      // The client waits for each reply, so that what arrives is one command.
      // `*1\r\n$4\r\nINFO\r\n`.
      std::array<char, 4096> buffer;
      bool queueing = false;
      while (readable(client)) {
        const ssize_t got = read(client, buffer.data(), buffer.size());
        if (got <= 0) break;
        const std::string text(buffer.data(), static_cast<std::size_t>(got));
        const std::size_t begin = text.find("\r\n", text.find('$')) + 2;
        const std::string name = text.substr(begin, text.find("\r\n", begin) - begin);
        std::string answer = queueing && name != "DISCARD" ? "+QUEUED\r\n" : "+OK\r\n";
        if (name == "MULTI" || name == "DISCARD") queueing = name == "MULTI";
        {
          const std::lock_guard lock(mutex_);
          if (const auto found = answers_.find(queueing ? "MULTI " + name : name);
              found != answers_.end()) {
            answer = found->second;
          }
        }
        if (write(client, answer.data(), answer.size()) < 0) break;
      }
      close(client);
    }
  }

  std::mutex mutex_;
  Answers answers_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string info(const std::string& version, const std::string& more = "") {
  return bulk("# Server\r\nredis_version:" + version + "\r\n# Persistence\r\n" + more +
              "aof_enabled:1\r\n# Replication\r\nrole:master\r\n");
}

TEST(RedisStart, AnOldRedisIsRefusedAndAnOlderOneWarnedOf) {
  FakeRedis fake({{"INFO", info("6.0.16")},
                  {"XINFO", "-ERR no such key\r\n"},
                  {"GET", "$-1\r\n"},
                  {"HGET", "$-1\r\n"},
                  {"ZRANGEBYSCORE", "*0\r\n"}});
  const std::string found = failure(options(fake.url(), 20'000));
  EXPECT_NE(found.find("is Redis 6.0.16, which is too old: 6.2 or newer"), std::string::npos)
      << found;
  fake.set("INFO", info("6.2.0"));
  const LogCapture log;
  EXPECT_EQ(started(options(fake.url())).version, "6.2.0");
  EXPECT_EQ(log.count("7.0 or newer is recommended"), 1u) << log.text();
}

TEST(RedisStart, ARedisThatLoadsItsDataIsWaitedFor) {
  FakeRedis fake({{"INFO", info("7.0.15", "loading:1\r\n")},
                  {"XINFO", "-ERR no such key\r\n"},
                  {"GET", "$-1\r\n"},
                  {"HGET", "$-1\r\n"},
                  {"ZRANGEBYSCORE", "*0\r\n"}});
  const LogCapture log;
  std::thread later([&fake] {
    EXPECT_TRUE(test::eventually([&fake] { return fake.connections() >= 2; }));
    fake.set("INFO", info("7.0.15", "loading:0\r\n"));
    fake.set("XINFO", "-LOADING Redis is loading the dataset in memory\r\n");
    const int before = fake.connections();
    EXPECT_TRUE(test::eventually([&] { return fake.connections() > before + 1; }));
    fake.set("XINFO", "-ERR no such key\r\n");
  });
  started(options(fake.url(), 20'000));
  later.join();
  EXPECT_EQ(log.count("is loading its data; waiting for it"), 1u) << log.text();
}

TEST(RedisStart, AConnectionThatBreaksOffIsTriedAgain) {
  FakeRedis fake(FakeRedis::Answers{{"INFO", "?nonsense\r\n"}});
  const LogCapture log;
  EXPECT_NE(failure(options(fake.url(), 300)).find("does not answer as it should: "),
            std::string::npos);
  EXPECT_GE(fake.connections(), 2);
}

TEST(RedisStart, ARedisThatSaysNothingIsGivenUpSoonAfterTheTime) {
  FakeRedis fake(FakeRedis::Answers{{"INFO", "$100\r\nhalf"}});
  const auto begin = Clock::now();
  const std::string found = failure(options(fake.url(), 100));
  EXPECT_NE(found.find("does not answer as it should: no answer in time"), std::string::npos)
      << found;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(3));
}

TEST(RedisStart, ASentinelIsRefused) {
  FakeRedis fake(FakeRedis::Answers{
      {"INFO", bulk("# Server\r\nredis_version:7.0.15\r\nredis_mode:sentinel\r\n")}});
  const std::string found = failure(options(fake.url(), 20'000));
  EXPECT_NE(found.find("is a Sentinel"), std::string::npos) << found;
}

TEST(RedisStart, AMovedStreamIsSaid) {
  FakeRedis fake({{"INFO", info("7.0.15")}, {"MULTI XADD", "-MOVED 1 10.0.0.1:6379\r\n"}});
  const std::string found = failure(options(fake.url(), 20'000));
  EXPECT_NE(found.find("does not hold redis.stream"), std::string::npos) << found;
}

}  // namespace
}  // namespace ringcast::hub
