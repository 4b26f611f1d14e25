// Many seeds, each a run of the whole server. The count is the argument --seeds.

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "replay.h"
#include "simulation.h"

namespace ringcast::sim {
namespace {

std::uint64_t seeds = 100;

TEST(Simulation, EverySeedObeysTheLawOfDelivery) {
  std::map<std::string, std::uint64_t> met;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    announce_seed(seed);
    const Outcome outcome = run_seed(seed, Tracing::off);
    ASSERT_EQ(outcome.failure, "") << "seed " << seed << "\n  replay: " << replay_command(seed);
    for (const auto& [what, count] : outcome.met) met[what] += count;
  }
  // A simulation in which nothing happens obeys every law.
  constexpr std::uint64_t kEnoughForRareThings = 500;
  if (seeds >= kEnoughForRareThings) {
    for (const char* what : {"KeyUpdates",
                             "KeyUpdates that are answered",
                             "accept errors",
                             "appends that waited",
                             "complete healthy streams",
                             "complete streams that were held back",
                             "complete streams under TLS that were held back",
                             "ended in the middle of history",
                             "ends with an alert",
                             "ends with close_notify",
                             "evictions",
                             "events from history",
                             "full handshakes",
                             "gaps in the middle of history",
                             "gaps of slow streams",
                             "gaps of slow streams under TLS",
                             "handshakes cut",
                             "handshakes late",
                             "handshakes resumed",
                             "heads that left with events",
                             "heartbeats",
                             "holes told to open streams",
                             "misfits told why",
                             "pages that were there before the log",
                             "positions ahead of their shard",
                             "positions not kept",
                             "positions older than the log",
                             "positions resumed",
                             "publishes refused",
                             "publishes turned away",
                             "records with a changed bit",
                             "redirects",
                             "refused because the store was away",
                             "refused sends",
                             "sends put off",
                             "short sends",
                             "streams drained",
                             "streams ended for bad records",
                             "streams ended as slow",
                             "streams refused",
                             "times that the tail had no room",
                             "turns with more catching up than places"}) {
      EXPECT_GT(met[what], 0) << what;
    }
  }
  EXPECT_GT(met["events"], 50 * seeds);
  EXPECT_GT(met["deliveries"], 200 * seeds);
}

TEST(Simulation, ASeedAlwaysGivesTheSameRun) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    announce_seed(seed);
    const Outcome first = run_seed(seed, Tracing::digested);
    const Outcome second = run_seed(seed, Tracing::digested);
    EXPECT_EQ(first.met, second.met);
    EXPECT_EQ(first.trace_digest, second.trace_digest);
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
