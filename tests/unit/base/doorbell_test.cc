#include "ringcast/base/doorbell.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/base/spsc_queue.h"

namespace ringcast {
namespace {

TEST(Doorbell, NobodyIsWokenWhoDoesNotSleep) {
  Doorbell bell;
  EXPECT_FALSE(bell.must_wake());
  bell.about_to_sleep();
  bell.woke_up();
  EXPECT_FALSE(bell.must_wake());
}

TEST(Doorbell, OneWakeForEachSleep) {
  Doorbell bell;
  bell.about_to_sleep();
  EXPECT_TRUE(bell.must_wake());
  EXPECT_FALSE(bell.must_wake());
  bell.about_to_sleep();
  EXPECT_TRUE(bell.must_wake());
}

TEST(Doorbell, OneOfManyWakersRings) {
  for (int round = 0; round < 200; ++round) {
    Doorbell bell;
    bell.about_to_sleep();
    std::atomic<int> rang{0};
    std::vector<std::thread> wakers;
    for (int i = 0; i < 3; ++i) {
      wakers.emplace_back([&] { rang += bell.must_wake() ? 1 : 0; });
    }
    for (std::thread& waker : wakers) waker.join();
    ASSERT_EQ(rang, 1);
  }
}

TEST(Doorbell, NoWakeIsLostBetweenTwoThreads) {
  constexpr std::uint64_t kValues = 200'000;
  Doorbell bell;
  SpscQueue<std::uint64_t> queue(16);
  std::counting_semaphore<1 << 20> ring{0};
  std::atomic<bool> lost{false};
  std::atomic<std::uint64_t> received{0};

  std::thread sleeper([&] {
    std::uint64_t value = 0;
    while (received < kValues && !lost) {
      if (queue.try_pop(value)) {
        ++received;
        continue;
      }
      bell.about_to_sleep();
      if (!queue.empty()) {
        bell.woke_up();
        continue;
      }
      // Only a lost wake ever waits this long.
      if (!ring.try_acquire_for(std::chrono::seconds(20))) lost = true;
      bell.woke_up();
    }
  });
  for (std::uint64_t i = 0; i < kValues && !lost; ++i) {
    while (!queue.try_push(i) && !lost) std::this_thread::yield();
    if (bell.must_wake()) ring.release();
  }
  sleeper.join();
  EXPECT_FALSE(lost);
  EXPECT_EQ(received, kValues);
}

}  // namespace
}  // namespace ringcast
