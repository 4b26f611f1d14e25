#include "ringcast/base/spsc_queue.h"

#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

TEST(SpscQueue, ValuesLeaveInTheOrderTheyCame) {
  SpscQueue<int> queue(4);
  EXPECT_TRUE(queue.empty());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue.try_push(i));
  EXPECT_FALSE(queue.empty());
  int value = -1;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(queue.try_pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(queue.try_pop(value));
  EXPECT_TRUE(queue.empty());
}

TEST(SpscQueue, CapacityIsAtLeastWhatWasAskedFor) {
  EXPECT_EQ(SpscQueue<int>(0).capacity(), 2u);
  EXPECT_EQ(SpscQueue<int>(2).capacity(), 2u);
  EXPECT_EQ(SpscQueue<int>(5).capacity(), 8u);
}

TEST(SpscQueue, FullQueueTakesNothing) {
  SpscQueue<int> queue(2);
  ASSERT_TRUE(queue.try_push(1));
  ASSERT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  int value = 0;
  ASSERT_TRUE(queue.try_pop(value));
  EXPECT_EQ(value, 1);
  ASSERT_TRUE(queue.try_push(4));
  ASSERT_TRUE(queue.try_pop(value));
  EXPECT_EQ(value, 2);
  ASSERT_TRUE(queue.try_pop(value));
  EXPECT_EQ(value, 4) << "3 was refused, so it must not appear";
}

TEST(SpscQueue, WrapsManyTimes) {
  SpscQueue<std::uint64_t> queue(8);
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    for (std::uint64_t j = 0; j < 1 + i % 8; ++j) ASSERT_TRUE(queue.try_push(i * 8 + j));
    for (std::uint64_t j = 0; j < 1 + i % 8; ++j) {
      ASSERT_TRUE(queue.try_pop(value));
      ASSERT_EQ(value, i * 8 + j);
    }
  }
}

TEST(SpscQueue, TwoThreadsExchangeEveryValueOnceInOrder) {
  struct Value {
    std::uint64_t number;
    std::uint64_t complement;
  };
  constexpr std::uint64_t kValues = 500'000;
  SpscQueue<Value> queue(64);
  std::uint64_t faults = 0;
  std::thread consumer([&] {
    for (std::uint64_t next = 0; next < kValues;) {
      Value value{};
      if (!queue.try_pop(value)) {
        std::this_thread::yield();
        continue;
      }
      if (value.number != next || value.complement != ~next) ++faults;
      ++next;
    }
  });
  for (std::uint64_t i = 0; i < kValues; ++i) {
    while (!queue.try_push({i, ~i})) std::this_thread::yield();
  }
  consumer.join();
  EXPECT_EQ(faults, 0u);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace ringcast
