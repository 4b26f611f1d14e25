#include "fake_redis.h"

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ringcast/base/assert.h"

namespace ringcast::test {
namespace {

using Words = std::vector<std::string>;

/// Takes the first command out of `input`, when all of it is there.
std::optional<Words> take_command(std::string& input) {
  std::size_t at = 0;
  const auto number = [&](char sign) -> std::optional<std::size_t> {
    const std::size_t end = input.find("\r\n", at);
    if (end == std::string::npos) return std::nullopt;
    RC_ASSERT(input[at] == sign);
    const std::size_t value = std::stoul(input.substr(at + 1, end - at - 1));
    at = end + 2;
    return value;
  };
  const auto count = number('*');
  if (!count) return std::nullopt;
  Words words;
  while (words.size() < *count) {
    const auto bytes = number('$');
    if (!bytes || input.size() < at + *bytes + 2) return std::nullopt;
    words.push_back(input.substr(at, *bytes));
    at += *bytes + 2;
  }
  input.erase(0, at);
  return words;
}

}  // namespace

std::string FakeRedis::text(std::string_view what) {
  return "$" + std::to_string(what.size()) + "\r\n" + std::string(what) + "\r\n";
}

std::string FakeRedis::list(const std::vector<std::string>& replies) {
  std::string all = "*" + std::to_string(replies.size()) + "\r\n";
  for (const std::string& reply : replies) all += reply;
  return all;
}

std::string FakeRedis::entry(std::string_view id) {
  return list({text(id), list({text("data"), text(id)})});
}

FakeRedis::FakeRedis(Reply reply) : reply_(std::move(reply)) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder_.path("fake.sock");
  RC_ASSERT(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  RC_ASSERT(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  RC_ASSERT(::listen(listener, 8) == 0);
  end_ = ::eventfd(0, EFD_CLOEXEC);
  RC_ASSERT(end_ >= 0);
  thread_ = std::thread([this, listener] { run(listener, end_); });
}

FakeRedis::~FakeRedis() {
  RC_ASSERT(::eventfd_write(end_, 1) == 0);
  thread_.join();
  ::close(end_);
}

std::string FakeRedis::answer(const Words& words) const {
  const std::string& command = words[0];
  if (command == "PING") return "+PONG\r\n";
  if (command == "CLIENT") return words[1] == "ID" ? ":7\r\n" : "+OK\r\n";
  if (command == "ROLE") return list({text("master"), ":0\r\n", list({})});
  if (command == "INFO") {
    return text("# Server\r\nrun_id:" + std::string(40, 'f') +
                "\r\n# Replication\r\nrole:master\r\n");
  }
  if (command == "SUBSCRIBE") {
    std::string all;
    for (std::size_t i = 1; i < words.size(); ++i) {
      all += list({text("subscribe"), text(words[i]), ":" + std::to_string(i) + "\r\n"});
    }
    return all;
  }
  const std::string reply = reply_(words);
  return reply.empty() ? "-ERR fake\r\n" : reply;
}

void FakeRedis::run(int listener, int end) const {
  std::vector<pollfd> polled{{end, POLLIN, 0}, {listener, POLLIN, 0}};
  std::vector<std::string> inputs(2);
  while (::poll(polled.data(), polled.size(), -1) > 0 && polled[0].revents == 0) {
    for (std::size_t i = 2; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      std::array<char, 4096> bytes;
      const ssize_t got = ::recv(polled[i].fd, bytes.data(), bytes.size(), 0);
      if (got <= 0) {
        ::close(std::exchange(polled[i].fd, -1));  // poll leaves it alone from now on
        continue;
      }
      inputs[i].append(bytes.data(), static_cast<std::size_t>(got));
      std::string replies;
      while (const auto words = take_command(inputs[i])) replies += answer(*words);
      (void)::send(polled[i].fd, replies.data(), replies.size(), MSG_NOSIGNAL);
    }
    if (polled[1].revents != 0) {
      polled.push_back({::accept(listener, nullptr, nullptr), POLLIN, 0});
      inputs.emplace_back();
    }
  }
  for (std::size_t i = 1; i < polled.size(); ++i) ::close(polled[i].fd);
}

}  // namespace ringcast::test
