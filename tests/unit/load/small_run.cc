#include "small_run.h"

#include <atomic>

#include "load/run.h"

namespace ringcast::load {

Plan small_plan(const std::string& base, std::uint32_t streams) {
  Plan plan;
  plan.events = {parse_url(base + "/events").value()};
  plan.publish = parse_url(base + "/publish").value();
  plan.streams = streams;
  plan.threads = 2;
  plan.streams_per_ring = 2;
  plan.connecting_max = 2;
  plan.frame_bytes = 120;
  plan.run = 7;
  return plan;
}

Report run_quickly(const Plan& plan, const SmallRunOptions& options) {
  RunOptions all;
  all.timeout_seconds = options.timeout_seconds;
  all.settle_seconds = options.settle_seconds;
  all.quiet_seconds = 0.3;
  const std::atomic<bool> interrupted{false};
  return run(plan, all, interrupted);
}

}  // namespace ringcast::load
