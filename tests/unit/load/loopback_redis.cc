#include "loopback_redis.h"

#include <algorithm>
#include <string_view>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

constexpr int kWaitMs = 10;

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string{text} + "\r\n";
}

void write(int connection, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<std::size_t>(count);
  }
}

}  // namespace

LoopbackRedis::LoopbackRedis(OnMessage on_message, std::string refusal)
    : on_message_(std::move(on_message)), refusal_(std::move(refusal)) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
  url_ = "redis://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  thread_ = std::thread{[this] { serve(); }};
}

LoopbackRedis::~LoopbackRedis() {
  ended_.store(true);
  thread_.join();
  for (const auto& [connection, reader] : connections_) close(connection);
  close(listener_);
}

void LoopbackRedis::serve() {
  while (!ended_.load()) {
    std::vector<pollfd> polls{{listener_, POLLIN, 0}};
    for (const auto& [connection, reader] : connections_) polls.push_back({connection, POLLIN, 0});
    poll(polls.data(), polls.size(), kWaitMs);
    for (const pollfd& each : polls) {
      if (each.revents == 0) continue;
      if (each.fd == listener_) {
        connections_.emplace(accept(listener_, nullptr, nullptr), redisReaderCreate());
      } else if (!read(each.fd, *connections_.at(each.fd))) {
        subscribers_.erase(each.fd);
        connections_.erase(each.fd);
        close(each.fd);
      }
    }
  }
}

bool LoopbackRedis::read(int connection, redisReader& reader) {
  char buffer[65'536];
  const ssize_t received = recv(connection, buffer, sizeof buffer, 0);
  if (received <= 0) return false;
  redisReaderFeed(&reader, buffer, static_cast<std::size_t>(received));
  std::uint64_t commands = 0;
  void* command = nullptr;
  while (redisReaderGetReply(&reader, &command) == REDIS_OK && command != nullptr) {
    execute(connection, *static_cast<redisReply*>(command));
    freeReplyObject(command);
    ++commands;
  }
  pipelined_max_ = std::max(pipelined_max_.load(), commands);
  return true;
}

void LoopbackRedis::execute(int connection, const redisReply& command) {
  const auto word = [&command](std::size_t at) {
    return std::string{command.element[at]->str, command.element[at]->len};
  };
  if (word(0) == "SUBSCRIBE") {
    subscribers_[connection] = word(1);
    return write(connection, "*3\r\n" + bulk("subscribe") + bulk(word(1)) + ":1\r\n");
  }
  if (!refusal_.empty()) return write(connection, "-" + refusal_ + "\r\n");
  const std::uint64_t number = messages_++;
  const auto texts = on_message_ ? on_message_(number, word(2)) : std::vector<std::string>{word(2)};
  std::uint64_t receivers = 0;
  for (const auto& [subscriber, channel] : subscribers_) {
    if (channel != word(1)) continue;
    ++receivers;
    for (const std::string& text : texts) {
      write(subscriber, "*3\r\n" + bulk("message") + bulk(channel) + bulk(text));
    }
  }
  write(connection, ":" + std::to_string(receivers) + "\r\n");
}

}  // namespace ringcast::load
