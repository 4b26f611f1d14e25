// Many seeds, each a run of the whole server. The count is the argument --seeds.

#include <cstdlib>
#include <string_view>

#include <gtest/gtest.h>

#include "replay.h"
#include "simulation.h"

namespace ringcast::sim {
namespace {

std::uint64_t seeds = 100;

TEST(Simulation, EverySeedObeysTheLawOfDelivery) {
  std::uint64_t events = 0;
  std::uint64_t deliveries = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    announce_seed(seed);
    const Outcome outcome = run_seed(seed, false);
    ASSERT_EQ(outcome.failure, "") << "seed " << seed << "\n  replay: " << replay_command(seed);
    events += outcome.events;
    deliveries += outcome.deliveries;
  }
  // A simulation in which nothing happens obeys every law.
  EXPECT_GT(events, 50 * seeds);
  EXPECT_GT(deliveries, 100 * seeds);
}

TEST(Simulation, ASeedAlwaysGivesTheSameRun) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    announce_seed(seed);
    const Outcome first = run_seed(seed, false);
    const Outcome second = run_seed(seed, false);
    EXPECT_EQ(first.turns, second.turns);
    EXPECT_EQ(first.events, second.events);
    EXPECT_EQ(first.deliveries, second.deliveries);
  }
}

}  // namespace
}  // namespace ringcast::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--seeds") {
      ringcast::sim::seeds = std::strtoull(argv[i + 1], nullptr, 10);
    }
  }
  return RUN_ALL_TESTS();
}
