#include "load/meter.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

TEST(ReadThreads, TellsTheWorkOfAThreadByItsName) {
  std::atomic<bool> worked{false};
  std::atomic<bool> ended{false};
  std::thread worker{[&worked, &ended] {
    pthread_setname_np(pthread_self(), "worker");
    const std::uint64_t begin_ns = thread_cpu_ns();
    while (thread_cpu_ns() - begin_ns < 20'000'000) {
    }
    // The scheduler's account is brought up to date when the thread leaves its CPU.
    worked.store(true);
    worked.notify_one();
    ended.wait(false);
  }};
  worked.wait(false);
  std::this_thread::yield();
  auto use = read_threads(getpid());
  for (int attempt = 0; use && use.value()["worker"] < 20'000'000 && attempt < 1'000; ++attempt) {
    std::this_thread::yield();
    use = read_threads(getpid());
  }
  ended.store(true);
  ended.notify_one();
  worker.join();
  ASSERT_TRUE(use.ok());
  EXPECT_GE(use.value()["worker"], 20'000'000U);
  EXPECT_EQ(use.value().size(), 2U);
}

TEST(ReadThreads, OfAProcessThatIsNotThereIsAnError) {
  EXPECT_FALSE(read_threads(-1).ok());
}

TEST(ProcessUse, OfSeveralProcessesIsTheirSum) {
  ProcessUse sum{.cpu_ns = 1, .pss_bytes = 2, .rss_bytes = 3, .threads = 4};
  sum += {.cpu_ns = 10, .pss_bytes = 20, .rss_bytes = 30, .threads = 40};
  EXPECT_EQ(sum.cpu_ns, 11U);
  EXPECT_EQ(sum.pss_bytes, 22U);
  EXPECT_EQ(sum.rss_bytes, 33U);
  EXPECT_EQ(sum.threads, 44U);
}

}  // namespace
}  // namespace ringcast::load
