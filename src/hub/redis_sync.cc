#include "redis_sync.h"

#include <cerrno>
#include <vector>

#include <sys/time.h>

namespace ringcast::hub {
namespace {

timeval to_timeval(RedisSync::Timeout timeout) {
  const auto ms = timeout.count();
  return {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

}  // namespace

RedisSync::RedisSync(const RedisAddress& address, Timeout connect, Timeout reply) {
  const timeval connect_time = to_timeval(connect);
  context_.reset(address.socket.empty()
                     ? redisConnectWithTimeout(address.host.c_str(), address.port, connect_time)
                     : redisConnectUnixWithTimeout(address.socket.c_str(), connect_time));
  if (!context_) {
    failure_ = "out of memory";
  } else if (context_->err != 0 || redisSetTimeout(context_.get(), to_timeval(reply)) != REDIS_OK) {
    note_failure();
  }
}

SyncReply RedisSync::operator()(std::span<const std::string_view> arguments) {
  if (!failure_.empty()) return {};
  std::vector<const char*> texts;
  std::vector<std::size_t> lengths;
  for (const std::string_view argument : arguments) {
    texts.push_back(argument.data());
    lengths.push_back(argument.size());
  }
  SyncReply reply(static_cast<redisReply*>(redisCommandArgv(
      context_.get(), static_cast<int>(texts.size()), texts.data(), lengths.data())));
  if (!reply) note_failure();
  return reply;
}

void RedisSync::note_failure() {
  const int error = errno;
  if (context_->err == REDIS_ERR_IO && error == EAGAIN) {
    failure_ = "no answer in time";
  } else if (context_->err == REDIS_ERR_EOF) {
    failure_ = "it closed the connection";
  } else {
    failure_ = context_->errstr;
    hopeless_ = context_->err == REDIS_ERR_IO && (error == EACCES || error == EPERM);
  }
  if (failure_.empty()) failure_ = "unknown";
}

}  // namespace ringcast::hub
