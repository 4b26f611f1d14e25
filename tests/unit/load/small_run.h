#pragma once

#include <cstdint>
#include <string>

#include "load/plan.h"
#include "load/report.h"

namespace ringcast::load {

/// A plan for so many streams on two threads and several rings, of a server of these tests.
[[nodiscard]] Plan small_plan(const std::string& base, std::uint32_t streams);

struct SmallRunOptions {
  double timeout_seconds = 20;
  double settle_seconds = 0.02;
};

/// Without the pauses that only a server under measurement needs.
[[nodiscard]] Report run_quickly(const Plan& plan, const SmallRunOptions& options = {});

}  // namespace ringcast::load
