#pragma once

#include <cstdint>
#include <string>

#include "ringcast/base/result.h"
#include "ringcast/config/config.h"
#include "ringcast/uring/ring.h"

namespace ringcast::server {

/// How the process's descriptors are shared out.
struct Capacity {
  std::uint32_t slots = 0;        ///< of each shard
  std::uint32_t streams_max = 0;  ///< of each shard
  std::string description;        ///< for the log: how many in all, and what bounds it
};

/// `descriptor_limit` is RLIMIT_NOFILE. Direct descriptors are bounded by it for each ring,
/// ordinary ones for all rings together. Fails when `streams_per_shard` asks for more than fits.
[[nodiscard]] Result<Capacity> plan_capacity(const config::Config& config, std::uint32_t shards,
                                             uring::Descriptors descriptors,
                                             std::uint32_t descriptor_limit);

}  // namespace ringcast::server
