#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ringcast/hub/embedded_store.h"
#include "ringcast/hub/hub.h"
#include "ringcast/shard/shard.h"

#include "model.h"
#include "network.h"
#include "remote_store.h"
#include "ring_core.h"
#include "rules.h"
#include "tls_site.h"

namespace ringcast::sim {

/// The real hub and the real shards on simulated rings, all in one thread. Each party runs its turn
/// only when its thread would: when its last turn asked for it, when its time has come, or when its
/// ring has something. So a wake that is lost stays lost.
class Server {
 public:
  Server(World& world, Network& network, const Setup& setup);
  ~Server();

  [[nodiscard]] Model& model() { return *model_; }
  [[nodiscard]] int listener(std::size_t shard) const { return listeners_[shard]; }
  /// Only in a run with TLS.
  [[nodiscard]] int tls_listener(std::size_t shard) const { return tls_listeners_[shard]; }
  /// Null in a run without TLS.
  [[nodiscard]] TlsSite* tls() { return tls_.get(); }
  /// As the configuration's reload does.
  void reload();
  [[nodiscard]] Kept kept(std::size_t shard) const;
  [[nodiscard]] const shard::Counters& counters(std::size_t shard) const {
    return *counters_[shard];
  }
  /// Nothing if the embedded one is in use.
  [[nodiscard]] RemoteStore* remote() { return remote_.get(); }
  [[nodiscard]] const hub::Counters& hub_counters() const { return hub_counters_; }
  [[nodiscard]] RingCore& ring(std::size_t shard) { return *world_.rings[shard + 1]; }

  /// Runs parties and network until `until_ns` or until `done`.
  void run(std::uint64_t until_ns, const std::function<bool()>& done = {});
  void request_drain();
  [[nodiscard]] bool finished() const;
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  /// Turns after which more streams were catching up than there are places.
  [[nodiscard]] std::uint64_t over_places() const { return over_places_; }
  /// Sets the wall clock back or forth; the monotonic one does not see it.
  void step_clock(std::int64_t ms) { clock_offset_ms_ += ms; }

 private:
  struct Party {
    std::function<std::optional<std::chrono::nanoseconds>(Time)> turn;
    std::function<bool()> over;
    RingCore* ring = nullptr;
    std::uint64_t wake_at_ns = 0;
    std::uint64_t busy_until_ns = 0;
    std::uint32_t idle_turns = 0;  // that wanted another at once, and did nothing with the ring
  };
  class HighWater;

  [[nodiscard]] hub::EventStore& make_store();
  [[nodiscard]] std::shared_ptr<const shard::Policy> make_policy() const;
  [[nodiscard]] Time clock() const;
  [[nodiscard]] std::uint64_t next_run(const Party& party) const;
  void run_turn(Party& party);
  void read_truth();
  void check_log(std::size_t shard);

  World& world_;
  Network& network_;
  const Setup& setup_;
  std::int64_t clock_offset_ms_ = 0;
  std::unique_ptr<TlsSite> tls_;
  std::unique_ptr<HighWater> high_water_;
  std::unique_ptr<hub::EmbeddedStore> embedded_;
  std::unique_ptr<RemoteStore> remote_;
  std::unique_ptr<hub::Exchange> exchange_;
  std::unique_ptr<Model> model_;
  hub::Counters hub_counters_;
  std::vector<std::unique_ptr<shard::Counters>> counters_;
  shard::RateTable addresses_{64, 0};
  shard::RateTable users_{64, 0};
  shard::SignedOut signed_out_{64};
  std::vector<std::unique_ptr<uring::Ring>> rings_;  // the hub's first
  std::unique_ptr<hub::Hub> hub_;
  std::vector<std::unique_ptr<shard::Shard>> shards_;
  std::vector<int> listeners_;
  std::vector<int> tls_listeners_;
  std::vector<Party> parties_;
  std::uint64_t over_places_ = 0;
  std::uint64_t turns_ = 0;
};

}  // namespace ringcast::sim
