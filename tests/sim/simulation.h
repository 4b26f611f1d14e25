#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "world.h"

namespace ringcast::sim {

struct Outcome {
  std::string failure;  ///< empty: the run obeyed the law
  /// How often the run met what it is there for: events, gaps, short sends, ...
  std::map<std::string, std::uint64_t> met;
  std::uint64_t trace_digest = 0;  ///< with Tracing::digested
};

/// Runs the whole server against simulated clients, kernel and time, all drawn from the seed. The
/// same seed gives the same run.
[[nodiscard]] Outcome run_seed(std::uint64_t seed, Tracing tracing);

}  // namespace ringcast::sim
