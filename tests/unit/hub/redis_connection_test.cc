#include "redis_connection.h"

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis_server.h"

namespace ringcast::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::RedisClient;
using test::RedisServer;
using Words = std::vector<std::string>;

/// What was logged while it lives.
class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] std::string text() const { return text_.str(); }
  [[nodiscard]] bool says(std::string_view what) const {
    return text().find(what) != std::string::npos;
  }
  [[nodiscard]] std::size_t count(std::string_view what) const {
    std::size_t n = 0;
    const std::string all = text();
    for (std::size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1)) ++n;
    return n;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

std::string shown(const redisReply* reply) {
  if (reply == nullptr) return "lost";
  if (reply->type == REDIS_REPLY_INTEGER) return std::to_string(reply->integer);
  if (reply->type == REDIS_REPLY_NIL) return "nil";
  if (reply->type == REDIS_REPLY_ARRAY) {
    std::string text = "[";
    for (std::size_t i = 0; i < reply->elements; ++i) {
      text += (i == 0 ? "" : " ") + shown(reply->element[i]);
    }
    return text + "]";
  }
  return {reply->str, reply->len};
}

/// A loop like the hub's, with one connection and whoever uses it. Its clock can be put ahead.
class Loop : public ConnectionOwner, public ReplyHandler {
 public:
  explicit Loop(const std::string& url, ConnectionRole role = ConnectionRole::commands) {
    uring::RingOptions options;
    options.submissions = 16;
    options.slots = 1;
    options.receive_buffers = 1;
    auto ring = uring::Ring::create(options);
    RC_ASSERT(ring.ok());
    ring_ = std::move(ring).value();
    const Result<RedisAddress> address = parse_redis_url(url);
    RC_ASSERT(address.ok());
    connection_ = std::make_unique<RedisConnection>(address.value(), role, 3, *ring_, *this,
                                                    connected, reconnects);
    connection_->open(now());
  }

  [[nodiscard]] RedisConnection& connection() { return *connection_; }
  [[nodiscard]] Time now() const {
    Time time = read_clock();
    time.mono_ns += ahead_ns_;
    return time;
  }
  void put_ahead(milliseconds by) { ahead_ns_ += std::uint64_t(by.count()) * kNsPerMs; }

  /// One turn; sleeps for `most` at the longest.
  void turn(milliseconds most) {
    const std::uint64_t due_ns = connection_->turn(now());
    std::chrono::nanoseconds limit = most;
    const std::uint64_t at_ns = now().mono_ns;
    if (due_ns != 0) {
      limit = std::min(limit, std::chrono::nanoseconds(due_ns <= at_ns ? 0 : due_ns - at_ns));
    }
    ++turns;
    sleep(limit);
  }
  void sleep(std::chrono::nanoseconds limit) {
    ring_->wait(limit);
    uring::Completion completion;
    while (ring_->next(completion)) {
      if (completion.operation == uring::Operation::wake) continue;
      EXPECT_TRUE(connection_->owns(completion.handle));
      connection_->on_poll(completion, now());
    }
  }

