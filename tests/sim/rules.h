#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "ringcast/shard/options.h"

#include "model.h"
#include "network.h"
#include "remote_store.h"
#include "world.h"

namespace ringcast::sim {

class TlsSite;

/// More commands than all simulated clients together have in flight.
inline constexpr std::size_t kInFlightMax = 64;

/// Where a plain listener sends its clients in a run with redirects.
inline const std::string kRedirectTo = "https://sim.example";

/// What one run is configured with, drawn from its seed.
struct Setup {
  std::size_t shards = 1;
  shard::ShardOptions shard;
  uring::RingOptions ring;
  std::size_t publishes_in_flight = 64;
  std::size_t actions = 200;
  bool scarce_slots = false;  ///< more clients than slots: refusals are in order
  bool late_high_water = false;
  bool unsteady_clock = false;
  bool all_read = false;                  ///< no client is slow, so none waits long for another
  std::optional<RemoteOptions> remote{};  ///< instead of the embedded store
  bool tls = false;                       ///< each shard has a listener for it, too
  double speak_tls = 0;                   ///< the part of the clients that do
  bool redirects = false;                 ///< the plain listeners send everybody to the others
  std::size_t clients_at_once = 0;        ///< streams that are opened before anything else happens
};

/// What the simulated clients need to know in order to judge what they get.
struct Rules {
  World& world;
  Model& model;
  const Setup& setup;
  TlsSite* tls;  ///< null: nobody speaks it in this run
  bool draining = false;
  /// Each stream of a shard is told another.
  std::map<std::size_t, std::set<std::uint64_t>> drain_retries;
  /// What the run has met, for the summary: a simulation that meets nothing proves nothing.
  std::map<std::string, std::uint64_t> met;
  /// Where the log of a shard stands now.
  std::function<Kept(std::size_t shard)> kept;
  /// Streams that a shard ended because its tails were full.
  std::function<std::uint64_t(std::size_t shard)> tails_full;
  /// Requests for history that the store did not take.
  std::function<std::uint64_t()> history_refused;

  /// Whether a stream may be sent away while it is served from history.
  [[nodiscard]] bool history_may_fail(std::uint64_t refused_before) const {
    return setup.remote &&
           (history_refused() != refused_before || setup.publishes_in_flight < kInFlightMax);
  }

  /// How late a fair client may be told something, beyond what the server is allowed to take.
  [[nodiscard]] std::uint64_t patience_ns() const {
    const std::uint32_t sends = setup.shard.limits.stream_sends_per_second;
    return 500 * kNsPerMs + (sends == 0 ? 0 : kNsPerSecond / sends) +
           4 * (world.nasty.late_ns + world.nasty.party_stall_ns);
  }
};

}  // namespace ringcast::sim
