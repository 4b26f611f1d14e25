#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/shard/counters.h"
#include "ringcast/shard/options.h"
#include "ringcast/shard/services.h"
#include "ringcast/uring/ring.h"

namespace ringcast::shard {

/// One shard: the connections of its listeners, its broadcast log, its streams. It talks to the hub
/// through the exchange and to nobody else.
///
/// Threads: everything on one, but for `request_drain`. `turn` does not block; the
/// caller waits on the ring in between. Time comes in with each turn. Memory: everything is bounded
/// by the options; nothing is allocated on the path of an event.
class Shard {
 public:
  /// `listeners` are listening sockets of this shard, or of all that share `services.room`; the
  /// caller closes them.
  [[nodiscard]] static Result<std::unique_ptr<Shard>> create(
      const ShardOptions& options, const Services& services, hub::Exchange& exchange,
      uring::Ring& ring, std::vector<Listener> listeners, Counters& counters);
  ~Shard();

  /// Handles what has arrived, appends news, sends one slice. Returns how long the caller may wait
  /// on the ring: 0 when there is more to do now, nothing when only a completion can bring work.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> turn(Time now);

  /// Takes no new connections, tells every stream a different `retry` and ends it, at a steady pace
  /// over `drain_ms`. Any thread; the caller then wakes the ring.
  void request_drain() { drain_requested_.store(true, std::memory_order_release); }

  /// Takes connections from now on; not called unless the options say so. Any thread; the caller
  /// then wakes the ring.
  void begin_accepting() { accept_requested_.store(true, std::memory_order_release); }

  /// Replaces the policy between two turns: requests that begin after that see it, streams stay as
  /// they are.
  void set_policy(std::shared_ptr<const Policy> policy);

  /// Frees what is kept for the next burst of connections; the caller knows that one is over.
  void release_memory();

  /// False once the drain has begun and no accept is armed: the listeners can be closed.
  [[nodiscard]] bool accepting() const;
  /// Drained: no connection is left and nothing is outstanding in the kernel.
  [[nodiscard]] bool finished() const;

 private:
  struct Parts;
  explicit Shard(std::unique_ptr<Parts> parts);

  std::atomic<bool> drain_requested_{false};
  std::atomic<bool> accept_requested_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ringcast::shard
