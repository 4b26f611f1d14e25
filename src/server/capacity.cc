#include "capacity.h"

#include <algorithm>

#include "ringcast/shard/options.h"

namespace ringcast::server {
namespace {

constexpr std::uint32_t kDirectMax = 1u << 20;  // IORING_MAX_FIXED_FILES
// Ordinary descriptors that are not connections: standard streams, logs, admin connections, rings.
constexpr std::uint32_t kProcessDescriptors = 128;
constexpr std::uint32_t kDescriptorsPerShard = 4;
constexpr std::uint32_t kSlotsLeast = 64;

}  // namespace

Result<Capacity> plan_capacity(const config::Config& config, std::uint32_t shards,
                               uring::Descriptors descriptors, std::uint32_t descriptor_limit) {
  const bool direct = descriptors == uring::Descriptors::direct;
  const config::ServerOptions& options = config.server;
  const auto listeners =
      static_cast<std::uint32_t>(options.listen.size() + config.tls.listen.size());
  const std::uint32_t others = kProcessDescriptors + shards * (listeners + kDescriptorsPerShard);
  const std::uint32_t most =
      direct ? std::min(descriptor_limit, kDirectMax)
             : (descriptor_limit > others ? (descriptor_limit - others) / shards : 0);
  const std::string bound = std::string(direct ? "RLIMIT_NOFILE for each shard"
                                               : "RLIMIT_NOFILE for all shards together") +
                            " is " + std::to_string(descriptor_limit);
  if (most < kSlotsLeast || (direct && others > descriptor_limit)) {
    return Error{"too few file descriptors for " + std::to_string(shards) + " shards: " + bound +
                 "; raise it (ulimit -n, LimitNOFILE= of systemd) or set server.shards lower"};
  }

  Capacity capacity;
  if (options.streams_per_shard == 0) {
    capacity.slots = most;
    capacity.streams_max = most - shard::slots_in_reserve(most);
  } else {
    capacity.streams_max = options.streams_per_shard;
    capacity.slots = options.streams_per_shard + shard::slots_in_reserve(options.streams_per_shard);
    if (capacity.slots > most) {
      return Error{"server.streams_per_shard is " + std::to_string(options.streams_per_shard) +
                   ", but " + bound + ", which leaves room for " +
                   std::to_string(most - shard::slots_in_reserve(most)) + " streams in each shard"};
    }
  }
  capacity.description =
      "room for " + std::to_string(std::uint64_t{capacity.streams_max} * shards) +
      " streams: " + std::to_string(shards) + (shards == 1 ? " shard of " : " shards of ") +
      std::to_string(capacity.streams_max) + " on " + (direct ? "direct" : "ordinary") +
      " descriptors (" + bound + ")";
  return capacity;
}

}  // namespace ringcast::server
