/// One question to a limit.

#include <cstdint>

#include <benchmark/benchmark.h>

#include "ringcast/base/token_bucket.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

/// A token comes back for each `range(0)` questions.
void take(benchmark::State& state) {
  TokenBucket bucket(1'000'000, 16);
  const std::uint64_t step_ns = 1000 / static_cast<std::uint64_t>(state.range(0));
  Time now{.mono_ns = kNsPerSecond, .unix_ms = 0};
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(bucket.try_take(now));
    now.mono_ns += step_ns;
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}
BENCHMARK(take)->Arg(1)->Arg(10);

void no_limit(benchmark::State& state) {
  TokenBucket bucket;
  const Time now{.mono_ns = kNsPerSecond, .unix_ms = 0};
  for (auto _ : state) benchmark::DoNotOptimize(bucket.try_take(now));
}
BENCHMARK(no_limit);

}  // namespace
