#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ringcast/base/counter.h"

#include "load/latency.h"
#include "load/plan.h"
#include "load/redis_link.h"
#include "load/run_state.h"
#include "load/sequence_table.h"

namespace ringcast::load {

/// Written by the listener's thread, read by any.
struct ListenerCounters {
  Counter ready;     ///< subscribers that Redis has confirmed
  Counter messages;  ///< of this run, each counted once for each subscriber
  Counter duplicates;
  Counter late;
  Counter others;  ///< messages of somebody else
  Counter last_arrival_ns;
};

/// Bare SUBSCRIBE clients of a channel of Redis: what a message takes, and what Redis can do, with
/// nothing between. Each message is checked and timed just as Reader does with an event.
///
/// Threads: `run` is the thread's body; counters from any; the rest after it has returned.
class Listener {
 public:
  Listener(const Plan& plan, RunState& state)
      : plan_(plan), state_(state), sequences_(plan.subscribers, plan.lanes()) {}

  /// Returns when the run stops. What cannot be overcome goes to RunState::fail.
  void run();

  [[nodiscard]] const ListenerCounters& counters() const { return counters_; }
  [[nodiscard]] const Latency& latency() const { return latency_; }
  [[nodiscard]] std::uint64_t cpu_ns() const { return cpu_ns_; }
  /// Messages that did not arrive; `published` has the count for each lane.
  [[nodiscard]] std::uint64_t missing(std::span<const std::uint64_t> published) const;

 private:
  [[nodiscard]] Result<void> subscribe();
  [[nodiscard]] Result<void> read(std::uint32_t subscriber);
  [[nodiscard]] Result<void> take(std::uint32_t subscriber, const redisReply& reply);
  void take_message(std::uint32_t subscriber, std::string_view body);

  const Plan& plan_;
  RunState& state_;
  ListenerCounters counters_;
  Latency latency_;
  SequenceTable sequences_;
  std::vector<std::unique_ptr<RedisLink>> links_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t cpu_ns_ = 0;
};

}  // namespace ringcast::load
