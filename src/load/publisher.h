#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <poll.h>

#include "ringcast/base/counter.h"

#include "load/histogram.h"
#include "load/plan.h"

namespace ringcast::load {

/// What is known of a response so far.
struct ResponseProgress {
  enum class State : std::uint8_t { incomplete, complete, malformed };
  State state = State::incomplete;
  std::uint16_t status = 0;
  bool closes = false;    ///< the connection ends after it
  std::size_t bytes = 0;  ///< of the whole response, when complete
  std::size_t body_at = 0;
};

/// Reads the response at the front of `bytes`; its body has a Content-Length, is chunked or is
/// absent (RFC 9112 section 6.3).
[[nodiscard]] ResponseProgress read_response(std::string_view bytes);

/// Publishes the plan's events over keep-alive connections without pipelining.
///
/// With a rate, event k of the whole run is due at start + k / rate, goes to lane k mod lanes, and
/// carries that due time: if the server or the lane is late, its latency counts from when it should
/// have left (open loop, no coordinated omission). Without a rate a lane sends when the last answer
/// has come.
///
/// With a storm in the plan, its later events wait until the storm is over; the rate goes on from
/// there.
///
/// `503` and `429` mean "not now" and are sent again; any other refusal fails the run. So does a
/// connection that ends before the answer: nobody knows then whether the event counts.
///
/// Threads: `run` is the thread's body; counters from any thread; the rest once it is done.
class Publisher {
 public:
  Publisher(const Plan& plan, RunState& state)
      : plan_(plan), state_(state), released_(!plan.storm_at) {}
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void run();

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.get(); }
  [[nodiscard]] bool done() const { return done_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t deferred() const { return deferred_.get(); }
  [[nodiscard]] std::uint64_t started_ns() const { return started_ns_.get(); }
  [[nodiscard]] std::uint64_t finished_ns() const { return finished_ns_.get(); }
  /// Of the time between them: that events waited for the end of a storm.
  [[nodiscard]] std::uint64_t paused_ns() const { return paused_ns_.get(); }
  /// From due (or sent, without a rate) to answered.
  [[nodiscard]] const Histogram& latency() const { return latency_; }
  /// Acknowledged events of each lane.
  [[nodiscard]] std::vector<std::uint64_t> published() const;

 private:
  struct Lane {
    int descriptor = -1;
    bool waiting = false;  ///< for an answer
    std::uint64_t events = 0;
    std::uint64_t next = 0;  ///< its sequence number
    std::uint64_t due_ns = 0;
    std::string request;
    std::size_t sent = 0;
    std::string response;
  };

  [[nodiscard]] bool connect_lane(Lane& lane);
  [[nodiscard]] std::uint64_t intended_ns(std::size_t lane) const;
  /// Whether the next event of the lane waits for the end of a storm.
  [[nodiscard]] bool is_held(std::size_t lane) const;
  void release(std::uint64_t now_ns);
  void send_due(std::size_t lane, std::uint64_t now_ns);
  void write_some(Lane& lane);
  void read_some(Lane& lane);
  void answered(Lane& lane, const ResponseProgress& response);
  void wait();

  const Plan& plan_;
  RunState& state_;
  std::vector<Lane> lanes_;
  std::vector<pollfd> polls_;
  Counter acknowledged_;
  Counter deferred_;
  std::atomic<bool> done_{false};  ///< acquired by whoever then reads the lanes
  Counter started_ns_;
  Counter finished_ns_;
  Counter paused_ns_;
  bool released_;  ///< nothing waits for a storm, or no longer
  std::uint64_t last_answer_ns_ = 0;
  Histogram latency_;
};

}  // namespace ringcast::load
