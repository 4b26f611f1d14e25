/// Reading the body of a publication: once for each event, on the thread of the publisher's shard.

#include <cstddef>
#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>

#include "ringcast/hub/publication.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

void parse(benchmark::State& state, const std::string& json) {
  hub::PublicationParser parser;
  if (!parser.parse(json).ok()) {
    state.SkipWithError("the message is refused");
    return;
  }
  const std::uint64_t before = test::allocations();
  for (auto _ : state) benchmark::DoNotOptimize(parser.parse(json).value().data.data());
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(json.size()));
}

void text(benchmark::State& state) {
  parse(state, R"({"event":"install","topic":"orders","data":")" +
                   std::string(static_cast<std::size_t>(state.range(0)), 'x') + "\"}");
}
BENCHMARK(text)->Arg(64)->Arg(1024)->Arg(65536);

void object(benchmark::State& state) {
  std::string items;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    if (i != 0) items += ", ";
    items += R"({"id": 12345, "price": 10.50, "name": "a name", "open": true})";
  }
  parse(state, R"({"event":"install","topic":"orders","data": [)" + items + "]}");
}
BENCHMARK(object)->Arg(1)->Arg(16)->Arg(512);

}  // namespace
