#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ringcast/tls/context.h"

#include "stream_ring.h"

namespace floor_bench {

struct WorkerOptions {
  std::uint16_t port = 0;      ///< 0: any
  std::uint16_t tls_port = 0;  ///< only with `tls`
  std::shared_ptr<const ringcast::tls::Context> tls;
  std::uint32_t slots = 1;  ///< of each ring
};

/// One thread, its listeners, and the rings that it drives: round and round while any of them has
/// work, else asleep on the bell that all of them ring.
///
/// One ring takes connections until it is full, then the next one, which is made when there is
/// none. So streams are sent to in the order in which they came, and their memory, here and in the
/// kernel, lies in that order as well: a listener for each ring, among which SO_REUSEPORT scatters
/// the clients, makes each send dearer.
class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] std::uint16_t port() const { return options_.port; }
  [[nodiscard]] std::uint16_t tls_port() const { return options_.tls_port; }

  /// The thread's body. Returns some time after `stop`.
  void run(const std::vector<std::unique_ptr<Worker>>& all);
  /// Any thread.
  void stop();

  /// After `run` has returned.
  [[nodiscard]] std::uint64_t short_sends() const { return shared_.short_sends; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] std::uint64_t rings() const { return rings_made_; }

 private:
  [[nodiscard]] bool take_inbox();
  void make_room();
  void publish();
  void fan_out(const Published& event);
  void post(const Published& event);
  void wake() const;
  void sleep() const;

  WorkerOptions options_;
  Shared shared_;
  Listeners listeners_;
  std::vector<std::unique_ptr<StreamRing>> rings_;  ///< created and destroyed in `run`
  StreamRing* listening_ = nullptr;                 ///< one of them
  const std::vector<std::unique_ptr<Worker>>* all_ = nullptr;
  std::uint64_t events_ = 0;
  std::uint64_t connections_ = 0;  ///< at the end
  std::uint64_t rings_made_ = 0;   ///< likewise
  std::mutex mutex_;
  bool stopping_ = false;        ///< under the mutex
  std::deque<Published> inbox_;  ///< of other threads, under the mutex
};

}  // namespace floor_bench
