#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis_connection.h"

namespace ringcast::hub {

using Words = std::vector<std::string>;

/// A reply as text: `lost`, `nil`, `[a b]`.
inline std::string shown(const redisReply* reply) {
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
  void put_ahead(std::chrono::milliseconds by) {
    ahead_ns_ += std::uint64_t(by.count()) * kNsPerMs;
  }

  /// One turn; sleeps for `most` at the longest.
  void turn(std::chrono::milliseconds most) {
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

  [[nodiscard]] bool until(const std::function<bool()>& done,
                           std::chrono::milliseconds limit = std::chrono::seconds(10)) {
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
  std::chrono::milliseconds nap{20};  // of a turn, in `until`
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

}  // namespace ringcast::hub
