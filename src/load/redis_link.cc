#include "load/redis_link.h"

#include <array>
#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

constexpr std::size_t kReadBytes = 65'536;

}  // namespace

Result<std::unique_ptr<RedisLink>> RedisLink::connect(const Url& address) {
  const int descriptor = socket(address.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error("socket", errno);
  if (::connect(descriptor, address.socket_address(), address.address_bytes) != 0) {
    const int code = errno;
    close(descriptor);
    return system_error("Redis at " + address.host, code);
  }
  const int yes = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  redisReader* reader = redisReaderCreate();
  if (reader == nullptr) {
    close(descriptor);
    return Error{"hiredis: no memory"};
  }
  return std::unique_ptr<RedisLink>{new RedisLink{descriptor, reader}};
}

RedisLink::~RedisLink() {
  close(descriptor_);
  redisReaderFree(reader_);
}

void RedisLink::put(std::initializer_list<std::string_view> words) {
  if (!unsent()) {
    commands_.clear();
    sent_ = 0;
  }
  commands_ += '*';
  commands_ += std::to_string(words.size());
  commands_ += "\r\n";
  for (const std::string_view word : words) {
    commands_ += '$';
    commands_ += std::to_string(word.size());
    commands_ += "\r\n";
    commands_ += word;
    commands_ += "\r\n";
  }
}

Result<void> RedisLink::write_some() {
  if (!unsent()) return {};
  const ssize_t sent = send(descriptor_, commands_.data() + sent_, commands_.size() - sent_,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) {
    sent_ += static_cast<std::size_t>(sent);
  } else if (errno != EAGAIN && errno != EINTR) {
    return system_error("writing to Redis", errno);
  }
  return {};
}

Result<void> RedisLink::read_some() {
  std::array<char, kReadBytes> buffer;
  const ssize_t received = recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (received == 0) return Error{"Redis has closed the connection"};
  if (received < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return system_error("reading from Redis", errno);
  }
  if (redisReaderFeed(reader_, buffer.data(), static_cast<std::size_t>(received)) != REDIS_OK) {
    return Error{std::string{"reading from Redis: "} + reader_->errstr};
  }
  return {};
}

Result<Reply> RedisLink::next_reply() {
  void* reply = nullptr;
  if (redisReaderGetReply(reader_, &reply) != REDIS_OK) {
    return Error{std::string{"reading from Redis: "} + reader_->errstr};
  }
  return Reply{static_cast<redisReply*>(reply)};
}

}  // namespace ringcast::load
