#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include "ringcast/base/result.h"

#include "load/url.h"

namespace ringcast::load {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// One connection to Redis: the socket is ours, so that many commands leave in one call and nobody
/// waits for replies; hiredis reads these.
///
/// Threads: one. Only `connect` blocks.
class RedisLink {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RedisLink>> connect(const Url& address);
  ~RedisLink();
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }

  /// Appends a command to what is to be sent; its words may hold any bytes.
  void put(std::initializer_list<std::string_view> words);
  [[nodiscard]] bool unsent() const { return sent_ < commands_.size(); }
  /// Sends what the socket takes.
  [[nodiscard]] Result<void> write_some();

  /// Reads what is there, once. An error when Redis has ended the connection.
  [[nodiscard]] Result<void> read_some();
  /// The next whole reply of what was read, or null. An error reply of Redis is a reply; bytes that
  /// are no reply are an error.
  [[nodiscard]] Result<Reply> next_reply();

 private:
  RedisLink(int descriptor, redisReader* reader) : descriptor_(descriptor), reader_(reader) {}

  int descriptor_;
  redisReader* reader_;
  std::string commands_;
  std::size_t sent_ = 0;  ///< of commands_
};

}  // namespace ringcast::load
