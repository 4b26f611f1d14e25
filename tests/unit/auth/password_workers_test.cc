#include "ringcast/auth/password_workers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

namespace ringcast::auth {
namespace {

// Made with crypt(3). As cheap as there are (0.5 ms a check): where every CPU is busy, the workers
// get a few milliseconds of each second.
constexpr std::string_view kPassword = "correct horse";
constexpr std::string_view kHash =
    "$6$rounds=1000$ringcast$Aw8zl8bzMfThnqWGF2673zN6w68t0Nn1RxLbDUhFhGdtwm0g3vMFMXfvD3bJaiTkY7WFc2"
    "smP.X4gLWNj2WjO1";

// Of no kind that is taken: fits nothing, at no cost.
constexpr std::string_view kNoHash = "x";

PasswordCheck check_of(std::uint32_t shard, std::uint64_t request, std::string_view password,
                       bool known = true) {
  return PasswordCheck{.shard = shard,
                       .request = request,
                       .password = std::string(password),
                       .hash = std::string(kHash),
                       .known = known};
}

// Counts what is to happen, on any thread.
class Count {
 public:
  void add() {
    {
      const std::lock_guard lock(mutex_);
      ++value_;
    }
    changed_.notify_all();
  }
  void wait_for(int wanted) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return value_ >= wanted; });
  }
  [[nodiscard]] int value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

// Where every CPU is busy, a thread of the lowest priority waits a second for each of its turns.
// The tests that are not about that need not. Where it is not permitted, they wait.
void hurry_workers() {
  const sched_param none{};
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    sched_setscheduler(std::stoi(thread.path().filename().string()), SCHED_OTHER, &none);
  }
}

std::vector<PasswordVerdict> take(PasswordDesk& desk, std::uint32_t shard) {
  std::vector<PasswordVerdict> verdicts;
  desk.take(shard, verdicts);
  return verdicts;
}

using Requests = std::vector<std::uint64_t>;

Requests requests_of(const std::vector<PasswordVerdict>& verdicts) {
  Requests requests;
  for (const PasswordVerdict& verdict : verdicts) requests.push_back(verdict.request);
  return requests;
}

TEST(PasswordWorkers, TellWhetherThePasswordFits) {
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) { woken.add(); });
  hurry_workers();
  EXPECT_FALSE(workers.has_verdicts(0));
  ASSERT_TRUE(workers.submit(check_of(0, 7, kPassword)));
  ASSERT_TRUE(workers.submit(check_of(0, 8, "wrong")));
  woken.wait_for(2);
  EXPECT_TRUE(workers.has_verdicts(0));
  const auto verdicts = take(workers, 0);
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].request, 7U);
  EXPECT_TRUE(verdicts[0].fits);
  EXPECT_EQ(verdicts[1].request, 8U);
  EXPECT_FALSE(verdicts[1].fits);
  EXPECT_FALSE(workers.has_verdicts(0));
}

TEST(PasswordWorkers, TakingReplacesWhatWasThere) {
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) { woken.add(); });
  hurry_workers();
  std::vector<PasswordVerdict> verdicts(3);
  workers.take(0, verdicts);
  EXPECT_TRUE(verdicts.empty());
  ASSERT_TRUE(workers.submit(check_of(0, 7, kPassword)));
  woken.wait_for(1);
  verdicts.resize(3);
  workers.take(0, verdicts);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].request, 7U);
  workers.take(0, verdicts);
  EXPECT_TRUE(verdicts.empty());
}

// proc(5): S, when it waits for something.
char state_of(pid_t thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(stat, line);
  const std::size_t name_end = line.rfind(") ");
  return name_end == std::string::npos ? '?' : line[name_end + 2];
}

TEST(PasswordWorkers, WakeUpForEachCheck) {
  Count woken;
  std::atomic<pid_t> thread{0};
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) {
    thread.store(gettid());
    woken.add();
  });
  hurry_workers();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
    woken.wait_for(i);
    while (state_of(thread.load()) != 'S') std::this_thread::yield();
  }
}

TEST(PasswordWorkers, UnknownUserIsRefusedWhateverTheHashSays) {
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) { woken.add(); });
  hurry_workers();
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword, false)));
  woken.wait_for(1);
  const auto verdicts = take(workers, 0);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_FALSE(verdicts[0].fits);
}

