/// What it costs to find the place where a stream resumes: once for each connection of a reconnect
/// storm.

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocation_counter.h"
#include "sse_log.h"

namespace {

using namespace ringcast;

void resume(benchmark::State& state, bool recent) {
  const auto events = static_cast<std::size_t>(state.range(0));
  bench::FilledLog filled({.bytes = std::size_t{512} << 20, .events = events}, 1);
  filled.append_any(events);
  const sse::BroadcastLog& log = filled.log();
  std::mt19937_64 random(1);
  std::vector<EventId> asked(4096);
  for (EventId& id : asked) {
    const std::uint64_t behind = 1 + random() % (recent ? 100 : log.head() - log.tail() - 1);
    id = log.before(log.head() - behind);
  }
  std::size_t next = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) benchmark::DoNotOptimize(log.resume(asked[next++ % asked.size()]).cursor);
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(resume, anywhere, false)->Arg(1024)->Arg(65536)->Arg(1 << 20);
BENCHMARK_CAPTURE(resume, recent, true)->Arg(65536)->Arg(1 << 20);

}  // namespace
