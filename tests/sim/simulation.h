#pragma once

#include <cstdint>
#include <string>

namespace ringcast::sim {

struct Outcome {
  std::string failure;  ///< empty: the run obeyed the law
  std::uint64_t turns = 0;
  std::uint64_t events = 0;
  std::uint64_t deliveries = 0;
};

/// Runs the whole server against simulated clients, kernel and time, all drawn from the seed. The
/// same seed gives the same run. With `verbose` every step is printed.
[[nodiscard]] Outcome run_seed(std::uint64_t seed, bool verbose);

}  // namespace ringcast::sim
