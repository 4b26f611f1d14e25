#include "ringcast/auth/password_workers.h"

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

namespace ringcast::auth {
namespace {

// htpasswd -nbB -C 5 alice 'correct horse': 2 ms a check.
constexpr std::string_view kPassword = "correct horse";
constexpr std::string_view kHash = "$2y$05$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy";

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

std::vector<PasswordVerdict> take(PasswordDesk& desk, std::uint32_t shard) {
  std::vector<PasswordVerdict> verdicts;
  desk.take(shard, verdicts);
  return verdicts;
}

TEST(PasswordWorkers, TellWhetherThePasswordFits) {
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) { woken.add(); });
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

TEST(PasswordWorkers, UnknownUserIsRefusedWhateverTheHashSays) {
  Count woken;
  PasswordWorkers workers({.shards = 1, .threads = 1}, [&](std::uint32_t) { woken.add(); });
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword, false)));
  woken.wait_for(1);
  const auto verdicts = take(workers, 0);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_FALSE(verdicts[0].fits);
}

TEST(PasswordWorkers, EachShardGetsItsOwnVerdictsOnce) {
  constexpr std::uint32_t kShards = 3;
  constexpr std::uint64_t kRequests = 40;
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
    std::vector<std::thread> threads;
    for (std::uint32_t index = 0; index < kShards; ++index) {
      threads.emplace_back([&, index] {
        Shard& shard = shards[index];
        for (std::uint64_t i = 0; i < kRequests; ++i) {
          EXPECT_TRUE(workers.submit(
              check_of(index, index * 1000 + i, (index + i) % 2 == 0 ? kPassword : "wrong")));
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
  PasswordWorkers workers({.shards = 1, .threads = 1, .queue_max = 2}, [&](std::uint32_t) {
    woken.add();
    release.wait_for(1);
  });
  ASSERT_TRUE(workers.submit(check_of(0, 1, kPassword)));
  woken.wait_for(1);  // the only thread is held up now
  EXPECT_TRUE(workers.submit(check_of(0, 2, kPassword)));
  EXPECT_TRUE(workers.submit(check_of(0, 3, kPassword)));
  EXPECT_FALSE(workers.submit(check_of(0, 4, kPassword)));
  release.add();
  woken.wait_for(3);
  EXPECT_TRUE(workers.submit(check_of(0, 5, kPassword)));
  woken.wait_for(4);
  std::vector<std::uint64_t> requests;
  for (const PasswordVerdict& verdict : take(workers, 0)) requests.push_back(verdict.request);
  EXPECT_EQ(requests, (std::vector<std::uint64_t>{1, 2, 3, 5}));
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
      ASSERT_TRUE(check.password.empty());
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
  // htpasswd -nbB -C 10: 60 ms, of which 64 are 4 s.
  constexpr std::string_view kSlowHash =
      "$2y$10$VCrtr5WLtjQJiaNQm4opRe13vQz.nA7o.Modn1r0XXpZxHBKRDBN2";
  constexpr int kChecks = 64;
  Count woken;
  {
    PasswordWorkers workers({.shards = 1, .threads = 1, .queue_max = kChecks},
                            [&](std::uint32_t) { woken.add(); });
    for (int i = 0; i < kChecks; ++i) {
      PasswordCheck check = check_of(0, 1, kPassword);
      check.hash = kSlowHash;
      ASSERT_TRUE(workers.submit(std::move(check)));
    }
    woken.wait_for(1);
  }
  EXPECT_LT(woken.value(), kChecks / 2);
}

}  // namespace
}  // namespace ringcast::auth
