#include "redis_server.h"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ringcast/base/assert.h"

namespace ringcast::test {
namespace {

using std::chrono::milliseconds;

constexpr int kExecFailed = 127;

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  RC_ASSERT(::bind(fd, generic, length) == 0 && ::getsockname(fd, generic, &length) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

RedisValue copy_of(const redisReply& reply) {
  RedisValue value;
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      value.kind = RedisValue::Kind::text;
      value.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_ERROR:
      value.kind = RedisValue::Kind::error;
      value.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_INTEGER:
      value.kind = RedisValue::Kind::number;
      value.number = reply.integer;
      break;
    case REDIS_REPLY_ARRAY:
      value.kind = RedisValue::Kind::list;
      for (std::size_t i = 0; i < reply.elements; ++i) {
        value.list.push_back(copy_of(*reply.element[i]));
      }
      break;
    default:
      value.kind = RedisValue::Kind::nil;
      break;
  }
  return value;
}

}  // namespace

bool eventually(const std::function<bool()>& done, milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

const RedisValue& RedisValue::operator[](std::size_t i) const {
  static const RedisValue kNone;
  return i < list.size() ? list[i] : kNone;
}

// ── Server ──────────────────────────────────────────────────────────────────────────────────────

RedisServer::RedisServer(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  // hiredis writes without MSG_NOSIGNAL.
  (void)std::signal(SIGPIPE, SIG_IGN);
  // Another process may take the port before the server does.
  for (int tries = 0; tries < 5; ++tries) {
    port_ = free_port();
    if (try_start()) return;
  }
  constexpr bool kRedisServerStarts = false;  // it is not installed, or its arguments are wrong
  RC_ASSERT(kRedisServerStarts);
}

RedisServer::~RedisServer() {
  kill();
}

std::string RedisServer::url() const {
  return "redis://127.0.0.1:" + std::to_string(port_);
}

std::string RedisServer::log() const {
  std::ifstream file(folder_.path("redis.log"));
  return {std::istreambuf_iterator<char>(file), {}};
}

bool RedisServer::try_start() {
  RC_ASSERT(pid_ < 0);
  std::vector<std::string> words{"redis-server",
                                 "--port",
                                 std::to_string(port_),
                                 "--bind",
                                 "127.0.0.1",
                                 "--unixsocket",
                                 socket(),
                                 "--dir",
                                 folder_.path(),
                                 "--logfile",
                                 folder_.path("redis.log"),
                                 "--save",
                                 "",
                                 "--daemonize",
                                 "no"};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  RC_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    // Only calls that are allowed between fork and exec of a process with threads.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) ::execvp(pointers[0], pointers.data());
    ::_exit(kExecFailed);
  }
  return eventually([this] {
           if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
           if (pid_ < 0) return true;
           const RedisValue pong = RedisClient(*this)({"PING"});
           // NOAUTH is an answer too.
           return pong.kind != RedisValue::Kind::none && !pong.text.starts_with("LOADING");
         }) &&
         pid_ > 0;
}

void RedisServer::start() {
  RC_ASSERT(try_start());
}

void RedisServer::start(std::vector<std::string> arguments) {
  arguments_ = std::move(arguments);
  start();
}

void RedisServer::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

void RedisServer::stop() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGCONT);
  ::kill(pid_, SIGTERM);
  reap();
}

void RedisServer::reap() {
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  // Nobody is to connect to what a killed server left.
  ::unlink(socket().c_str());
}

void RedisServer::freeze() {
  ::kill(pid_, SIGSTOP);
  // The signal takes effect a moment later.
  int status = 0;
  RC_ASSERT(::waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status));
}

void RedisServer::thaw() {
  ::kill(pid_, SIGCONT);
}

// ── Client ──────────────────────────────────────────────────────────────────────────────────────

void RedisClient::Free::operator()(redisContext* context) const {
  redisFree(context);
}

RedisClient::RedisClient(const RedisServer& server) : socket_(server.socket()) {}
RedisClient::~RedisClient() = default;

bool RedisClient::connect() {
  if (context_ != nullptr && context_->err == 0) {
    char byte = 0;
    const bool ended = ::recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
    if (!ended && errno == EAGAIN) return true;
  }
  constexpr timeval kLimit{.tv_sec = 10, .tv_usec = 0};
  context_.reset(redisConnectUnixWithTimeout(socket_.c_str(), kLimit));
  if (context_ == nullptr || context_->err != 0) return false;
  return redisSetTimeout(context_.get(), kLimit) == REDIS_OK;
}

std::optional<RedisValue> RedisClient::next_reply() {
  void* raw = nullptr;
  if (redisGetReply(context_.get(), &raw) != REDIS_OK) return std::nullopt;
  RedisValue value = copy_of(*static_cast<redisReply*>(raw));
  freeReplyObject(raw);
  return value;
}

RedisValue RedisClient::operator()(const std::vector<std::string>& words) {
  return pipeline({words}).front();
}

std::vector<RedisValue> RedisClient::pipeline(
    const std::vector<std::vector<std::string>>& commands) {
  std::vector<RedisValue> replies(commands.size());
  if (!connect()) return replies;
  for (const auto& words : commands) {
    std::vector<const char*> pointers;
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) {
      pointers.push_back(word.data());
      lengths.push_back(word.size());
    }
    redisAppendCommandArgv(context_.get(), static_cast<int>(pointers.size()), pointers.data(),
                           lengths.data());
  }
  for (RedisValue& reply : replies) {
    std::optional<RedisValue> value = next_reply();
    if (!value) break;
    reply = std::move(*value);
  }
  return replies;
}

}  // namespace ringcast::test