  [[nodiscard]] bool until(const std::function<bool()>& done, milliseconds limit = seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      turn(nap);
    }
    return true;
  }
  [[nodiscard]] bool until_ready() {
    return until([this] { return connection_->ready(); });
  }
  [[nodiscard]] bool until_lost() {
    return until([this] { return !connection_->ready(); });
  }
  [[nodiscard]] bool until_replies(std::size_t count) {
    return until([this, count] { return replies.size() >= count; });
  }

  void send(const Words& words, std::uint64_t tag = 0) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    connection_->send(views, *this, tag);
  }
  /// Sends and waits.
  std::string ask(const Words& words) {
    const std::size_t before = replies.size();
    send(words);
    if (!until_replies(before + 1)) return "no reply";
    return replies.back();
  }

  void on_reply(std::uint64_t tag, const redisReply* reply) override {
    tags.push_back(tag);
    replies.push_back(shown(reply));
    if (then) then(reply);
  }
  void on_ready() override {
    EXPECT_TRUE(connection_->ready());
    ++readies;
    if (when_ready) when_ready();
  }
  void on_lost() override {
    EXPECT_FALSE(connection_->ready());
    EXPECT_EQ(connection_->outstanding(), 0u);
    ++losses;
    replies_at_loss = replies.size();
  }

  Counter connected;
  Counter reconnects;
  milliseconds nap{20};  // of a turn, in `until`
  int readies = 0;
  int losses = 0;
  std::size_t turns = 0;
  std::size_t replies_at_loss = 0;
  std::vector<std::string> replies;
  std::vector<std::uint64_t> tags;
  std::function<void()> when_ready;
  std::function<void(const redisReply*)> then;

 private:
  std::unique_ptr<uring::Ring> ring_;
  std::unique_ptr<RedisConnection> connection_;
  std::uint64_t ahead_ns_ = 0;
};

std::string with_credentials(const RedisServer& server, const std::string& credentials,
                             const std::string& database = "") {
  return "redis://" + credentials + "@127.0.0.1:" + std::to_string(server.port()) + database;
}

/// A port on which nobody answers what connects; or nobody at all, once it was closed.
class SilentListener {
 public:
  SilentListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    RC_ASSERT(::bind(fd_, generic, length) == 0 && ::listen(fd_, 16) == 0);
    RC_ASSERT(::getsockname(fd_, generic, &length) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentListener() { close(); }
  SilentListener(const SilentListener&) = delete;
  SilentListener& operator=(const SilentListener&) = delete;

  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  /// Takes one connection and says `text` on it, whatever comes.
  void answer(std::string_view text) const {
    const int peer = ::accept(fd_, nullptr, nullptr);
    RC_ASSERT(peer >= 0);
    RC_ASSERT(::send(peer, text.data(), text.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(text.size()));
    peers_.push_back(peer);
  }
  void close() {
    for (const int peer : peers_) ::close(peer);
    peers_.clear();
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  mutable std::vector<int> peers_;
};

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
  EXPECT_EQ(log.count("warning"), 1u) << log.text();
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
    EXPECT_TRUE(loop.until([&] { return log.says("warning"); })) << url;
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

TEST(RedisConnectionTest, AReplicaIsRefusedForCommandsAndNamesItsPrimary) {
  const RedisServer primary;
  const RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(primary.port()),
                             "--repl-diskless-sync-delay", "0"});
  const LogCapture log;
  Loop commands(replica.url());
  ASSERT_TRUE(commands.until([&] { return log.says("it is a replica"); })) << log.text();
  EXPECT_TRUE(log.says("127.0.0.1:" + std::to_string(primary.port()))) << log.text();
  EXPECT_FALSE(commands.connection().ready());
  Loop tail(replica.url(), ConnectionRole::tail);
  EXPECT_TRUE(tail.until_ready());
  // It takes over, and is what is wanted then.
  RedisClient client(replica);
  client({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(commands.until_ready());
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
  // 65 elements of 1 MiB each: no single one is large.
  client({"SET", "part", std::string(std::size_t{1} << 20, 'x')});
  Loop loop(server.socket_url());
  ASSERT_TRUE(loop.until_ready());
  const LogCapture log;
  Words words{"MGET"};
  words.insert(words.end(), 65, "part");
  loop.send(words);
  ASSERT_TRUE(loop.until_lost());
  EXPECT_TRUE(log.says("a reply of more than 64 MiB")) << log.text();
  EXPECT_EQ(loop.replies, Words{"lost"});
  ASSERT_TRUE(loop.until_ready());
  words.resize(61);
  EXPECT_GT(loop.ask(words).size(), std::size_t{60} << 20);
}

// ── Losing it ───────────────────────────────────────────────────────────────────────────────────

TEST(RedisConnectionTest, CommandsWithoutAReplyAreToldBeforeItsOwnerIs) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"}, 1);
  loop.turn(milliseconds(0));
  loop.send({"PING"}, 2);
  server.kill();
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }));
  EXPECT_EQ(loop.replies, (Words{"lost", "lost"}));
  EXPECT_EQ(loop.tags, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(loop.replies_at_loss, 2u);
  EXPECT_EQ(loop.connected.get(), 0u);
}