TEST(PasswordWorkers, EachShardGetsItsOwnVerdictsOnce) {
  constexpr std::uint32_t kShards = 3;
  constexpr std::uint64_t kRequests = 10;
  // One thread for each shard, as in the server: it submits, is woken, and takes.
  struct Shard {
    std::atomic<int> wakes{0};
    std::map<std::uint64_t, bool> verdicts;
    int repeated = 0;
  };
  std::vector<Shard> shards(kShards);
  {
    PasswordWorkers workers({.shards = kShards, .threads = 2, .queue_max = 256},
                            [&](std::uint32_t index) {
                              shards[index].wakes.fetch_add(1, std::memory_order_release);
                              shards[index].wakes.notify_one();
                            });
    hurry_workers();
    std::vector<std::thread> threads;
    for (std::uint32_t index = 0; index < kShards; ++index) {
      threads.emplace_back([&, index] {
        Shard& shard = shards[index];
        for (std::uint64_t i = 0; i < kRequests; ++i) {
          PasswordCheck check = check_of(index, index * 1000 + i, kPassword);
          if ((index + i) % 2 != 0) check.hash = kNoHash;
          EXPECT_TRUE(workers.submit(std::move(check)));
        }
        std::vector<PasswordVerdict> verdicts;
        for (int seen = 0; shard.verdicts.size() < kRequests;) {
          shard.wakes.wait(seen, std::memory_order_acquire);
          seen = shard.wakes.load(std::memory_order_acquire);
          if (!workers.has_verdicts(index)) continue;
          workers.take(index, verdicts);
          for (const PasswordVerdict& verdict : verdicts) {
            shard.repeated += shard.verdicts.emplace(verdict.request, verdict.fits).second ? 0 : 1;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (std::uint32_t index = 0; index < kShards; ++index) {
    EXPECT_EQ(shards[index].repeated, 0);
    ASSERT_EQ(shards[index].verdicts.size(), kRequests);
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      ASSERT_TRUE(shards[index].verdicts.contains(index * 1000 + i));
      EXPECT_EQ(shards[index].verdicts.at(index * 1000 + i), (index + i) % 2 == 0);
    }
  }
}

TEST(PasswordWorkers, RefuseMoreThanTheQueueHolds) {
  Count woken;
  Count release;
  PasswordWorkers workers({.shards = 2, .threads = 1, .queue_max = 2}, [&](std::uint32_t) {
    woken.add();
    release.wait_for(1);
  });
  hurry_workers();
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
  woken.wait_for(1);  // the only thread is held up now
  EXPECT_TRUE(workers.submit(check_of(0, 2, kPassword)));
  EXPECT_TRUE(workers.submit(check_of(1, 3, kPassword)));
  EXPECT_FALSE(workers.submit(check_of(0, 4, kPassword)));
  EXPECT_FALSE(workers.submit(check_of(1, 4, kPassword)));
  release.add();
  woken.wait_for(3);
  EXPECT_TRUE(workers.submit(check_of(0, 5, kPassword)));
  woken.wait_for(4);
  EXPECT_EQ(requests_of(take(workers, 0)), (Requests{1, 2, 5}));
  EXPECT_EQ(requests_of(take(workers, 1)), Requests{3});
}

// So many checks at once that shards and workers meet in the middle of everything. With one shard,
// a worker has a CPU and is always choosing from a long queue; with eight, there are more threads
// than CPUs, and most are displaced somewhere.
class CrowdedPasswordWorkers : public testing::TestWithParam<std::uint32_t> {};

TEST_P(CrowdedPasswordWorkers, RefuseAndLoseNothingWhileTheQueueHasRoom) {
  const std::uint32_t shards = GetParam();
  const std::uint64_t requests = 4000 / shards;
  std::atomic<int> wakes{0};
  PasswordWorkers workers({.shards = shards, .threads = 2, .queue_max = 4000}, [&](std::uint32_t) {
    wakes.fetch_add(1);
    wakes.notify_one();
  });
  std::atomic<int> refused{0};
  const auto submit_some = [&](std::uint32_t shard, std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) {
      PasswordCheck check = check_of(shard, i, kPassword);
      check.hash = kNoHash;
      if (!workers.submit(std::move(check))) refused.fetch_add(1);
    }
  };
  for (std::uint32_t shard = 0; shard < shards; ++shard) submit_some(shard, 0, requests / 2);
  wakes.wait(0);  // a worker is busy now
  std::vector<std::thread> threads;
  std::latch start(shards);
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    threads.emplace_back([&, shard] {
      start.arrive_and_wait();
      submit_some(shard, requests / 2, requests);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(refused.load(), 0);
  hurry_workers();
  std::vector<Requests> answered(shards);
  for (int seen = 0; seen < static_cast<int>(shards * requests);) {
    wakes.wait(seen);
    seen = wakes.load();
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      for (const std::uint64_t request : requests_of(take(workers, shard))) {
        answered[shard].push_back(request);
      }
    }
  }
  Requests all(requests);
  std::iota(all.begin(), all.end(), 0);
  for (Requests& of_shard : answered) {
    std::ranges::sort(of_shard);  // two workers finish in any order
    EXPECT_EQ(of_shard, all);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, CrowdedPasswordWorkers, testing::Values(1, 8));

TEST(PasswordWorkers, TakeExactlyWhatTheQueueHoldsFromAllShardsAtOnce) {
  constexpr std::uint32_t kShards = 4;
  constexpr int kQueueMax = 2000;
  Count woken;
  Count release;
  PasswordWorkers workers({.shards = kShards, .threads = 1, .queue_max = kQueueMax},
                          [&](std::uint32_t) {
                            woken.add();
                            release.wait_for(1);
                          });
  hurry_workers();
  ASSERT_TRUE(workers.submit(check_of(0, 0, kPassword)));
  woken.wait_for(1);
  std::atomic<int> taken{0};
  std::latch start(kShards);
  std::vector<std::thread> threads;
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    threads.emplace_back([&, shard] {
      start.arrive_and_wait();
      for (std::uint64_t i = 0; i < kQueueMax; ++i) {
        if (workers.submit(check_of(shard, i, kPassword))) taken.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), kQueueMax);
  release.add();
}

TEST(PasswordWorkers, HashNothingThatWasCancelled) {
  Count woken;
  Count release;
  PasswordWorkers workers({.shards = 2, .threads = 1, .queue_max = 4}, [&](std::uint32_t) {
    woken.add();
    release.wait_for(woken.value());
  });
  hurry_workers();
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
  woken.wait_for(1);
  for (const std::uint64_t request : Requests{2, 3, 4}) {
    EXPECT_TRUE(workers.submit(check_of(0, request, kPassword)));
  }
  EXPECT_TRUE(workers.submit(check_of(1, 3, kPassword)));
  workers.cancel(0, 1);  // was begun
  workers.cancel(0, 3);
  workers.cancel(1, 4);  // is none
  for (int i = 0; i < 3; ++i) release.add();
  woken.wait_for(4);
  EXPECT_EQ(requests_of(take(workers, 0)), (Requests{1, 2, 4}));
  EXPECT_EQ(requests_of(take(workers, 1)), Requests{3});
  // All places are free, no more and no less.
  for (const std::uint64_t request : Requests{5, 6, 7, 8}) {
    EXPECT_TRUE(workers.submit(check_of(0, request, kPassword)));
  }
  EXPECT_FALSE(workers.submit(check_of(0, 9, kPassword)));
  for (int i = 0; i < 5; ++i) release.add();
}

TEST(PasswordWorkers, ShardsHaveTurns) {
  Count woken;
  Count release;
  std::vector<std::uint32_t> order;  // written by the only thread
  PasswordWorkers workers({.shards = 3, .threads = 1}, [&](std::uint32_t shard) {
    order.push_back(shard);
    woken.add();
    release.wait_for(1);
  });
  hurry_workers();
  ASSERT_TRUE(workers.submit(check_of(0, 0, kPassword)));
  woken.wait_for(1);
  for (const std::uint64_t request : Requests{1, 2, 3}) {
    EXPECT_TRUE(workers.submit(check_of(0, request, kPassword)));
  }
  for (const std::uint64_t request : Requests{1, 2}) {
    EXPECT_TRUE(workers.submit(check_of(2, request, kPassword)));
  }
  EXPECT_TRUE(workers.submit(check_of(1, 1, kPassword)));
  release.add();
  woken.wait_for(7);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 1, 2, 0, 2, 0, 0}));
  EXPECT_EQ(requests_of(take(workers, 0)), (Requests{0, 1, 2, 3}));
}

TEST(PasswordWorkers, WipeThePasswordThatIsHandedOver) {
  Count release;
  PasswordWorkers workers({.shards = 1, .threads = 1, .queue_max = 1},
                          [&](std::uint32_t) { release.wait_for(1); });
  int refused = 0;
  // Short texts are inside the string, where a move leaves them; long ones are elsewhere, and stay
  // with the caller when they are refused.
  for (const std::string& password : {std::string("hunter2"), std::string(100, 'p')}) {
    for (int i = 0; i < 4; ++i) {
      PasswordCheck check = check_of(0, 1, password);
      const bool taken = workers.submit(std::move(check));
      refused += taken ? 0 : 1;
      EXPECT_TRUE(check.password.empty());
      const std::string_view trace(check.password.data(), check.password.capacity());
      EXPECT_EQ(trace.find_first_not_of('\0'), std::string_view::npos) << taken;
    }
  }
  EXPECT_GE(refused, 5);
  release.add();
}

TEST(PasswordWorkers, RunAtTheLowestPriorityWithoutSignals) {
  struct Seen {
    int policy = -1;
    std::string name;
    bool all_blocked = false;
  } seen;
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  ASSERT_EQ(sigismember(&before, SIGTERM), 0);
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) {
    seen.policy = sched_getscheduler(0);
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    seen.name = name;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    seen.all_blocked = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGHUP) == 1 &&
                       sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGUSR1) == 1;
    woken.add();
  });
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
  woken.wait_for(1);
  EXPECT_EQ(seen.policy, SCHED_IDLE);
  EXPECT_EQ(seen.name, "password 0");
  EXPECT_TRUE(seen.all_blocked);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&after, SIGTERM), 0) << "the thread that makes them keeps its signals";
}

TEST(PasswordWorkers, EndWithoutHashingWhatWaits) {
  constexpr int kChecks = 2000;  // a second
  Count woken;
  {
    PasswordWorkers workers({.shards = 1, .threads = 1, .queue_max = kChecks},
                            [&](std::uint32_t) { woken.add(); });
    for (int i = 0; i < kChecks; ++i) ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
    woken.wait_for(1);
  }
  EXPECT_LT(woken.value(), kChecks);
}

}  // namespace
}  // namespace ringcast::auth
