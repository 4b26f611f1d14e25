#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "ringcast/base/counter.h"

#include "load/histogram.h"
#include "load/plan.h"

namespace ringcast::load {

/// Publishes the plan's events; how, is the derived class's matter.
///
/// Event k of the run goes to lane k mod lanes. With a rate it is due at start + k / rate and
/// carries that due time: if anybody is late, latency counts from when the event should have left
/// (open loop, no coordinated omission).
///
/// Threads: `run` is the thread's body; counters from any thread; the rest once it is done.
class Publisher {
 public:
  virtual ~Publisher() = default;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Returns when everything is answered, or the run ends. What cannot be overcome goes to
  /// RunState::fail.
  virtual void run() = 0;
  /// Acknowledged events of each lane.
  [[nodiscard]] virtual std::vector<std::uint64_t> published() const = 0;

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.get(); }
  [[nodiscard]] bool done() const { return done_.load(std::memory_order_acquire); }
  /// Events that were to be sent again later.
  [[nodiscard]] std::uint64_t deferred() const { return deferred_.get(); }
  [[nodiscard]] std::uint64_t started_ns() const { return started_ns_.get(); }
  [[nodiscard]] std::uint64_t finished_ns() const { return finished_ns_.get(); }
  /// Of the time between them: that events waited for the end of a storm.
  [[nodiscard]] std::uint64_t paused_ns() const { return paused_ns_.get(); }
  /// From due (or sent, without a rate) to answered.
  [[nodiscard]] const Histogram& latency() const { return latency_; }
  /// Fewest and most who got an event, as Redis said; 0 where nobody says.
  [[nodiscard]] std::uint64_t receivers_min() const { return receivers_min_; }
  [[nodiscard]] std::uint64_t receivers_max() const { return receivers_max_; }
  [[nodiscard]] std::uint64_t cpu_ns() const { return cpu_ns_; }

 protected:
  Publisher(const Plan& plan, RunState& state) : plan_(plan), state_(state) {}

  /// When event `k` of the run is due; 0 without a rate.
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t k) const {
    if (plan_.rate <= 0) return 0;
    return started_ns_.get() + paused_ns_.get() +
           static_cast<std::uint64_t>(static_cast<double>(k) / plan_.rate * 1e9);
  }
  [[nodiscard]] bool going_on() const {
    return acknowledged_.get() < plan_.publications && !state_.stopping() && !state_.failed();
  }

  const Plan& plan_;
  RunState& state_;
  Counter acknowledged_;
  Counter deferred_;
  Counter started_ns_;
  Counter finished_ns_;
  Counter paused_ns_;
  std::atomic<bool> done_{false};  ///< acquired by whoever then reads what follows
  Histogram latency_;
  std::uint64_t receivers_min_ = 0;
  std::uint64_t receivers_max_ = 0;
  std::uint64_t cpu_ns_ = 0;
};

}  // namespace ringcast::load
