/// Whether a user may read a topic: asked for each topic of each stream that opens.

#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "ringcast/auth/grants.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

void allows(benchmark::State& state, const char* fitting) {
  std::vector<std::string> patterns;
  for (int i = 1; i < state.range(0); ++i) patterns.push_back("topic-" + std::to_string(i));
  patterns.emplace_back(fitting);
  const std::string topic = "orders/alice/today";
  const std::uint64_t before = test::allocations();
  bool all = true;
  for (auto _ : state) {
    all = auth::allows(patterns, topic, "alice") && all;
    benchmark::DoNotOptimize(all);
  }
  if (!all) state.SkipWithError("the topic is not covered");
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(allows, name, "orders/alice/today")->Arg(1)->Arg(16)->Arg(256);
BENCHMARK_CAPTURE(allows, prefix, "orders/*")->Arg(16);
BENCHMARK_CAPTURE(allows, self, "orders/{self}/*")->Arg(16);

}  // namespace
