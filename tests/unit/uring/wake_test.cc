#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include <dirent.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "fixture.h"

namespace ringcast::uring {
namespace {

/// True when the kernel has the thread asleep; so a wake-up of it is one.
bool is_asleep(int thread_id) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread_id) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end_of_name = line.rfind(')');
  return end_of_name != std::string::npos && line.size() > end_of_name + 2 &&
         line[end_of_name + 2] == 'S';
}

std::set<int> rings_of_process() {
  std::set<int> rings;
  DIR* directory = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(directory)) {
    char target[64] = {};
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    if (::readlink(path.c_str(), target, sizeof target - 1) > 0 &&
        std::string_view(target) == "anon_inode:[io_uring]") {
      rings.insert(std::stoi(entry->d_name));
    }
  }
  ::closedir(directory);
  return rings;
}

/// A thread that owns a ring and sleeps on it; counts the wakes.
class Sleeper {
 public:
  explicit Sleeper(const RingOptions& options) : thread_([this, options] { run(options); }) {
    ring_.wait(nullptr);
  }
  ~Sleeper() {
    stop_ = true;
    ring_.load()->wake_from_outside();
    released_ = true;
    released_.notify_one();
    thread_.join();
  }

  [[nodiscard]] Ring& ring() { return *ring_.load(); }
  [[nodiscard]] int wakes() const { return wakes_.load(); }

  void await_sleep() const {
    while (!is_asleep(thread_id_.load())) std::this_thread::yield();
  }
  [[nodiscard]] bool await_wakes(int count) const {
    const auto end = std::chrono::steady_clock::now() + kPatience / 2;
    while (wakes_.load() < count && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    return wakes_.load() == count;
  }

 private:
  void run(const RingOptions& options) {
    Result<std::unique_ptr<Ring>> ring = Ring::create(options);
    ASSERT_TRUE(ring.ok()) << ring.error().message;
    thread_id_ = ::gettid();
    ring_ = ring.value().get();
    ring_.notify_one();
    Completion completion;
    while (!stop_) {
      ring.value()->wait(std::nullopt);
      while (ring.value()->next(completion)) {
        EXPECT_EQ(completion.operation, Operation::wake);
        ++wakes_;
      }
    }
    released_.wait(false);  // the last waker is out of the ring
  }

  std::atomic<Ring*> ring_{nullptr};
  std::atomic<int> thread_id_{0};
  std::atomic<int> wakes_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> released_{false};
  std::thread thread_;
};

struct WakeWay {
  const char* name;
  bool by_message;
};

class WakeTest : public testing::TestWithParam<WakeWay> {
 protected:
  WakeTest() {
    options_ = small_options(Descriptors::direct);
    options_.wake_by_message = GetParam().by_message;
  }
  RingOptions options_;
};
INSTANTIATE_TEST_SUITE_P(Ways, WakeTest,
                         testing::Values(WakeWay{"message", true}, WakeWay{"eventfd", false}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(WakeTest, RingOfAnotherThreadWakesTheSleeperEachTime) {
  Sleeper sleeper(options_);
  Result<std::unique_ptr<Ring>> mine = Ring::create(options_);
  ASSERT_TRUE(mine.ok());
  for (int i = 1; i != 50; ++i) {
    sleeper.await_sleep();
    mine.value()->wake(sleeper.ring());
    ASSERT_TRUE(sleeper.await_wakes(i)) << sleeper.wakes() << " of " << i;
  }
  Completion none;
  EXPECT_FALSE(mine.value()->next(none));
}

TEST_P(WakeTest, ThreadWithoutARingWakesTheSleeperEachTime) {
  Sleeper sleeper(options_);
  for (int i = 1; i != 50; ++i) {
    sleeper.await_sleep();
    sleeper.ring().wake_from_outside();
    ASSERT_TRUE(sleeper.await_wakes(i)) << sleeper.wakes() << " of " << i;
  }
}

TEST_P(WakeTest, WakeBeforeTheSleepIsNotLost) {
  Result<std::unique_ptr<Ring>> mine = Ring::create(options_);
  Result<std::unique_ptr<Ring>> other = Ring::create(options_);
  ASSERT_TRUE(mine.ok());
  ASSERT_TRUE(other.ok());
  Completion completion;
  for (int i = 0; i != 3; ++i) {
    mine.value()->wake(*other.value());
    other.value()->wait(std::nullopt);  // would sleep for ever
    ASSERT_TRUE(other.value()->next(completion));
    EXPECT_EQ(completion.operation, Operation::wake);
  }
}

TEST_P(WakeTest, WakeTakesAlongWhatWasPrepared) {
  Sleeper sleeper(options_);
  Result<std::unique_ptr<Ring>> mine = Ring::create(options_);
  ASSERT_TRUE(mine.ok());
  mine.value()->cancel(Operation::receive, Handle{Slot{3}, 3});
  mine.value()->wake(sleeper.ring());
  EXPECT_TRUE(sleeper.await_wakes(1));
  mine.value()->wait(kPatience);
  Completion completion;
  ASSERT_TRUE(mine.value()->next(completion));
  EXPECT_EQ(completion.operation, Operation::cancel);
  EXPECT_EQ(completion.result, -ENOENT);
}

// What a kernel that does not take the message does: the descriptor of the sleeper's ring is
// replaced by one that is no ring, while the sleeper goes on by its registered one.
TEST(WakeByMessage, RefusedMessageFallsBackToTheEventFd) {
  const RingOptions options = small_options(Descriptors::direct);
  Result<std::unique_ptr<Ring>> mine = Ring::create(options);
  ASSERT_TRUE(mine.ok());
  const std::set<int> before = rings_of_process();
  Sleeper sleeper(options);
  std::set<int> rings = rings_of_process();
  for (const int fd : before) rings.erase(fd);
  ASSERT_EQ(rings.size(), 1u);
  const int no_ring = ::eventfd(0, EFD_CLOEXEC);
  ASSERT_GE(::dup2(no_ring, *rings.begin()), 0);
  ::close(no_ring);
  for (int i = 1; i != 5; ++i) {
    sleeper.await_sleep();
    mine.value()->wake(sleeper.ring());
    ASSERT_TRUE(sleeper.await_wakes(i));
  }
}

Ring* signalled_ring = nullptr;

TEST(WakeFromOutside, WorksInASignalHandler) {
  Result<std::unique_ptr<Ring>> ring = Ring::create(small_options(Descriptors::direct));
  ASSERT_TRUE(ring.ok());
  signalled_ring = ring.value().get();
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) { signalled_ring->wake_from_outside(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &old), 0);
  ::raise(SIGUSR1);
  ring.value()->wait(kPatience);
  Completion completion;
  ASSERT_TRUE(ring.value()->next(completion));
  EXPECT_EQ(completion.operation, Operation::wake);
  ::sigaction(SIGUSR1, &old, nullptr);
}

}  // namespace
}  // namespace ringcast::uring
