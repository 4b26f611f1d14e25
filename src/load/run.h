#pragma once

#include <atomic>
#include <string>
#include <vector>

#include <sys/types.h>

#include "load/plan.h"
#include "load/report.h"

namespace ringcast::load {

struct RunOptions {
  struct Watched {
    std::string name;
    pid_t pid = 0;
  };
  std::vector<pid_t> server_pids;  ///< measured together; none = not measured
  std::vector<Watched> watched;    ///< whose CPU is told by thread
  double hold_seconds = 0;         ///< idle, between opening and publishing
  double timeout_seconds = 0;      ///< for the whole run
  /// Between a phase and measuring what comes next: the server ends what belongs to the phase.
  double settle_seconds = 0.5;
  double quiet_seconds = 10;  ///< without any progress, after which what has not come is missing
  bool progress = false;      ///< a line on stderr that keeps changing
};

/// Opens the plan's streams, holds them, publishes, waits for the last delivery, reads the stalled
/// streams if the plan says so, and tells. Always returns: after the timeout, after `interrupted`
/// has become true, and, once everything is published, after ten seconds in which nothing arrived.
/// Blocks; starts and ends the threads of the run.
[[nodiscard]] Report run(const Plan& plan, const RunOptions& options,
                         const std::atomic<bool>& interrupted);

}  // namespace ringcast::load
