#pragma once

#include <atomic>
#include <cstddef>

namespace ringcast::shard {

/// Of the shards that accept from the same sockets, how many have room for another stream. One
/// without leaves connections to those that have it. When none has any, those that notice take them
/// one by one, and say so. Any thread.
class SharedRoom {
 public:
  /// All shards have room.
  explicit SharedRoom(std::size_t shards) : shards_with_room_(shards) {}

  /// A shard's room ended, or came back; each tells in turns, first that it ended.
  void ended() { shards_with_room_.fetch_sub(1, std::memory_order_acq_rel); }
  void came_back() { shards_with_room_.fetch_add(1, std::memory_order_acq_rel); }

  [[nodiscard]] bool anywhere() const {
    return shards_with_room_.load(std::memory_order_acquire) != 0;
  }

 private:
  std::atomic<std::size_t> shards_with_room_;
};

}  // namespace ringcast::shard
