#pragma once

#include <atomic>
#include <cstdint>

namespace ringcast {

/// A number that one thread changes and any thread reads. Not a read-modify-write: there is one
/// writer.
class Counter {
 public:
  void add(std::uint64_t n = 1) { set(value_.load(std::memory_order_relaxed) + n); }
  void sub(std::uint64_t n = 1) { set(value_.load(std::memory_order_relaxed) - n); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  void raise_to(std::uint64_t n) {
    if (n > get()) set(n);
  }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace ringcast
