#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "random.h"

namespace ringcast::sim {

class Network;
class RingCore;

/// Simulated time, and what will happen on it. What is due at the same moment happens in the order
/// of its scheduling, so that a seed always gives the same run.
class Timeline {
 public:
  [[nodiscard]] std::uint64_t now() const { return now_ns_; }
  void at(std::uint64_t when_ns, std::function<void()> what);
  void after(std::uint64_t delay_ns, std::function<void()> what) {
    at(now_ns_ + delay_ns, std::move(what));
  }
  /// When the next thing is due; ~0 = never.
  [[nodiscard]] std::uint64_t next_due() const;
  void run_next();
  /// Moves the clock on, not beyond `next_due`.
  void advance_to(std::uint64_t when_ns);

 private:
  struct Due {
    std::uint64_t when_ns;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Due& other) const {
      return when_ns != other.when_ns ? when_ns > other.when_ns : order > other.order;
    }
  };

  std::uint64_t now_ns_ = 0;
  std::uint64_t scheduled_ = 0;
  std::priority_queue<Due> due_;
};

/// How far the kernel and the network go in this run.
struct Nastiness {
  double short_send = 0;    ///< a send takes less than there is room for
  double refused_send = 0;  ///< a send is refused although there is room
  double failed_send = 0;   ///< -ENOMEM out of nowhere
  double no_buffers = 0;    ///< a receive says -ENOBUFS although there are some
  double receive_ends = 0;  ///< a multishot receive loses its arm with data
  double accept_fails = 0;  ///< -ECONNABORTED, -EMFILE, -ENFILE
  double spurious_writable = 0;
  double late = 0;  ///< a completion takes up to `late_ns`
  std::uint64_t late_ns = 0;
  double party_stalls = 0;  ///< a thread is descheduled for up to `party_stall_ns`
  std::uint64_t party_stall_ns = 0;
};

/// What a shard's log keeps: ordinals of events, counted from 0 in the order of their IDs.
struct Kept {
  std::uint64_t evicted = 0;   ///< the oldest kept one
  std::uint64_t appended = 0;  ///< one past the newest
  /// A log that waits for streams which have just joined closes its oldest eighth to newcomers, so
  /// that a flow of them does not hold it back for ever: events below this may be refused although
  /// kept.
  std::uint64_t closed_to_newcomers = 0;
  std::uint64_t stored = 0;   ///< events that there are
  std::uint64_t trimmed = 0;  ///< events below this the store has no longer
};

/// What becomes of the trace.
enum class Tracing {
  off,
  printed,
  digested,  ///< so that two runs can be compared
};

/// What all parts of one run share. One run at a time in a process: Ring::create finds it here.
class World {
 public:
  World(std::uint64_t seed, Tracing tracing);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  [[nodiscard]] static World& current();

  /// The first failure ends the run.
  void fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
  [[nodiscard]] bool failed() const { return !failure_.empty(); }
  [[nodiscard]] const std::string& failure() const { return failure_; }

  void trace(const char* format, ...) __attribute__((format(printf, 2, 3)));
  [[nodiscard]] std::uint64_t trace_digest() const { return trace_digest_; }

  /// How long something takes: nothing, a few microseconds, or long.
  [[nodiscard]] std::uint64_t latency_ns();

  Random random;
  Timeline timeline;
  Nastiness nasty;
  Network* network = nullptr;    ///< of this run; Ring::create has no parameter for it
  std::vector<RingCore*> rings;  ///< in the order of their creation

 private:
  std::string failure_;
  Tracing tracing_;
  std::uint64_t trace_digest_ = 0;
};

}  // namespace ringcast::sim
