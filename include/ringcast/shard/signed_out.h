#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_set>

namespace ringcast::shard {

/// Tokens whose users signed out before they expired: such a token is not taken any more, by any
/// shard, from the moment in which it is put here.
///
/// One set for all shards, asked once for each request with a good token: a load while nobody has
/// signed out, else a lock of a sixteenth of the set. Bounded: beyond `most` the one that signed
/// out first is forgotten, and its token is good again until it expires. Forgotten with the
/// process, too. Memory: about 100 bytes for each token. Any thread.
class SignedOut {
 public:
  explicit SignedOut(std::size_t most) : most_of_stripe_(most / kStripes + 1) {}

  /// `session` is auth::Claims::session; unix milliseconds.
  void add(std::uint64_t session, std::uint64_t expires_ms, std::uint64_t now_ms) {
    Stripe& stripe = stripes_[session % kStripes];
    const std::lock_guard lock(stripe.mutex);
    while (!stripe.order.empty() &&
           (stripe.order.size() == most_of_stripe_ || stripe.order.front().expires_ms <= now_ms)) {
      stripe.sessions.erase(stripe.order.front().session);
      stripe.order.pop_front();
    }
    if (!stripe.sessions.insert(session).second) return;
    stripe.order.push_back({session, expires_ms});
    any_.store(true, std::memory_order_release);  // pairs with the acquire in contains
  }

  [[nodiscard]] bool contains(std::uint64_t session) const {
    if (!any_.load(std::memory_order_acquire)) return false;
    const Stripe& stripe = stripes_[session % kStripes];
    const std::lock_guard lock(stripe.mutex);
    return stripe.sessions.contains(session);
  }

 private:
  static constexpr std::size_t kStripes = 16;
  struct Entry {
    std::uint64_t session;
    std::uint64_t expires_ms;
  };
  struct alignas(64) Stripe {
    mutable std::mutex mutex;
    std::deque<Entry> order;
    std::unordered_set<std::uint64_t> sessions;
  };

  std::size_t most_of_stripe_;
  std::array<Stripe, kStripes> stripes_;
  std::atomic<bool> any_{false};
};

}  // namespace ringcast::shard
