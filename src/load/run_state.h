#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace ringcast::load {

/// How the threads of a run go through its phases and end together. Any thread.
class RunState {
 public:
  void stop() { stopping_.store(true, std::memory_order_release); }
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }

  /// From now on the stalled streams are read.
  void resume() { resuming_.store(true, std::memory_order_release); }
  [[nodiscard]] bool resuming() const { return resuming_.load(std::memory_order_acquire); }

  /// Of the run's events only the first `events` may be published. More may be later, never fewer.
  void allow(std::uint64_t events) { allowed_.store(events, std::memory_order_release); }
  [[nodiscard]] std::uint64_t allowed() const { return allowed_.load(std::memory_order_acquire); }

  /// From now on every stream is to be closed, once.
  void begin_storm() { storming_.store(true, std::memory_order_release); }
  [[nodiscard]] bool storming() const { return storming_.load(std::memory_order_acquire); }
  /// Streams that were closed, or that waited for events that they miss, may open.
  void open_again() { opening_again_.store(true, std::memory_order_release); }
  [[nodiscard]] bool opening_again() const {
    return opening_again_.load(std::memory_order_acquire);
  }

  /// The ID that stream 0 had before the events that the others miss. Told once.
  void tell_position(std::string_view id) {
    {
      const std::lock_guard lock{mutex_};
      position_ = id;
    }
    has_position_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool has_position() const { return has_position_.load(std::memory_order_acquire); }
  [[nodiscard]] std::string position() const {
    const std::lock_guard lock{mutex_};
    return position_;
  }
  /// Nothing told one: an event that does not count is to be published to bring it.
  void want_lead() { lead_wanted_.store(true, std::memory_order_release); }
  [[nodiscard]] bool lead_wanted() const { return lead_wanted_.load(std::memory_order_acquire); }

  /// Ends the run because it cannot go on. The first reason is kept.
  void fail(std::string reason) {
    {
      const std::lock_guard lock{mutex_};
      if (reason_.empty()) reason_ = std::move(reason);
    }
    failed_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_acquire); }
  [[nodiscard]] std::string reason() const {
    const std::lock_guard lock{mutex_};
    return reason_;
  }

 private:
  std::atomic<bool> stopping_{false};
  std::atomic<bool> resuming_{false};
  std::atomic<std::uint64_t> allowed_{~std::uint64_t{0}};
  std::atomic<bool> storming_{false};
  std::atomic<bool> opening_again_{false};
  std::atomic<bool> has_position_{false};
  std::atomic<bool> lead_wanted_{false};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string reason_;
  std::string position_;
};

}  // namespace ringcast::load