TEST(RedisConnectionTest, ComesBackByItselfWhenRedisDoes) {
  RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    server.kill();
    ASSERT_TRUE(loop.until_lost());
    EXPECT_FALSE(loop.until([&] { return loop.connection().ready(); }, milliseconds(100)));
    server.start();
    ASSERT_TRUE(loop.until_ready());
    EXPECT_EQ(loop.reconnects.get(), round);
    EXPECT_EQ(loop.ask({"PING"}), "PONG");
  }
  EXPECT_EQ(loop.readies, 4);
  EXPECT_EQ(loop.losses, 3);
  EXPECT_TRUE(log.says("no commands connection to 127.0.0.1:")) << log.text();
  EXPECT_TRUE(log.says("works again, after 0.")) << log.text();
  EXPECT_LE(log.count("warning"), 3u) << log.text();
}

TEST(RedisConnectionTest, AServerThatIsAwayIsTriedMoreAndMoreSeldom) {
  SilentListener nobody;
  const std::string url = nobody.url();
  nobody.close();
  const LogCapture log;
  Loop loop(url);
  // How far the clock has to be put ahead for the next try.
  std::vector<std::uint64_t> waits_ms;
  for (int i = 0; i < 12; ++i) {
    const std::uint64_t at_ns = loop.now().mono_ns;
    std::uint64_t due_ns = loop.connection().turn(loop.now());
    // A connection attempt of 4 s at most, which ends at once here.
    ASSERT_TRUE(loop.until([&] {
      due_ns = loop.connection().turn(loop.now());
      return due_ns - loop.now().mono_ns < 3 * kNsPerSecond;
    }));
    waits_ms.push_back((due_ns - at_ns) / kNsPerMs);
    loop.put_ahead(milliseconds(waits_ms.back() + 1));
  }
  EXPECT_LE(waits_ms[0], 60u);
  EXPECT_GE(waits_ms[11], 950u);
  for (const std::uint64_t wait : waits_ms) EXPECT_LE(wait, 2'050u);
  EXPECT_EQ(log.count("Connection refused"), 1u) << log.text();
}

TEST(RedisConnectionTest, AFrozenServerIsNoticedWithinFiveSeconds) {
  RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  loop.put_ahead(milliseconds(3'900));
  EXPECT_FALSE(loop.until([&] { return loop.losses != 0; }, milliseconds(20)));
  loop.put_ahead(milliseconds(200));
  ASSERT_TRUE(loop.until([&] { return loop.losses != 0; }, milliseconds(500)));
  EXPECT_EQ(loop.replies, Words{"lost"});
  EXPECT_TRUE(log.says("no reply for 4 s")) << log.text();
  server.thaw();
  EXPECT_TRUE(loop.until_ready());
}

TEST(RedisConnectionTest, AServerThatConnectsAndSaysNothingIsGivenUp) {
  const SilentListener listener;
  const LogCapture log;
  Loop loop(listener.url());
  EXPECT_FALSE(loop.until([&] { return log.says("warning"); }, milliseconds(50)));
  loop.put_ahead(milliseconds(4'100));
  EXPECT_TRUE(loop.until([&] { return log.says("no reply for 4 s"); })) << log.text();
}

TEST(RedisConnectionTest, AnIdleConnectionWaitsForNoReply) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  for (int i = 0; i < 60; ++i) {
    loop.put_ahead(milliseconds(1'000));
    loop.turn(milliseconds(0));
  }
  EXPECT_EQ(loop.losses, 0);
  // What is sent after a long silence has its whole time.
  server.freeze();
  loop.put_ahead(milliseconds(60'000));
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  for (int i = 0; i < 39; ++i) {
    loop.put_ahead(milliseconds(100));
    loop.turn(milliseconds(0));
  }
  EXPECT_EQ(loop.losses, 0);
  server.thaw();
  EXPECT_TRUE(loop.until_replies(1));
}

TEST(RedisConnectionTest, AThreadThatWasAwayItselfBlamesNobody) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.send({"PING"});
  // Written, and answered, while the loop does not run; it finds the answer before the clock's
  // verdict.
  (void)loop.connection().turn(loop.now());
  EXPECT_FALSE(test::eventually([] { return false; }, milliseconds(50)));
  loop.put_ahead(milliseconds(4'100));
  (void)loop.connection().turn(loop.now());
  EXPECT_EQ(loop.replies, Words{"PONG"});
  EXPECT_EQ(loop.losses, 0);

  server.freeze();
  loop.send({"PING"});
  loop.turn(milliseconds(0));
  loop.put_ahead(milliseconds(20'000));
  loop.turn(milliseconds(0));
  EXPECT_EQ(loop.losses, 0);
  loop.put_ahead(milliseconds(1'100));
  EXPECT_TRUE(loop.until([&] { return loop.losses == 1; }, milliseconds(500)));
}

TEST(RedisConnectionTest, ABlockingReadIsNotOverdue) {
  const RedisServer server;
  Loop loop(server.url(), ConnectionRole::tail);
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.ask({"XREAD", "BLOCK", "1000", "STREAMS", "none", "$"}), "nil");
  EXPECT_EQ(loop.losses, 0);
}

TEST(RedisConnectionTest, GivenUpFromAReplyTheRestIsToldAndItBeginsAnew) {
  const RedisServer server;
  const LogCapture log;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.then = [&](const redisReply* reply) {
    if (reply == nullptr) return;
    loop.connection().fail("that was READONLY");
    EXPECT_FALSE(loop.connection().ready());
  };
  for (int i = 0; i < 3; ++i) loop.send({"PING"});
  ASSERT_TRUE(loop.until([&] { return loop.losses == 1; }));
  EXPECT_EQ(loop.replies, (Words{"PONG", "lost", "lost"}));
  EXPECT_TRUE(log.says("that was READONLY"));
  EXPECT_TRUE(loop.until([&] { return loop.readies == 2; }));
}

TEST(RedisConnectionTest, GivenUpFromElsewhereItIsToldInTheNextTurn) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  server.freeze();
  loop.send({"PING"});
  loop.connection().fail("enough");
  EXPECT_FALSE(loop.connection().ready());
  EXPECT_EQ(loop.losses, 0);
  loop.turn(milliseconds(0));
  EXPECT_EQ(loop.losses, 1);
  EXPECT_EQ(loop.replies, Words{"lost"});
  server.thaw();
  EXPECT_TRUE(loop.until_ready());
}

TEST(RedisConnectionTest, GivenUpBetweenTurnsItWakesTheLoop) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.turn(milliseconds(0));
  loop.connection().fail("enough");
  const auto start = std::chrono::steady_clock::now();
  loop.sleep(seconds(5));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(4));
}

TEST(RedisConnectionTest, ClosedForGoodItTellsNothingAndServerSeesTheEnd) {
  const RedisServer server;
  RedisClient client(server);
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.turn(milliseconds(0));  // the poll is armed, which would keep the socket open
  loop.send({"PING"});
  loop.connection().close();
  EXPECT_EQ(loop.connected.get(), 0u);
  EXPECT_FALSE(
      loop.until([&] { return !loop.replies.empty() || loop.losses != 0; }, milliseconds(50)));
  EXPECT_EQ(client({"CLIENT", "LIST"}).text.find("name=ringcast"), std::string::npos);
}

TEST(RedisConnectionTest, DestroyedAtAnyMomentItLeavesNothingBehind) {
  const RedisServer server;
  RedisClient client(server);
  for (int turns = 0; turns < 12; ++turns) {
    Loop loop(turns % 2 == 0 ? server.url() : "redis://localhost:" + std::to_string(server.port()));
    for (int i = 0; i < turns; ++i) loop.turn(milliseconds(turns % 3));
    if (loop.connection().ready()) loop.send({"PING"});
  }
  EXPECT_TRUE(test::eventually([&] {
    return client({"CLIENT", "LIST"}).text.find("name=ringcast") == std::string::npos;
  }));
}

TEST(RedisConnectionTest, ItsSocketIsNoDelayAndKeptAlive) {
  const RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  int found = 0;
  for (int fd = 3; fd < 256; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
    if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != server.port()) continue;
    ++found;
    const auto option = [fd](int level, int name) {
      int value = 0;
      socklen_t bytes = sizeof value;
      ::getsockopt(fd, level, name, &value, &bytes);
      return value;
    };
    EXPECT_NE(option(IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_NE(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  }
  EXPECT_EQ(found, 1);
}

// ── The connection before ───────────────────────────────────────────────────────────────────────

TEST(RedisConnectionTest, RemembersTheConnectionBeforeUntilItIsCertainlyGone) {
  RedisServer server;
  RedisClient client(server);
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  EXPECT_EQ(loop.connection().previous_id(), 0);
  const std::string first = loop.ask({"CLIENT", "ID"});
  // Redis does not see that we have given it up as long as it is frozen.
  loop.connection().fail("test");
  ASSERT_TRUE(loop.until([&] { return loop.readies == 2; }));
  EXPECT_EQ(std::to_string(loop.connection().previous_id()), first);
  loop.connection().forget_previous();
  EXPECT_EQ(loop.connection().previous_id(), 0);
}

TEST(RedisConnectionTest, AnIdOfBeforeARestartIsForgotten) {
  RedisServer server;
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  const std::int64_t first = std::stoll(loop.ask({"CLIENT", "ID"}));
  for (int i = 0; i < 5; ++i) {
    loop.connection().fail("test");
    ASSERT_TRUE(loop.until([&] { return loop.readies == i + 2; }));
  }
  server.kill();
  ASSERT_TRUE(loop.until_lost());
  server.start();
  ASSERT_TRUE(loop.until_ready());
  ASSERT_LT(std::stoll(loop.ask({"CLIENT", "ID"})), first + 5);
  EXPECT_EQ(loop.connection().previous_id(), 0);
}

TEST(RedisConnectionTest, OfSeveralLostConnectionsTheOlderOnesAreDeadBeforeItIsReady) {
  const RedisServer server;
  RedisClient client(server);
  Loop loop(server.url());
  ASSERT_TRUE(loop.until_ready());
  loop.connection().fail("test");
  ASSERT_TRUE(loop.until([&] { return loop.readies == 2; }));
  const std::int64_t second = std::stoll(loop.ask({"CLIENT", "ID"}));
  const auto kills = [&] {
    const std::string stats = client({"INFO", "commandstats"}).text;
    const std::string name = "cmdstat_client|kill:calls=";
    const std::size_t at = stats.find(name);
    return at == std::string::npos ? 0 : std::stoi(stats.substr(at + name.size()));
  };
  EXPECT_EQ(kills(), 0);
  loop.connection().fail("test");
  ASSERT_TRUE(loop.until([&] { return loop.readies == 3; }));
  EXPECT_EQ(kills(), 1);
  EXPECT_EQ(loop.connection().previous_id(), second);
  loop.connection().forget_previous();
  EXPECT_EQ(loop.connection().previous_id(), 0);
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

TEST(RedisConnectionTest, ANameThatDoesNotExistIsSaidInWords) {
  const LogCapture log;
  Loop loop("redis://no-such-host.invalid");
  ASSERT_TRUE(loop.until([&] { return log.says("warning"); }, seconds(30)));
  EXPECT_TRUE(log.says("the host name 'no-such-host.invalid' of redis.url cannot be looked up"))
      << log.text();
}

}  // namespace
}  // namespace ringcast::hub
