#pragma once

#include <string>
#include <vector>

#include "ringcast/base/counter.h"
#include "ringcast/hub/counters.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/shard/counters.h"

namespace ringcast::admin {

class AuditWriter;

/// Where the numbers come from. All of it outlives whoever holds this.
struct MetricsSources {
  std::vector<const shard::Counters*> shards;  ///< in the order of their index
  const hub::Counters* hub = nullptr;          ///< null: no hub metrics
  const AuditWriter* audit = nullptr;          ///< null: no audit metrics
  const hub::RedisCounters* redis = nullptr;   ///< null: no Redis metrics
  /// When the first of the certificates in use expires, since 1970; null: there are none.
  const Counter* certificate_expiry_ms = nullptr;
};

/// Every counter, and what the kernel knows of the process, in the Prometheus text format 0.0.4.
/// Each number is read on its own: two of them may be an instant apart. Any thread; reads /proc and
/// allocates, so not on the path of an event.
[[nodiscard]] std::string render_metrics(const MetricsSources& sources);

}  // namespace ringcast::admin
