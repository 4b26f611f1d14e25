#pragma once

#include <cstdint>
#include <memory>

#include "ringcast/base/time.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/hub/redis_store.h"
#include "ringcast/uring/ring.h"

#include "redis_connection.h"
#include "standby_queue.h"

namespace ringcast::hub {

/// The Redis channel as a door into the stream: hears, numbers, stands by, relays. See
/// docs/design/redis.md, "The channel".
///
/// Owns the channel connection; uses the store's `commands` connection beside the store.
/// Threads: the hub's. Blocking: nothing. Bounded by the store's options.
class ChannelDoor {
 public:
  ChannelDoor(const RedisStoreOptions& options, const RedisAddress& address, uring::Ring& ring,
              RedisConnection& commands, std::uint32_t slot, RedisCounters& counters);
  ~ChannelDoor();

  void open(Time now);

  /// The commands connection can be used: scripts are loaded, what was sent without a reply is sent
  /// again, and so on.
  void on_commands_ready();
  void on_commands_lost();
  /// The tail has shown an entry with this number.
  void on_seen(const ChannelNumber& number);

  /// The connection that it hears by: for its owner to see where it leads, and to give it up.
  [[nodiscard]] RedisConnection& channel_connection();

  [[nodiscard]] bool owns(uring::Handle handle) const;
  void on_poll(const uring::Completion& completion, Time now);
  /// What is due; returns monotonic nanoseconds of the next call, or 0.
  [[nodiscard]] std::uint64_t turn(Time now);

  /// Stops hearing, appends what was heard, gives the lease back.
  void stop(Time now);
  [[nodiscard]] bool stopped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::hub
