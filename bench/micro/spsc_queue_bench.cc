/// One value through the queue between two threads.

#include <atomic>
#include <cstdint>
#include <thread>

#include <benchmark/benchmark.h>

#include "ringcast/base/spsc_queue.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

struct Value {
  std::uint64_t parts[4];
};

void push_and_pop(benchmark::State& state) {
  SpscQueue<Value> queue(1024);
  Value value{};
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(queue.try_push(value));
    benchmark::DoNotOptimize(queue.try_pop(value));
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(push_and_pop);

/// A consumer on another core takes them as they come.
void push_to_another_thread(benchmark::State& state) {
  SpscQueue<Value> queue(1024);
  std::atomic<bool> stop{false};
  std::thread consumer([&] {
    Value value{};
    while (!stop.load(std::memory_order_relaxed)) {
      if (!queue.try_pop(value)) std::this_thread::yield();
    }
  });
  const Value value{};
  for (auto _ : state) {
    while (!queue.try_push(value)) std::this_thread::yield();
  }
  stop = true;
  consumer.join();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(push_to_another_thread)->UseRealTime();

}  // namespace
