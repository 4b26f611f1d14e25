/// A record of a stream: 120 bytes are one event, 16 KB what a burst or a replay fills.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "ringcast/tls/record_layer.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;

Takeover takeover(CipherSuite suite) {
  Takeover taken{.suite = suite, .write = {}, .read = {}};
  taken.write.size = taken.read.size = static_cast<std::uint8_t>(secret_bytes(suite));
  taken.write.bytes.fill(std::byte{0x5a});
  taken.read.bytes.fill(std::byte{0xa5});
  return taken;
}

CipherSuite suite_of(benchmark::State& state) {
  constexpr std::array kNames = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
  state.SetLabel(kNames[static_cast<std::size_t>(state.range(0))]);
  return static_cast<CipherSuite>(0x1301 + state.range(0));
}

void count_allocations(benchmark::State& state, std::uint64_t before) {
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}

/// `count` pieces that together are `bytes` long, written as one record by each of `streams` in
/// turn, as a broadcast does: the shared context has another key for each.
void write_pieces(benchmark::State& state, std::size_t bytes, std::size_t count,
                  std::size_t streams) {
  const CipherSuite suite = suite_of(state);
  RecordCipher cipher;
  std::vector<RecordLayer> layers;
  for (std::size_t i = 0; i < streams; ++i) {
    Takeover taken = takeover(suite);
    taken.write.bytes[0] = static_cast<std::byte>(i);
    layers.emplace_back(cipher, taken);
  }
  const std::vector<std::byte> text(bytes, std::byte{'x'});
  std::vector<iovec> pieces;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = bytes * i / count;
    pieces.push_back({.iov_base = const_cast<std::byte*>(text.data() + begin),
                      .iov_len = bytes * (i + 1) / count - begin});
  }
  std::vector<std::byte> out(bytes + 100);
  std::size_t turn = 0;
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    const std::size_t written = layers[turn].write(cipher, pieces, out);
    if (written == 0) {
      state.SkipWithError("nothing was written");
      break;
    }
    benchmark::DoNotOptimize(out.data());
    turn = turn + 1 == streams ? 0 : turn + 1;
  }
  count_allocations(state, before);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

void write_120(benchmark::State& state) {
  write_pieces(state, 120, 1, 1000);
}
void write_1k_of_8_frames(benchmark::State& state) {
  write_pieces(state, 1000, 8, 1000);
}
void write_16k(benchmark::State& state) {
  write_pieces(state, 16'384, 1, 10);
}
void write_16k_of_130_frames(benchmark::State& state) {
  write_pieces(state, 16'384, 130, 10);
}
BENCHMARK(write_120)->DenseRange(0, 2);
BENCHMARK(write_1k_of_8_frames)->DenseRange(0, 2);
BENCHMARK(write_16k)->DenseRange(0, 2);
BENCHMARK(write_16k_of_130_frames)->DenseRange(0, 2);

/// The key update of a stream: one for each 2^24 records.
void key_update(benchmark::State& state) {
  RecordCipher cipher;
  RecordLayer layer(cipher, takeover(suite_of(state)));
  std::array<std::byte, kKeyUpdateRecordBytes> out{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(layer.write_key_update(cipher, UpdateRequest::not_requested, out));
  }
}
BENCHMARK(key_update)->DenseRange(0, 2);

/// What a handshake costs more for being handed over.
void take_over(benchmark::State& state) {
  RecordCipher cipher;
  const Takeover taken = takeover(suite_of(state));
  for (auto _ : state) {
    const RecordLayer layer(cipher, taken);
    benchmark::DoNotOptimize(layer.writable());
  }
}
BENCHMARK(take_over)->DenseRange(0, 2);

/// The client's close_notify, from its bytes to the end of the stream.
void read_close(benchmark::State& state) {
  RecordCipher cipher;
  const Takeover taken = takeover(suite_of(state));
  std::array<std::byte, kAlertRecordBytes> record{};
  RecordLayer theirs(cipher, {.suite = taken.suite, .write = taken.read, .read = taken.write});
  if (theirs.write_alert(cipher, Alert::close_notify, record) == 0) {
    state.SkipWithError("no alert was written");
  }
  HalfRecord half;
  for (auto _ : state) {
    state.PauseTiming();
    RecordLayer layer(cipher, taken);
    std::span<const std::byte> input = record;
    state.ResumeTiming();
    const Incoming incoming = layer.read(cipher, half, input);
    if (incoming.kind != Incoming::Kind::close_notify) {
      state.SkipWithError("no close_notify was read");
      break;
    }
  }
}
BENCHMARK(read_close)->DenseRange(0, 2);

void forget(benchmark::State& state) {
  RecordCipher cipher;
  for (auto _ : state) cipher.forget();
}
BENCHMARK(forget);

}  // namespace
