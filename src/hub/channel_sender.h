#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/time.h"
#include "ringcast/hub/publication.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_store.h"

#include "log_limit.h"
#include "redis_connection.h"
#include "redis_words.h"
#include "standby_queue.h"

namespace ringcast::hub {

/// Appends what is in the standby queue by the script, in batches, several on their way at once.
///
/// A batch is under our lease, or strict (ChannelScripts). When one was not taken as a whole, those
/// behind it are waited for, which the script refuses as a hole, and all of it is sent again: in
/// the same order, so that no number is passed over. Only with nothing on its way may the relay say
/// that a hole is real: its own queue was too long once, or Redis lost what it had.
///
/// Threads: the hub's. Blocking: nothing.
class ChannelSender : public ReplyHandler {
 public:
  ChannelSender(const RedisStoreOptions& options, const RedisAddress& address,
                RedisConnection& commands, StandbyQueue& queue, RedisCounters& counters);

  /// The script is known to Redis under this name; empty: not known (any more), send nothing.
  void use_script(std::string sha) { sha_ = std::move(sha); }
  /// The connection was lost; every batch was told before.
  void on_lost();
  /// Sends what is due. `lease` is the one that we hold, or empty.
  void pump(std::string_view lease, Time now);
  /// Monotonic nanoseconds of the next `pump` that may do something, if only time passes.
  [[nodiscard]] std::optional<std::uint64_t> next_pump_ns(bool relay) const;

  [[nodiscard]] bool idle() const { return in_flight_.empty(); }
  /// What is first in the queue was refused, and is tried again later.
  [[nodiscard]] bool blocked() const { return failures_ > 0; }
  /// A batch under this lease was fenced since the last call.
  [[nodiscard]] std::optional<std::string> take_fenced();
  /// The script was not known since the last call.
  [[nodiscard]] bool take_script_lost();

  void on_reply(std::uint64_t tag, const redisReply* reply) override;

 private:
  static constexpr std::size_t kInFlightMax = 3;
  /// A hole that others may still fill: the relay waits for that, others give up later.
  static constexpr std::uint64_t kHoleRelayNs = 2 * kNsPerSecond;
  static constexpr std::uint64_t kHoleMaxNs = 10 * kNsPerSecond;

  struct Batch {
    StandbyQueue::Slice slice;
    std::string lease;  ///< empty: strict
  };

  [[nodiscard]] std::size_t at_once() const {
    return pass_hole_ || failures_ > 0 ? 1 : kInFlightMax;
  }
  void send(const StandbyQueue::Slice& slice, std::string_view lease);
  void add_message(StandbyQueue::Message& message);
  void no_event(StandbyQueue::Message& message, std::string_view reason);
  void on_outcome(const Batch& batch, const redisReply& reply);
  void on_error(std::string_view error);
  void on_hole(const Batch& batch);
  /// What a hole that stays means, before the next try.
  void judge_hole(bool relay);
  void back_off();

  const RedisStoreOptions& options_;
  RedisAddress address_;
  RedisKeys keys_;
  RedisConnection& commands_;
  StandbyQueue& queue_;
  RedisCounters& counters_;
  PublicationParser parser_;
  std::string max_events_;
  std::string sha_;

  std::deque<Batch> in_flight_;
  bool rewind_ = false;         ///< what is in flight is waited for, then all is sent again
  bool pass_hole_ = false;      ///< the next batch, alone, may leave numbers out
  std::uint32_t failures_ = 0;  ///< in a row
  std::uint64_t retry_ns_ = 0;
  struct Hole {
    ChannelNumber before;
    std::uint64_t since_ns;
  };
  std::optional<Hole> hole_;
  std::optional<std::string> fenced_;
  bool script_lost_ = false;
  Time now_{};

  // Of the batch that is being put together; kept for their memory.
  struct Piece {
    std::size_t begin, bytes;
  };
  std::string text_;
  std::vector<Piece> pieces_;
  std::vector<std::string_view> arguments_;
  std::vector<std::string_view> fields_;

  LogLimit invalid_log_;
  LogLimit error_log_;
  LogLimit hole_log_;
};

/// `17 messages`, `1 message`.
[[nodiscard]] std::string count_messages(std::uint64_t count);

}  // namespace ringcast::hub
