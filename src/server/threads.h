#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/hub/counters.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/shard/counters.h"
#include "ringcast/shard/options.h"
#include "ringcast/shard/services.h"
#include "ringcast/uring/ring.h"

namespace ringcast::server {

/// Something that happens once and that another thread waits for.
class Moment {
 public:
  void happen();
  void wait();

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool happened_ = false;
};

/// The newest value that another thread has left for us.
template <class T>
class Handover {
 public:
  /// Any thread.
  void leave(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    left_.store(true, std::memory_order_release);  // pairs with the acquire in take
  }
  /// The receiver's thread; costs a load when there is nothing.
  [[nodiscard]] std::optional<T> take() {
    if (!left_.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    left_.store(false, std::memory_order_relaxed);
    return std::move(value_);
  }

 private:
  std::atomic<bool> left_{false};
  std::mutex mutex_;
  T value_{};
};

/// A thread with its own ring and shard. The ring lives until `release`, since the hub may wake it
/// for as long as the hub runs.
class ShardThread {
 public:
  struct Options {
    shard::ShardOptions shard;
    uring::RingOptions ring;
    std::vector<shard::Listener> listeners;  ///< taken over
    int cpu = -1;                            ///< to pin to; -1 = none
    bool shares_cpu = false;                 ///< there are more shards than CPUs
  };

  ShardThread(Options options, const shard::Services& services, hub::Exchange& exchange);
  ~ShardThread();  ///< joins; `release` must have been called

  /// Starts the thread. All shards exist by then: others may wake each as soon as one runs.
  void start();
  /// Blocks until the shard can take connections, or failed to be made.
  [[nodiscard]] Result<void> wait_started();
  /// See shard::Shard::begin_accepting.
  void begin_accepting();
  void begin_drain();
  /// The shard takes the policy before its next turn.
  void set_policy(std::shared_ptr<const shard::Policy> policy);
  /// Any thread, until `release`.
  void wake();
  void wait_finished() { finished_.wait(); }
  void release() { released_.happen(); }
  [[nodiscard]] const shard::Counters& counters() const { return counters_; }

 private:
  void run();

  Options options_;
  shard::Services services_;
  hub::Exchange& exchange_;
  shard::Counters counters_;
  Handover<std::shared_ptr<const shard::Policy>> policy_;
  std::atomic<bool> accept_{false};
  std::atomic<bool> drain_{false};
  std::atomic<uring::Ring*> ring_{nullptr};
  Result<void> outcome_;
  Moment started_;
  Moment finished_;
  Moment released_;
  std::thread thread_;
};

/// The hub's thread.
class HubThread {
 public:
  HubThread(hub::Exchange& exchange, hub::EventStore& store);
  ~HubThread();  ///< joins; `stop` must have been called

  [[nodiscard]] Result<void> wait_started();
  /// Blocks until the store has stopped, a second or two at most. The ring lives until the object
  /// is destroyed.
  void stop();
  [[nodiscard]] const hub::Counters& counters() const { return counters_; }

 private:
  void run();

  hub::Exchange& exchange_;
  hub::EventStore& store_;
  hub::Counters counters_;
  std::atomic<bool> stop_{false};
  std::atomic<uring::Ring*> ring_{nullptr};
  Result<void> outcome_;
  Moment started_;
  Moment released_;  // by `stop`, which wakes the ring before
  std::thread thread_;
};

}  // namespace ringcast::server
