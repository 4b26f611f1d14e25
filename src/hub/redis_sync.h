#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include "ringcast/hub/redis_options.h"

namespace ringcast::hub {

/// A reply of Redis, or null for none.
class SyncReply {
 public:
  SyncReply() = default;
  explicit SyncReply(redisReply* reply) : reply_(reply) {}

  explicit operator bool() const { return reply_ != nullptr; }
  /// What is looked at with redis_reply.h.
  [[nodiscard]] const redisReply& operator*() const { return *reply_; }
  /// Of an error its text, else nothing.
  [[nodiscard]] std::string_view error() const {
    if (!reply_ || reply_->type != REDIS_REPLY_ERROR) return {};
    return {reply_->str, reply_->len};
  }
  /// Of an array; of anything else none.
  [[nodiscard]] std::span<redisReply* const> elements() const {
    if (!reply_ || reply_->type != REDIS_REPLY_ARRAY) return {};
    return {reply_->element, reply_->elements};
  }

 private:
  struct Free {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  std::unique_ptr<redisReply, Free> reply_;
};

/// A connection that waits for each reply; for the start alone. One thread.
class RedisSync {
 public:
  using Timeout = std::chrono::milliseconds;

  /// Connects; whether it did, `failure` says. Looks the host up, which the time does not bound.
  RedisSync(const RedisAddress& address, Timeout connect, Timeout reply);

  /// Null when the connection failed or there was no reply in time; then it stays so.
  [[nodiscard]] SyncReply operator()(std::span<const std::string_view> arguments);
  [[nodiscard]] SyncReply operator()(std::initializer_list<std::string_view> arguments) {
    return (*this)(std::span(arguments.begin(), arguments.size()));
  }

  /// What went wrong, or an empty text.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// That trying again will not help: no right to open the socket.
  [[nodiscard]] bool hopeless() const { return hopeless_; }

 private:
  void note_failure();

  struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
  };
  std::unique_ptr<redisContext, Free> context_;
  std::string failure_;
  bool hopeless_ = false;
};

}  // namespace ringcast::hub
