#pragma once

#include <atomic>

namespace ringcast {

/// Lets a thread that is about to sleep be woken only when it really sleeps.
///
///   sleeper                                   waker
///     about_to_sleep()                          publish the work (release store)
///     look at every queue once more             if (must_wake()) wake the sleeper's ring
///     empty: sleep, then woke_up()
///
/// Invariant: either the sleeper's second look sees the work, or `must_wake` sees the flag. The two
/// sequentially consistent fences are what forbids the case in which both miss.
class Doorbell {
 public:
  void about_to_sleep() {
    // Release: who finds the sleeper must also find what it set up before, such as its ring.
    sleeping_.store(true, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in must_wake
  }
  void woke_up() { sleeping_.store(false, std::memory_order_relaxed); }

  /// True for exactly one of the wakers of a sleep.
  [[nodiscard]] bool must_wake() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in about_to_sleep
    return sleeping_.load(std::memory_order_relaxed) &&
           sleeping_.exchange(false, std::memory_order_acq_rel);
  }

 private:
  alignas(64) std::atomic<bool> sleeping_{false};
};

}  // namespace ringcast
