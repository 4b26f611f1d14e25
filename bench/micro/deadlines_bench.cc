/// What waits for a moment: streams that were sent something a moment ago (a wheel), and
/// connections that must have said something by then (a list for each kind of deadline).

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocation_counter.h"
#include "connection.h"
#include "paced.h"

namespace {

using namespace ringcast;
using shard::kNoSlot;

void report_allocations(benchmark::State& state, std::uint64_t before) {
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}

/// Each round: a stream's time comes, it is sent something, and it waits again. `range(0)` others
/// wait meanwhile, spread over the interval.
void wheel_turn(benchmark::State& state) {
  constexpr std::uint32_t kIntervalMs = 1000;
  const auto streams = static_cast<std::uint32_t>(state.range(0));
  shard::StreamTable table = shard::StreamTable::create(streams).value();
  shard::PacedStreams paced(1000 / kIntervalMs);
  for (std::uint32_t i = 0; i < streams; ++i) {
    const uring::Slot slot = *table.take();
    table[slot].last_sent_ms = static_cast<std::uint32_t>(std::uint64_t{i} * kIntervalMs / streams);
    paced.add(table, slot);
  }
  std::uint32_t now_ms = kIntervalMs;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    std::uint32_t index = paced.due(now_ms);
    while (index == kNoSlot) index = paced.due(now_ms += paced.next_in_ms(now_ms));
    const uring::Slot slot{index};
    paced.remove(table, slot);
    table[slot].last_sent_ms = now_ms;
    paced.add(table, slot);
  }
  report_allocations(state, before);
  if (paced.size() != streams) state.SkipWithError("a stream was lost");
}
BENCHMARK(wheel_turn)->Arg(1)->Arg(1'000)->Arg(20'000);

/// A stream leaves early, from anywhere in its list, and another begins to wait.
void wheel_leave(benchmark::State& state) {
  constexpr std::uint32_t kStreams = 20'000;
  shard::StreamTable table = shard::StreamTable::create(kStreams).value();
  shard::PacedStreams paced(1);
  for (std::uint32_t i = 0; i < kStreams; ++i) {
    const uring::Slot slot = *table.take();
    table[slot].last_sent_ms = i % 1000;
    paced.add(table, slot);
  }
  std::uint32_t next = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    const uring::Slot slot{next};
    paced.remove(table, slot);
    paced.add(table, slot);
    next = next + 7'919 < kStreams ? next + 7'919 : next + 7'919 - kStreams;
  }
  report_allocations(state, before);
}
BENCHMARK(wheel_leave);

/// A connection gets a later deadline: `range(0)` others have one.
void deadline_moves(benchmark::State& state) {
  const auto connections = static_cast<std::size_t>(state.range(0));
  shard::ConnectionPool pool(connections, {8192, 65536});
  shard::DeadlineList list;
  std::vector<shard::ConnectionPool::Handle> handles;
  for (std::size_t i = 0; i < connections; ++i) {
    handles.push_back(pool.take());
    list.push_back(pool, handles.back());
  }
  std::size_t next = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    list.remove(pool, handles[next]);
    list.push_back(pool, handles[next]);
    benchmark::DoNotOptimize(list.front());
    next = next + 1 == connections ? 0 : next + 1;
  }
  report_allocations(state, before);
}
BENCHMARK(deadline_moves)->Arg(16)->Arg(4'096);

}  // namespace
