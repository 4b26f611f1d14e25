#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "ringcast/base/counter.h"

#include "load/histogram.h"
#include "load/plan.h"
#include "load/run_state.h"

namespace ringcast::load {

/// Publishes the events of one Traffic; how, is the derived class's matter.
///
/// Event k goes to lane k mod lanes. With a rate it is due at start + k / rate and carries that due
/// time: if anybody is late, latency counts from when the event should have left (open loop, no
/// coordinated omission). Events that streams are to miss are published as fast as they are
/// answered: nobody is there to be late for.
///
/// Events above RunState::allowed wait; when they may go, the pace begins anew with the first of
/// them.
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

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.get(); }
  [[nodiscard]] bool done() const { return done_.load(std::memory_order_acquire); }
  /// Events that were to be sent again later.
  [[nodiscard]] std::uint64_t deferred() const { return deferred_.get(); }
  [[nodiscard]] std::uint64_t started_ns() const { return started_ns_.get(); }
  [[nodiscard]] std::uint64_t finished_ns() const { return finished_ns_.get(); }
  /// Of the time between them: that events waited until they were allowed.
  [[nodiscard]] std::uint64_t paused_ns() const { return paused_ns_.get(); }
  /// From due (or sent, without a rate) to answered.
  [[nodiscard]] const Histogram& latency() const { return latency_; }
  /// Fewest and most who got an event, as Redis said; 0 where nobody says.
  [[nodiscard]] std::uint64_t receivers_min() const { return receivers_min_; }
  [[nodiscard]] std::uint64_t receivers_max() const { return receivers_max_; }
  [[nodiscard]] std::uint64_t cpu_ns() const { return cpu_ns_; }

 protected:
  /// In a stamp: an event that only brings stream 0 an ID. No lane has this number.
  static constexpr std::uint16_t kLeadLane = 0xffff;

  Publisher(const Plan& plan, const Traffic& traffic, RunState& state)
      : plan_(plan),
        traffic_(traffic),
        // Only the main traffic has events that streams miss or wait for.
        missed_(traffic.first_lane == 0 ? plan.missed() : Missed{}),
        state_(state) {}

  void start(std::uint64_t now_ns) {
    allowed_ = allowed();
    started_ns_.set(now_ns);
    paced_from_ns_ = last_answer_ns_ = now_ns;
  }
  /// True when more events may go than before.
  bool release_more(std::uint64_t now_ns) {
    const std::uint64_t now_allowed = allowed();
    if (now_allowed == allowed_) return false;
    paced_from_ = std::max(allowed_, missed_.holds(allowed_) ? missed_.end : 0);
    paced_from_ns_ = now_ns;
    allowed_ = now_allowed;
    if (now_ns > last_answer_ns_) paused_ns_.set(paused_ns_.get() + (now_ns - last_answer_ns_));
    return true;
  }
  [[nodiscard]] bool is_held(std::uint64_t k) const { return k >= allowed_; }
  /// Whether event `k` has a time at which it is due.
  [[nodiscard]] bool is_paced(std::uint64_t k) const {
    return traffic_.rate > 0 && !missed_.holds(k);
  }
  /// When; 0 if it has none.
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t k) const {
    if (!is_paced(k) || k < paced_from_) return 0;
    return paced_from_ns_ +
           static_cast<std::uint64_t>(static_cast<double>(k - paced_from_) / traffic_.rate * 1e9);
  }
  [[nodiscard]] bool going_on() const {
    return acknowledged_.get() < traffic_.events && !state_.stopping() && !state_.failed();
  }
  /// Ends `run`.
  void finish(std::uint64_t now_ns, std::uint64_t cpu_ns) {
    finished_ns_.set(now_ns);
    cpu_ns_ = cpu_ns;
    done_.store(true, std::memory_order_release);
  }

  const Plan& plan_;
  const Traffic traffic_;
  const Missed missed_;
  RunState& state_;
  Counter acknowledged_;
  Counter deferred_;
  std::uint64_t last_answer_ns_ = 0;
  Histogram latency_;
  std::uint64_t receivers_min_ = 0;
  std::uint64_t receivers_max_ = 0;

 private:
  [[nodiscard]] std::uint64_t allowed() const {
    return traffic_.first_lane == 0 ? std::min(state_.allowed(), traffic_.events) : traffic_.events;
  }

  Counter started_ns_;
  Counter finished_ns_;
  Counter paused_ns_;
  std::atomic<bool> done_{false};  ///< acquired by whoever then reads what is no counter
  std::uint64_t cpu_ns_ = 0;
  std::uint64_t allowed_ = 0;
  std::uint64_t paced_from_ = 0;  ///< this event was due at the next
  std::uint64_t paced_from_ns_ = 0;
};

}  // namespace ringcast::load
