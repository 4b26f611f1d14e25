/// What it costs to make a frame, once for each event: by the kind of data and its size.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "ringcast/sse/frame.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

void encode(benchmark::State& state, const std::string& data) {
  const EventId id{1'700'000'000'000, 42};
  const sse::EventFields fields{.event = "install", .data = data};
  std::vector<std::byte> out(sse::frame_size(id, fields).bytes);
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(sse::encode_frame(id, fields, out).bytes);
    benchmark::ClobberMemory();
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(data.size()));
}

void one_line(benchmark::State& state) {
  encode(state, std::string(static_cast<std::size_t>(state.range(0)), 'x'));
}
BENCHMARK(one_line)->Arg(100)->Arg(1000)->Arg(65536);

void lines(benchmark::State& state, const char* line_end) {
  std::string data;
  while (data.size() < static_cast<std::size_t>(state.range(0))) {
    data += "a line of a log, of about sixty characters, as they often are" + std::string(line_end);
  }
  encode(state, data);
}
BENCHMARK_CAPTURE(lines, lf, "\n")->Arg(1000)->Arg(65536);
BENCHMARK_CAPTURE(lines, crlf, "\r\n")->Arg(1000)->Arg(65536);

}  // namespace
