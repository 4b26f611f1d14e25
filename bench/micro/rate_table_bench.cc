/// One question to the limits that all shards share, and what a flood of keys costs.

#include <cstdint>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "ringcast/shard/rate_table.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;
using shard::RateTable;

constexpr Time kNow{.mono_ns = 1'000 * kNsPerSecond, .unix_ms = 0};
constexpr std::size_t kIdleMax = 65'536;

RateTable::Key number_key(const RateTable& table, std::uint64_t number) {
  return table.key({reinterpret_cast<const char*>(&number), sizeof number});
}

void report_allocations(benchmark::State& state, std::uint64_t before) {
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}

/// Keys that the table knows; `range(0)` of them in turn.
void take_hit(benchmark::State& state) {
  RateTable table(kIdleMax, 1);
  const TokenRate rate = TokenRate::per_second(1'000'000'000, 16);
  std::vector<RateTable::Key> keys;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    keys.push_back(number_key(table, static_cast<std::uint64_t>(i)));
    static_cast<void>(table.try_take(keys.back(), 0, rate, kNow));
  }
  Time now = kNow;
  std::size_t next = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.try_take(keys[next], 0, rate, now));
    now.mono_ns += 1;
    next = next + 1 == keys.size() ? 0 : next + 1;
  }
  report_allocations(state, before);
}
BENCHMARK(take_hit)->Arg(1)->Arg(1'000)->Arg(50'000);

/// A new key each time, in a full table: one entry is pushed out for each.
void take_miss(benchmark::State& state) {
  RateTable table(kIdleMax, 1);
  const TokenRate rate = TokenRate::per_second(10, 16);
  std::uint64_t number = 0;
  while (number < 4 * kIdleMax)
    static_cast<void>(table.try_take(number_key(table, number++), 0, rate, kNow));
  const std::uint64_t before = test::allocations();
  for (auto _ : state)
    benchmark::DoNotOptimize(table.try_take(number_key(table, number++), 0, rate, kNow));
  report_allocations(state, before);
}
BENCHMARK(take_miss);

void take_without_limit(benchmark::State& state) {
  RateTable table(kIdleMax, 1);
  for (auto _ : state) benchmark::DoNotOptimize(table.try_take(1, 0, TokenRate{}, kNow));
}
BENCHMARK(take_without_limit);

/// A stream that begins and ends, with 50,000 others open.
void hold_and_release(benchmark::State& state) {
  RateTable table(kIdleMax, 1);
  for (std::uint64_t i = 0; i < 50'000; ++i)
    static_cast<void>(table.try_hold(number_key(table, i), 0));
  std::uint64_t number = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    const RateTable::Key key = number_key(table, number++ % 100'000);
    benchmark::DoNotOptimize(table.try_hold(key, 0));
    table.release(key);
  }
  report_allocations(state, before);
}
BENCHMARK(hold_and_release);

/// Threads that ask about different keys.
void take_on_threads(benchmark::State& state) {
  static std::unique_ptr<RateTable> table;
  if (state.thread_index() == 0) table = std::make_unique<RateTable>(kIdleMax, 1);
  const TokenRate rate = TokenRate::per_second(1'000'000'000, 16);
  const auto first = static_cast<std::uint64_t>(state.thread_index()) << 32;
  std::uint64_t number = 0;
  for (auto _ : state) {
    const RateTable::Key key = number_key(*table, first + number++ % 1024);
    benchmark::DoNotOptimize(table->try_take(key, 0, rate, kNow));
  }
}
BENCHMARK(take_on_threads)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
