/// One record through the ring between the hub and its shards, written and read on one thread: the
/// instructions, without the cost of moving cache lines between cores.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <benchmark/benchmark.h>

#include "ringcast/base/record_ring.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

void write_and_read(benchmark::State& state) {
  const auto readers = static_cast<std::size_t>(state.range(0));
  const auto bytes = static_cast<std::size_t>(state.range(1));
  const auto ring = std::move(RecordRing::create(1 << 20, readers)).value();
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    const std::span<std::byte> room = ring->reserve(bytes);
    std::memset(room.data(), 1, room.size());
    ring->commit(bytes);
    for (std::size_t reader = 0; reader < readers; ++reader) {
      benchmark::DoNotOptimize(ring->peek(reader).data());
      ring->release(reader);
    }
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(write_and_read)
    ->ArgNames({"readers", "bytes"})
    ->ArgsProduct({{1, 2, 8}, {16, 120, 4096}});

/// A full ring must be noticed cheaply: this is what back-pressure costs each time it is tried.
void refused_when_full(benchmark::State& state) {
  const auto ring = std::move(RecordRing::create(4096, 8)).value();
  while (!ring->reserve(100).empty()) ring->commit(100);
  for (auto _ : state) benchmark::DoNotOptimize(ring->reserve(100).data());
}
BENCHMARK(refused_when_full);

}  // namespace
