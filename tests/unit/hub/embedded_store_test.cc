#include "ringcast/hub/embedded_store.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kStartMs = 1'700'000'000'000;

/// Durable storage that is as late as the test wants. `kept` is what a restart finds.
class FakeHighWater : public HighWater {
 public:
  explicit FakeHighWater(std::uint64_t found_ms = 0) : reserved_(found_ms) {}

  [[nodiscard]] std::uint64_t reserved_ms() const override { return reserved_; }
  void request(std::uint64_t ms) override {
    ++requests;
    requested = std::max(requested, ms);
    if (prompt) write();
  }
  void write() { reserved_ = std::max(reserved_, requested); }

  bool prompt = true;
  int requests = 0;
  std::uint64_t requested = 0;

 private:
  std::uint64_t reserved_;
};

Time at(std::uint64_t unix_ms) {
  return {.mono_ns = 1, .unix_ms = unix_ms};
}

EmbeddedStore started(HighWater& high_water, std::uint64_t unix_ms) {
  auto store = EmbeddedStore::start(high_water, at(unix_ms));
  EXPECT_TRUE(store.ok());
  return std::move(store).value();
}

TEST(EmbeddedStore, IdsAreTheClockAndASequence) {
  FakeHighWater high_water;
  EmbeddedStore store = started(high_water, kStartMs);
  EXPECT_EQ(store.floor(), (EventId{kStartMs, 0}));
  EXPECT_EQ(store.assign(at(kStartMs)), (EventId{kStartMs, 1})) << "the floor is no event's";
  EXPECT_EQ(store.assign(at(kStartMs)), (EventId{kStartMs, 2}));
  EXPECT_EQ(store.assign(at(kStartMs + 5)), (EventId{kStartMs + 5, 0}));
  EXPECT_EQ(store.assign(at(kStartMs + 5)), (EventId{kStartMs + 5, 1}));
}

TEST(EmbeddedStore, ClockThatGoesBackHoldsTheMillisecondStill) {
  FakeHighWater high_water;
  EmbeddedStore store = started(high_water, kStartMs);
  ASSERT_EQ(store.assign(at(kStartMs + 100)), (EventId{kStartMs + 100, 0}));
  EXPECT_EQ(store.assign(at(kStartMs - 3'600'000)), (EventId{kStartMs + 100, 1}));
  EXPECT_EQ(store.assign(at(0)), (EventId{kStartMs + 100, 2}));
  EXPECT_EQ(store.assign(at(kStartMs + 99)), (EventId{kStartMs + 100, 3}));
  EXPECT_EQ(store.assign(at(kStartMs + 101)), (EventId{kStartMs + 101, 0}));
}

TEST(EmbeddedStore, StartsBehindThePromiseOfTheRunBefore) {
  FakeHighWater high_water(kStartMs + 500'000);
  EmbeddedStore store = started(high_water, kStartMs);
  EXPECT_GE(store.floor().ms, kStartMs + 500'000);
  EXPECT_GT(store.assign(at(kStartMs)), store.floor());
}

TEST(EmbeddedStore, NoIdIsAboveThePromise) {
  FakeHighWater high_water;
  EmbeddedStore store = started(high_water, kStartMs);
  high_water.prompt = false;
  const std::uint64_t promised = high_water.reserved_ms();
  ASSERT_GE(promised, kStartMs + 10'000);
  EXPECT_EQ(store.assign(at(promised + 1)).ms, promised);
  EXPECT_EQ(store.assign(at(promised + 100'000)).ms, promised);
  high_water.write();
  EXPECT_EQ(store.assign(at(promised + 100'001)), (EventId{promised + 100'001, 0}))
      << "once the promise is there, IDs follow the clock again";
}

TEST(EmbeddedStore, PromiseIsRenewedAheadOfTimeAndSeldom) {
  FakeHighWater high_water;
  EmbeddedStore store = started(high_water, kStartMs);
  int writes = 0;
  std::uint64_t last = high_water.reserved_ms();
  for (std::uint64_t ms = 0; ms < 600'000; ms += 10) {
    const EventId id = store.assign(at(kStartMs + ms));
    ASSERT_EQ(id.ms, kStartMs + ms) << "an event waited for the promise";
    if (high_water.reserved_ms() != last) ++writes;
    last = high_water.reserved_ms();
  }
  EXPECT_LE(writes, 20) << "twice a minute at most";
  EXPECT_GE(writes, 10);
}

/// Storage that is done when it has been asked for the third time whether it is.
class LateHighWater : public HighWater {
 public:
  [[nodiscard]] std::uint64_t reserved_ms() const override {
    return requested_ != 0 && ++looks_ >= 3 ? requested_ : 0;
  }
  void request(std::uint64_t ms) override { requested_ = ms; }

 private:
  std::uint64_t requested_ = 0;
  mutable int looks_ = 0;
};

TEST(EmbeddedStore, StartWaitsForThePromise) {
  LateHighWater high_water;
  EmbeddedStore store = started(high_water, kStartMs);
  EXPECT_GE(high_water.reserved_ms(), kStartMs + 10'000);
  EXPECT_EQ(store.assign(at(kStartMs + 1)), (EventId{kStartMs + 1, 0}));
}

// The law, over many restarts with a storage that may be late and a clock that jumps: each ID is
// larger than every one that any run before gave.
TEST(EmbeddedStore, IdsGrowOverRestartsWhateverTheClockDoes) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::uint64_t clock = kStartMs;
    std::uint64_t kept = 0;
    EventId last{};
    for (int run = 0; run < 12; ++run) {
      FakeHighWater high_water(kept);
      EmbeddedStore store = started(high_water, clock);
      ASSERT_GT(store.floor(), last) << "seed " << seed << " run " << run;
      for (int step = 0; step < 30; ++step) {
        high_water.prompt = random() % 3 == 0;
        if (high_water.prompt) high_water.write();
        switch (random() % 6) {
          case 0:
            clock += random() % 100'000;
            break;
          case 1:
            clock -= random() % 200'000;
            break;
          case 2:
            clock = high_water.reserved_ms() - 1 + random() % 3;
            break;
          default:
            clock += random() % 3;
        }
        const EventId id = store.assign(at(clock));
        ASSERT_GT(id, last) << "seed " << seed << " run " << run << " step " << step;
        ASSERT_GT(id, store.floor());
        ASSERT_LE(id.ms, high_water.reserved_ms());
        last = id;
      }
      kept = high_water.reserved_ms();
    }
  }
}

}  // namespace
}  // namespace ringcast::hub
