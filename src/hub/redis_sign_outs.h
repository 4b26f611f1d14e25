#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "ringcast/base/time.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/hub/redis_options.h"

#include "redis_connection.h"

namespace ringcast::hub {

/// Puts a sign-out among those that an instance reads when it starts, and forgets those that
/// expired a day ago and more: clocks of instances differ. The replies have `tag`.
void send_to_set(RedisConnection& commands, const RedisKeys& keys, std::string_view topic,
                 const SignOut& what, Time now, ReplyHandler& handler, std::uint64_t tag);

/// Sign-outs that Redis did not take while somebody waited for it: tried again each second until it
/// takes them or their token has expired, since others are to know of them as soon as they can. One
/// may get there twice, without harm.
///
/// Threads: the hub's. Blocking: nothing. Bounds: kMax of them, about 200 bytes each; beyond, the
/// oldest is forgotten.
class RedisSignOuts final : public ReplyHandler {
 public:
  /// `now` is kept up to date by the owner.
  RedisSignOuts(const RedisKeys& keys, std::string max_events, RedisConnection& commands,
                const Time& now)
      : keys_(keys), max_events_(std::move(max_events)), commands_(commands), now_(now) {}

  void add(std::string_view topic, const SignOut& what);
  void on_lost();
  /// Returns monotonic nanoseconds of the next call, or 0.
  [[nodiscard]] std::uint64_t turn();
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

  void on_reply(std::uint64_t tag, const redisReply* reply) override;

  static constexpr std::size_t kMax = 4'096;

 private:
  struct Waiting {
    std::uint64_t number;  ///< the tag of its command
    std::string topic;
    SignOut what;
    bool sent = false;
  };

  const RedisKeys keys_;
  const std::string max_events_;
  RedisConnection& commands_;
  const Time& now_;
  std::deque<Waiting> waiting_;
  std::uint64_t next_number_ = 1;
  std::uint64_t next_try_ns_ = 0;
};

}  // namespace ringcast::hub
