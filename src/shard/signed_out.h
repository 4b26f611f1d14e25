#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>

namespace ringcast::shard {

/// Tokens whose users signed out before they expired: such a token is not taken any more. Bounded;
/// beyond `most` the one that signed out first is forgotten, and its token is good again until it
/// expires. Forgotten with the process, too. Single-threaded.
class SignedOut {
 public:
  explicit SignedOut(std::size_t most) : most_(most) {}

  /// `session` is auth::Claims::session; unix milliseconds.
  void add(std::uint64_t session, std::uint64_t expires_ms, std::uint64_t now_ms) {
    while (!order_.empty() && (order_.size() == most_ || order_.front().expires_ms <= now_ms)) {
      sessions_.erase(order_.front().session);
      order_.pop_front();
    }
    if (sessions_.insert(session).second) order_.push_back({session, expires_ms});
  }

  [[nodiscard]] bool contains(std::uint64_t session) const {
    return !sessions_.empty() && sessions_.contains(session);
  }

 private:
  struct Entry {
    std::uint64_t session;
    std::uint64_t expires_ms;
  };
  std::size_t most_;
  std::deque<Entry> order_;
  std::unordered_set<std::uint64_t> sessions_;
};

}  // namespace ringcast::shard
