#include "ringcast/auth/password_workers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>
#include <sched.h>

#include "ringcast/auth/password_file.h"
#include "ringcast/base/assert.h"

#include "wipe.h"

namespace ringcast::auth {
namespace {

constexpr int kTries = 100;

// While it lives, this thread and those that it starts take no signals: the handlers, or signalfd,
// of others have them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

/// A worker that is displaced while it holds a lock cannot make an event loop wait for long: the
/// loop would leave its CPU idle, and a worker is bound to none. `take` does not even wait for
/// that.
struct PasswordWorkers::Impl {
  // Of one shard. Verdicts stay until they are taken: no more than it submitted.
  struct alignas(64) Box {
    std::mutex mutex;
    std::vector<PasswordVerdict> verdicts;
    std::atomic<bool> has_verdicts{false};  // written under the mutex
  };

  Impl(const Options& given, std::function<void(std::uint32_t)> wake_shard)
      : options(given), wake(std::move(wake_shard)), boxes(given.shards) {}

  void run(std::uint32_t index);
  void deliver(std::uint32_t shard, PasswordVerdict verdict);

  const Options options;
  const std::function<void(std::uint32_t)> wake;
  std::vector<Box> boxes;

  std::mutex mutex;  // of the two below
  std::deque<PasswordCheck> queue;
  bool stopping = false;
  std::condition_variable changed;

  std::vector<std::thread> threads;
};

void PasswordWorkers::Impl::run(std::uint32_t index) {
  pthread_setname_np(pthread_self(), ("password " + std::to_string(index)).c_str());
  const sched_param none{};
  // Only a wish: a kernel or a container that refuses it does not stop the server.
  sched_setscheduler(0, SCHED_IDLE, &none);

  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (stopping) return;
    PasswordCheck check = std::move(queue.front());
    wipe(queue.front().password);
    queue.pop_front();
    lock.unlock();

    // Hashes first, whoever it is: an unknown user takes as long.
    const bool fits = password_fits(check.password, check.hash);
    wipe(check.password);
    deliver(check.shard, PasswordVerdict{check.request, fits && check.known});
    lock.lock();
  }
}

void PasswordWorkers::Impl::deliver(std::uint32_t shard, PasswordVerdict verdict) {
  Box& box = boxes[shard];
  {
    const std::lock_guard lock(box.mutex);
    box.verdicts.push_back(verdict);
    box.has_verdicts.store(true, std::memory_order_relaxed);  // the wake-up orders it
  }
  wake(shard);
}

PasswordWorkers::PasswordWorkers(const Options& options,
                                 std::function<void(std::uint32_t shard)> wake)
    : impl_(std::make_unique<Impl>(options, std::move(wake))) {
  RC_ASSERT(options.shards > 0 && options.threads > 0 && options.queue_max > 0);
  const SignalsBlocked blocked;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    impl_->threads.emplace_back([impl = impl_.get(), i] { impl->run(i); });
  }
}

PasswordWorkers::~PasswordWorkers() {
  // The hash at hand is waited for: no longer with what the others leave.
  const sched_param normal{};
  for (std::thread& thread : impl_->threads) {
    pthread_setschedparam(thread.native_handle(), SCHED_OTHER, &normal);
  }
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
  for (PasswordCheck& check : impl_->queue) wipe(check.password);
}

bool PasswordWorkers::submit(PasswordCheck&& check) {
  RC_ASSERT(check.shard < impl_->options.shards);
  bool taken = false;
  {
    // Held for a few moves of a queue, but by threads that any other displaces: not waited for.
    std::unique_lock lock(impl_->mutex, std::defer_lock);
    for (int tries = 0; tries < kTries && !lock.owns_lock(); ++tries) (void)lock.try_lock();
    taken = lock.owns_lock() && impl_->queue.size() < impl_->options.queue_max;
    if (taken) impl_->queue.push_back(std::move(check));
  }
  if (taken) impl_->changed.notify_one();
  // NOLINTNEXTLINE(bugprone-use-after-move): a move leaves the bytes of a short password behind
  wipe(check.password);
  return taken;
}

void PasswordWorkers::cancel(std::uint32_t shard, std::uint64_t request) {
  // What is not cancelled is hashed in vain, no more.
  const std::unique_lock lock(impl_->mutex, std::try_to_lock);
  if (!lock.owns_lock()) return;
  const auto waiting =
      std::ranges::find_if(impl_->queue, [shard, request](const PasswordCheck& check) {
        return check.shard == shard && check.request == request;
      });
  if (waiting == impl_->queue.end()) return;
  wipe(waiting->password);
  impl_->queue.erase(waiting);
}

bool PasswordWorkers::has_verdicts(std::uint32_t shard) const {
  return impl_->boxes[shard].has_verdicts.load(std::memory_order_relaxed);
}

void PasswordWorkers::take(std::uint32_t shard, std::vector<PasswordVerdict>& out) {
  out.clear();
  Impl::Box& box = impl_->boxes[shard];
  const std::unique_lock lock(box.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return;
  out.swap(box.verdicts);
  box.has_verdicts.store(false, std::memory_order_relaxed);
}

}  // namespace ringcast::auth
