/// What an event costs a shard to keep: the copy into the log, with the eviction of an old one.

#include <cstdint>

#include <benchmark/benchmark.h>

#include "allocation_counter.h"
#include "sse_log.h"

namespace {

using namespace ringcast;

void append_to_full_log(benchmark::State& state) {
  bench::FilledLog filled({.bytes = 16 << 20, .events = 65536}, 4);
  filled.append_any(200'000);
  const std::uint64_t before = test::allocations();
  for (auto _ : state) filled.append(1);
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(append_to_full_log);

}  // namespace
