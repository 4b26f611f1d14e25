#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "../temporary_folder.h"

struct redisContext;

namespace ringcast::test {

/// Calls `done` every millisecond until it is true, or `limit` has passed: what it said last.
[[nodiscard]] bool eventually(const std::function<bool()>& done,
                              std::chrono::milliseconds limit = std::chrono::seconds(10));

/// A reply of Redis, copied.
struct RedisValue {
  enum class Kind : std::uint8_t { none, text, number, list, nil, error } kind = Kind::none;
  std::string text;  ///< of a string, a status, an error
  std::int64_t number = 0;
  std::vector<RedisValue> list;

  [[nodiscard]] bool is_error() const { return kind == Kind::error; }
  [[nodiscard]] bool is_nil() const { return kind == Kind::nil; }
  /// Of a list; a value that is none when there is no such element.
  [[nodiscard]] const RedisValue& operator[](std::size_t i) const;
};

/// A redis-server of our own: a child on a UNIX socket and on a port of 127.0.0.1 that was free, in
/// a temporary folder. It ends with the object, and with the test's process however that ends.
/// SIGPIPE is ignored from the first one on, as in the server.
///
/// It keeps nothing on disk, unless its arguments say otherwise ("--appendonly", "yes").
class RedisServer {
 public:
  /// Returns when it answers. `arguments` as on the command line of redis-server.
  explicit RedisServer(std::vector<std::string> arguments = {});
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string socket() const { return folder_.path("redis.sock"); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// `redis://127.0.0.1:port`
  [[nodiscard]] std::string url() const;
  /// `unix:///path`
  [[nodiscard]] std::string socket_url() const { return "unix://" + socket(); }
  /// What it has logged.
  [[nodiscard]] std::string log() const;

  /// SIGKILL; returns when it is gone. Nothing happens when it is not running.
  void kill();
  /// SIGTERM, which saves and closes in order; returns when it is gone.
  void stop();
  /// Again after `kill` or `stop`: same port, same folder, same arguments. Returns when it answers.
  void start();
  /// The same with other arguments from now on.
  void start(std::vector<std::string> arguments);
  /// SIGSTOP: connections stay, nothing is answered. Until `thaw`.
  void freeze();
  void thaw();

 private:
  /// False when the child ended instead of answering.
  [[nodiscard]] bool try_start();
  void reap();

  TemporaryFolder folder_;
  std::vector<std::string> arguments_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

/// A plain client that waits for each reply (10 s at most).
class RedisClient {
 public:
  explicit RedisClient(const RedisServer& server);
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;
  ~RedisClient();

  /// One command. The reply is of no kind when the connection is lost meanwhile, or there is no
  /// server. A connection that has ended before is made anew.
  RedisValue operator()(const std::vector<std::string>& words);
  RedisValue operator()(std::initializer_list<std::string> words) {
    return (*this)(std::vector<std::string>(words));
  }
  /// All of them in one go; the replies in their order.
  std::vector<RedisValue> pipeline(const std::vector<std::vector<std::string>>& commands);

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };
  [[nodiscard]] bool connect();
  [[nodiscard]] std::optional<RedisValue> next_reply();

  std::string socket_;
  std::unique_ptr<redisContext, Free> context_;
};

}  // namespace ringcast::test
