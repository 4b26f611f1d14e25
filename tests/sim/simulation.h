#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ringcast::sim {

struct Outcome {
  std::string failure;  ///< empty: the run obeyed the law
  /// How often the run met what it is there for: events, gaps, short sends, ...
  std::map<std::string, std::uint64_t> met;
};

/// Runs the whole server against simulated clients, kernel and time, all drawn from the seed. The
/// same seed gives the same run. With `verbose` every step is printed.
[[nodiscard]] Outcome run_seed(std::uint64_t seed, bool verbose);

}  // namespace ringcast::sim
