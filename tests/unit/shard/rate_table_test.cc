#include "ringcast/shard/rate_table.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "allocation_counter.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kStripes = 64;
constexpr std::uint64_t kSeed = 0x5eed;

Time at_ms(std::uint64_t ms) {
  return Time{.mono_ns = 1'000 * kNsPerSecond + ms * kNsPerMs, .unix_ms = 0};
}

int take_all(RateTable& table, RateTable::Key key, std::size_t bucket, const TokenRate& rate,
             Time now) {
  int taken = 0;
  while (taken < 100'000 && table.try_take(key, bucket, rate, now) == 0) ++taken;
  return taken;
}

TEST(RateTable, TheLimitBitesAtItsNumberAndRecovers) {
  RateTable table(1024, kSeed);
  const RateTable::Key key = table.key("192.0.2.7");
  const TokenRate rate = TokenRate::per_second(10, 5);
  EXPECT_EQ(take_all(table, key, 0, rate, at_ms(0)), 5);
  EXPECT_EQ(take_all(table, key, 0, rate, at_ms(99)), 0);
  EXPECT_EQ(take_all(table, key, 0, rate, at_ms(300)), 3);
  EXPECT_EQ(take_all(table, key, 0, rate, at_ms(3'600'000)), 5);
}

TEST(RateTable, RefusalSaysHowLongToWait) {
  RateTable table(1024, kSeed);
  const RateTable::Key key = table.key("alice");
  const TokenRate rate = TokenRate::per_minute(30, 1);
  ASSERT_EQ(table.try_take(key, 1, rate, at_ms(0)), 0u);
  EXPECT_EQ(table.try_take(key, 1, rate, at_ms(500)), 1'500 * kNsPerMs);
  EXPECT_EQ(table.try_take(key, 1, rate, at_ms(2'000)), 0u);
}

TEST(RateTable, KeysAndBucketsDoNotShareTokens) {
  RateTable table(1024, kSeed);
  const TokenRate rate = TokenRate::per_second(10, 5);
  EXPECT_EQ(take_all(table, table.key("a"), 0, rate, at_ms(0)), 5);
  EXPECT_EQ(take_all(table, table.key("a"), 1, rate, at_ms(0)), 5);
  EXPECT_EQ(take_all(table, table.key("b"), 0, rate, at_ms(0)), 5);
}

TEST(RateTable, ARateWithoutLimitLeavesNoEntry) {
  RateTable table(1024, kSeed);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(table.try_take(table.key(std::to_string(i)), 0, TokenRate{}, at_ms(0)), 0u);
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(RateTable, HoldersAreCountedUpToTheMost) {
  RateTable table(1024, kSeed);
  const RateTable::Key key = table.key("192.0.2.7");
  EXPECT_TRUE(table.try_hold(key, 2));
  EXPECT_TRUE(table.try_hold(key, 2));
  EXPECT_FALSE(table.try_hold(key, 2));
  EXPECT_TRUE(table.try_hold(table.key("192.0.2.8"), 2));
  table.release(key);
  EXPECT_TRUE(table.try_hold(key, 2));
  EXPECT_FALSE(table.try_hold(key, 2));
}

TEST(RateTable, HoldersWithoutALimitCountForALaterOne) {
  RateTable table(1024, kSeed);
  const RateTable::Key key = table.key("192.0.2.7");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(table.try_hold(key, 0));
  EXPECT_FALSE(table.try_hold(key, 100));
  table.release(key);
  EXPECT_TRUE(table.try_hold(key, 100));
}

TEST(RateTable, HeldEntriesSurviveAFloodOfOtherKeys) {
  constexpr std::size_t kIdleMax = 4096;
  RateTable table(kIdleMax, kSeed);
  const TokenRate rate = TokenRate::per_second(1, 3);
  std::vector<RateTable::Key> held;
  for (int i = 0; i < 500; ++i) {
    held.push_back(table.key("held " + std::to_string(i)));
    ASSERT_TRUE(table.try_hold(held.back(), 1));
    ASSERT_EQ(take_all(table, held.back(), 1, rate, at_ms(0)), 3);
  }
  for (std::size_t i = 0; i < 4 * kIdleMax; ++i) {
    const RateTable::Key key = table.key("flood " + std::to_string(i));
    if (i % 2 == 0) {
      ASSERT_EQ(table.try_take(key, 0, rate, at_ms(0)), 0u);
    } else {
      ASSERT_TRUE(table.try_hold(key, 1));
      table.release(key);
    }
  }
  EXPECT_LE(table.size(), kIdleMax + held.size());
  for (const RateTable::Key key : held) {
    EXPECT_FALSE(table.try_hold(key, 1));
    EXPECT_NE(table.try_take(key, 1, rate, at_ms(0)), 0u);
  }
}

TEST(RateTable, WhoKeepsAskingIsNotForgottenInAFlood) {
  RateTable table(2 * kStripes, kSeed);  // two idle entries in each stripe
  const TokenRate rate = TokenRate::per_second(1, 1);
  const RateTable::Key refused = table.key("refused");
  ASSERT_EQ(table.try_take(refused, 0, rate, at_ms(0)), 0u);
  for (int i = 0; i < 10'000; ++i) {
    static_cast<void>(table.try_take(table.key("flood " + std::to_string(i)), 0, rate, at_ms(0)));
    ASSERT_NE(table.try_take(refused, 0, rate, at_ms(0)), 0u) << "after " << i;
  }
}

TEST(RateTable, TheLastReleaseMakesAnEntryTheMostRecent) {
  RateTable table(2 * kStripes, kSeed);  // two in each stripe
  const TokenRate rate = TokenRate::per_second(1, 1);
  // Small keys are all in one stripe.
  ASSERT_TRUE(table.try_hold(1, 1));
  ASSERT_EQ(table.try_take(1, 0, rate, at_ms(0)), 0u);
  ASSERT_EQ(table.try_take(2, 0, rate, at_ms(0)), 0u);
  ASSERT_EQ(table.try_take(3, 0, rate, at_ms(0)), 0u);
  table.release(1);  // pushes out 2
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.try_take(4, 0, rate, at_ms(0)), 0u);  // pushes out 3
  EXPECT_NE(table.try_take(1, 0, rate, at_ms(0)), 0u) << "was pushed out too early";
}

TEST(RateTable, KeysDependOnTheSeed) {
  const RateTable one(16, 1);
  const RateTable two(16, 2);
  EXPECT_NE(one.key("192.0.2.7"), two.key("192.0.2.7"));
  EXPECT_EQ(one.key("192.0.2.7"), RateTable(16, 1).key("192.0.2.7"));
  EXPECT_NE(one.key(""), one.key(std::string_view("\0", 1)));
}

/// What the table should do, said simply: entries in a map, the idle keys of each stripe in a list.
class Model {
 public:
  explicit Model(std::size_t idle_max)
      : idle_max_(std::max<std::size_t>(1, (idle_max + kStripes - 1) / kStripes)) {}

  std::uint64_t try_take(RateTable::Key key, std::size_t bucket, const TokenRate& rate, Time now) {
    if (!rate.limited()) return 0;
    Entry& entry = touch(key);
    return rate.try_take(entry.arrival_ns[bucket], now)
               ? 0
               : rate.wait_ns(entry.arrival_ns[bucket], now);
  }
  bool try_hold(RateTable::Key key, std::uint32_t most) {
    if (most != 0 && entries_[key].holders >= most) return false;
    ++entries_[key].holders;
    idle_[stripe(key)].remove(key);
    return true;
  }
  void release(RateTable::Key key) {
    if (--entries_[key].holders == 0) touch(key);
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t arrival_ns[RateTable::kBuckets] = {};
    std::uint32_t holders = 0;
  };
  static std::size_t stripe(RateTable::Key key) { return key >> 58; }

  Entry& touch(RateTable::Key key) {
    Entry& entry = entries_[key];
    if (entry.holders > 0) return entry;
    auto& idle = idle_[stripe(key)];
    idle.remove(key);
    idle.push_front(key);
    if (idle.size() > idle_max_) {
      entries_.erase(idle.back());
      idle.pop_back();
    }
    return entry;
  }

  std::size_t idle_max_;
  std::map<RateTable::Key, Entry> entries_;
  std::map<std::size_t, std::list<RateTable::Key>> idle_;
};

TEST(RateTable, BehavesAsAMapAndAListDo) {
  for (std::uint64_t round = 0; round < 30; ++round) {
    std::mt19937_64 random(round);
    const std::size_t idle_max = 1 + random() % 600;
    const std::size_t keys = 1 + random() % 1500;
    const TokenRate rates[] = {TokenRate::per_second(1 + random() % 20, random() % 5),
                               TokenRate::per_minute(1 + random() % 60, random() % 5), TokenRate{}};
    RateTable table(idle_max, round);
    Model model(idle_max);
    std::vector<RateTable::Key> held;
    Time now = at_ms(0);
    for (int step = 0; step < 20'000; ++step) {
      now.mono_ns += random() % (20 * kNsPerMs);
      const RateTable::Key key = table.key(std::to_string(random() % keys));
      switch (random() % 4) {
        case 0:
        case 1: {
          const std::size_t bucket = random() % RateTable::kBuckets;
          const TokenRate& rate = rates[random() % 3];
          ASSERT_EQ(table.try_take(key, bucket, rate, now), model.try_take(key, bucket, rate, now))
              << "round " << round << " step " << step;
          break;
        }
        case 2: {
          const auto most = static_cast<std::uint32_t>(random() % 4);
          const bool got = table.try_hold(key, most);
          ASSERT_EQ(got, model.try_hold(key, most)) << "round " << round << " step " << step;
          if (got) held.push_back(key);
          break;
        }
        default:
          if (held.empty()) break;
          std::swap(held[random() % held.size()], held.back());
          table.release(held.back());
          model.release(held.back());
          held.pop_back();
      }
    }
    ASSERT_EQ(table.size(), model.size()) << "round " << round;
  }
}

TEST(RateTable, MemoryIsBoundedWhateverTheKeys) {
  constexpr std::size_t kIdleMax = 16'384;
  const std::int64_t before = test::bytes_allocated();
  RateTable table(kIdleMax, kSeed);
  const TokenRate rate = TokenRate::per_second(1, 1);
  const auto flood = [&](std::uint64_t first) {
    for (std::uint64_t i = first; i < first + 16 * kIdleMax; ++i) {
      static_cast<void>(table.try_take(table.key({reinterpret_cast<const char*>(&i), sizeof i}), 0,
                                       rate, at_ms(0)));
    }
  };
  flood(0);
  EXPECT_EQ(table.size(), kIdleMax);
  const std::int64_t full = test::bytes_allocated();
  EXPECT_LE(full - before, static_cast<std::int64_t>(kIdleMax * 56));
  const std::uint64_t allocations = test::allocations();
  flood(1'000'000'000);
  EXPECT_EQ(test::bytes_allocated(), full);
  EXPECT_EQ(test::allocations(), allocations);
}

TEST(RateTable, ThreadsShareOneLimit) {
  RateTable table(256, kSeed);
  const TokenRate rate = TokenRate::per_second(1, 1000);
  constexpr int kThreads = 3;
  constexpr std::uint32_t kMost = 5;
  const RateTable::Key shared = table.key("shared");
  std::atomic<int> taken{0};
  std::atomic<std::uint32_t> holders{0};
  std::atomic<bool> too_many{false};
  std::atomic<bool> too_large{false};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(static_cast<std::uint64_t>(thread));
      for (int i = 0; i < 20'000; ++i) {
        if (table.try_take(shared, 0, rate, at_ms(0)) == 0) ++taken;
        if (table.try_hold(shared, kMost)) {
          if (++holders > kMost) too_many = true;
          --holders;
          table.release(shared);
        }
        const RateTable::Key other = table.key(std::to_string(random() % 5000));
        static_cast<void>(table.try_take(other, 1, rate, at_ms(0)));
        if (i % 1000 == 0 && table.size() > 256 + kThreads) too_large = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1000) << "asked all the time, so never forgotten";
  EXPECT_FALSE(too_many);
  EXPECT_FALSE(too_large);
  EXPECT_TRUE(table.try_hold(shared, 1)) << "every holder has let go";
}

TEST(RateTableDeathTest, ReleasingWhatNobodyHoldsIsABug) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  RateTable table(16, kSeed);
  EXPECT_DEATH(table.release(table.key("nobody")), "holders");
}

}  // namespace
}  // namespace ringcast::shard
