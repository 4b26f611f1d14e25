/// What it costs to find out what one stream is to be sent. This runs for each stream and each
/// event (or batch of events), so its nanoseconds are multiplied by the number of streams.

#include <array>
#include <cstddef>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "allocation_counter.h"
#include "sse_log.h"

namespace {

using namespace ringcast;

constexpr std::uint32_t kTopics = 1000;

void gather(benchmark::State& state, const bench::FilledLog& filled, std::uint64_t behind,
            std::uint32_t topics, sse::Wire wire) {
  const sse::Ordinal cursor = filled.log().head() - behind;
  const auto news = filled.news(topics);
  std::array<iovec, 64> out;
  std::uint64_t spans = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    const sse::Gathered got = sse::gather(filled.log(), cursor, news, wire, {}, out);
    benchmark::DoNotOptimize(got.next);
    spans += got.spans;
  }
  const std::uint64_t allocations = test::allocations() - before;
  const auto average = [&](std::uint64_t total) {
    return benchmark::Counter(static_cast<double>(total), benchmark::Counter::kAvgIterations);
  };
  state.counters["spans"] = average(spans);
  state.counters["allocations"] = average(allocations);
}

/// The usual case: everything is public, and the stream is a few events behind.
void public_only(benchmark::State& state, sse::Wire wire) {
  bench::FilledLog filled({}, 1);
  filled.append_any(60'000);
  gather(state, filled, static_cast<std::uint64_t>(state.range(0)), 1, wire);
}
BENCHMARK_CAPTURE(public_only, chunked, sse::Wire::chunked)
    ->Arg(0)
    ->Arg(1)
    ->Arg(3)
    ->Arg(32)
    ->Arg(1000);
BENCHMARK_CAPTURE(public_only, plain, sse::Wire::plain)->Arg(1)->Arg(3)->Arg(32);

/// A newest event of the stream's own among foreign ones; the number of topics of the stream.
void own_event_is_newest(benchmark::State& state) {
  bench::FilledLog filled({}, kTopics);
  filled.append_any(60'000);
  filled.append(0);
  gather(state, filled, 4, static_cast<std::uint32_t>(state.range(0)), sse::Wire::chunked);
}
BENCHMARK(own_event_is_newest)->DenseRange(1, 8)->Arg(66);

/// Far behind, with little news: a stream of a quiet topic that comes back.
void far_behind(benchmark::State& state) {
  bench::FilledLog filled({}, kTopics);
  filled.append_any(60'000);
  gather(state, filled, 20'000, static_cast<std::uint32_t>(state.range(0)), sse::Wire::chunked);
}
BENCHMARK(far_behind)->DenseRange(1, 8)->Arg(66);

void split_in_the_last_frame(benchmark::State& state) {
  bench::FilledLog filled({}, 1);
  filled.append_any(60'000);
  const auto behind = static_cast<std::uint64_t>(state.range(0));
  const sse::Ordinal cursor = filled.log().head() - behind;
  const auto news = filled.news(1);
  const std::size_t taken =
      filled.log().position(filled.log().head()) - filled.log().position(cursor) - 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        sse::split(filled.log(), cursor, news, sse::Wire::chunked, taken).next);
  }
}
BENCHMARK(split_in_the_last_frame)->Arg(1)->Arg(32);

}  // namespace
