#pragma once

#include <cstdint>
#include <string>

namespace ringcast::sim {

/// The command that runs a seed again, with its trace.
[[nodiscard]] std::string replay_command(std::uint64_t seed);

/// Names the seed that runs now, so that a crash or a failed assertion in the server tells it too.
void announce_seed(std::uint64_t seed);

}  // namespace ringcast::sim
