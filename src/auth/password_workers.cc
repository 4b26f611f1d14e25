#include "ringcast/auth/password_workers.h"

#include <algorithm>
#include <atomic>
#include <csignal>
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

// Goes from a shard to the workers and comes back to it. The shard makes and deletes it: a worker
// that is displaced in the midst of `free` may hold up whoever has that memory.
struct Note {
  enum class Kind : std::uint8_t {
    check,    // to the workers
    cancel,   // to the workers: names the check
    verdict,  // to the shard
    nothing,  // to the shard: was cancelled, or did it
  };

  explicit Note(Kind given_kind, const PasswordCheck& given = {})
      : kind(given_kind), check(given) {}
  ~Note() { wipe(check.password); }
  Note(const Note&) = delete;
  Note& operator=(const Note&) = delete;

  Kind kind;
  bool fits = false;
  PasswordCheck check;
  Note* below = nullptr;  // in a pile
};

// Any thread puts notes on it, and takes all of them at once: nobody ever waits for a thread that
// is displaced in between. Taking all is also why no other note can pass for one that was seen
// before.
class alignas(64) Pile {
 public:
  Pile() = default;
  ~Pile() {
    take([](std::unique_ptr<Note>) {});
  }
  Pile(const Pile&) = delete;
  Pile& operator=(const Pile&) = delete;

  void put(std::unique_ptr<Note> given) {
    Note* const note = given.release();
    note->below = top_.load(std::memory_order_relaxed);
    // The release pairs with the acquire in `take`, also for the notes below: they are of the same
    // release sequence.
    while (!top_.compare_exchange_weak(note->below, note, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
  }

  [[nodiscard]] bool empty() const { return top_.load(std::memory_order_relaxed) == nullptr; }

  // Gives them to `use`, the oldest first.
  template <class Use>
  void take(Use use) {
    Note* top = top_.exchange(nullptr, std::memory_order_acquire);
    Note* turned = nullptr;
    while (top != nullptr) {
      Note* const below = std::exchange(top->below, turned);
      turned = std::exchange(top, below);
    }
    while (turned != nullptr) {
      std::unique_ptr<Note> note(turned);
      turned = note->below;
      use(std::move(note));
    }
  }

 private:
  std::atomic<Note*> top_{nullptr};
};

}  // namespace

/// Shards and workers meet in piles and counts, without a lock: a worker may be displaced anywhere,
/// for as long as others want its CPU, and no event loop waits for it.
///
///     submit, cancel ──► arrived ──► waiting ──► a hash ──► verdicts ──► take
///        any thread                └─── workers ───┘      of a shard     its thread
struct PasswordWorkers::Impl {
  Impl(const Options& given, std::function<void(std::uint32_t)> wake_shard)
      : options(given), wake(std::move(wake_shard)), verdicts(given.shards) {
    waiting.reserve(options.queue_max);
  }

  void run(std::uint32_t index);
  bool take_place();
  std::unique_ptr<Note> next();
  void forget(const PasswordCheck& cancelled);
  void give_back(std::unique_ptr<Note> note, Note::Kind kind);

  const Options options;
  const std::function<void(std::uint32_t)> wake;

  Pile arrived;
  std::vector<Pile> verdicts;                // of each shard; what is in there was in `arrived`
  std::atomic<std::size_t> places_taken{0};  // by checks in `arrived` and `waiting`
  std::atomic<std::uint32_t> news{0};        // changes with each check, and to end
  std::atomic<bool> stopping{false};

  std::mutex mutex;  // of the two below; the workers' alone
  std::vector<std::unique_ptr<Note>> waiting;
  std::uint32_t turn = 0;  // the shard that comes first

  std::vector<std::thread> threads;
};

void PasswordWorkers::Impl::run(std::uint32_t index) {
  pthread_setname_np(pthread_self(), ("password " + std::to_string(index)).c_str());
  while (true) {
    // Before it looks: sleeps only if nothing came since.
    const std::uint32_t seen = news.load();
    if (stopping.load()) return;
    std::unique_ptr<Note> note = next();
    if (note == nullptr) {
      news.wait(seen);
      continue;
    }
    // Hashes first, whoever it is: an unknown user takes as long.
    PasswordCheck& check = note->check;
    note->fits = password_fits(check.password, check.hash) && check.known;
    const std::uint32_t shard = check.shard;
    give_back(std::move(note), Note::Kind::verdict);
    wake(shard);
  }
}

bool PasswordWorkers::Impl::take_place() {
  std::size_t taken = places_taken.load(std::memory_order_relaxed);
  while (taken < options.queue_max) {
    if (places_taken.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed))
      return true;
  }
  return false;
}

// The check to hash; null when none waits.
std::unique_ptr<Note> PasswordWorkers::Impl::next() {
  const std::lock_guard lock(mutex);
  arrived.take([this](std::unique_ptr<Note> note) {
    if (note->kind == Note::Kind::check) {
      waiting.push_back(std::move(note));
    } else {
      forget(note->check);
      give_back(std::move(note), Note::Kind::nothing);
    }
  });
  // The first of those whose shard is the next to have its turn.
  const auto chosen = std::ranges::min_element(waiting, {}, [this](const auto& note) {
    return (note->check.shard + options.shards - turn) % options.shards;
  });
  if (chosen == waiting.end()) return nullptr;
  std::unique_ptr<Note> note = std::move(*chosen);
  waiting.erase(chosen);
  places_taken.fetch_sub(1, std::memory_order_relaxed);
  turn = (note->check.shard + 1) % options.shards;
  return note;
}

// Under the mutex.
void PasswordWorkers::Impl::forget(const PasswordCheck& cancelled) {
  const auto found = std::ranges::find_if(waiting, [&cancelled](const auto& note) {
    return note->check.shard == cancelled.shard && note->check.request == cancelled.request;
  });
  if (found == waiting.end()) return;
  give_back(std::move(*found), Note::Kind::nothing);
  waiting.erase(found);
  places_taken.fetch_sub(1, std::memory_order_relaxed);
}

void PasswordWorkers::Impl::give_back(std::unique_ptr<Note> note, Note::Kind kind) {
  wipe(note->check.password);
  note->kind = kind;
  Pile& back = verdicts[note->check.shard];
  back.put(std::move(note));
}

PasswordWorkers::PasswordWorkers(const Options& options,
                                 std::function<void(std::uint32_t shard)> wake)
    : impl_(std::make_unique<Impl>(options, std::move(wake))) {
  RC_ASSERT(options.shards > 0 && options.threads > 0 && options.queue_max > 0);
  const SignalsBlocked blocked;
  const sched_param none{};
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    std::thread& thread = impl_->threads.emplace_back([impl = impl_.get(), i] { impl->run(i); });
    // Only a wish: a kernel or a container that refuses it does not stop the server.
    pthread_setschedparam(thread.native_handle(), SCHED_IDLE, &none);
  }
}

PasswordWorkers::~PasswordWorkers() {
  impl_->stopping.store(true);
  impl_->news.fetch_add(1);
  impl_->news.notify_all();
  const sched_param normal{};
  for (std::thread& thread : impl_->threads) {
    // The hash at hand is waited for: no longer with what the others leave.
    pthread_setschedparam(thread.native_handle(), SCHED_OTHER, &normal);
  }
  for (std::thread& thread : impl_->threads) thread.join();
}

bool PasswordWorkers::submit(PasswordCheck&& check) {
  RC_ASSERT(check.shard < impl_->options.shards);
  const bool taken = impl_->take_place();
  if (taken) {
    // Copied: a move leaves the bytes of a short password behind.
    impl_->arrived.put(std::make_unique<Note>(Note::Kind::check, check));
    impl_->news.fetch_add(1);
    impl_->news.notify_one();
  }
  wipe(check.password);
  return taken;
}

void PasswordWorkers::cancel(std::uint32_t shard, std::uint64_t request) {
  RC_ASSERT(shard < impl_->options.shards);
  auto note = std::make_unique<Note>(Note::Kind::cancel);
  note->check.shard = shard;
  note->check.request = request;
  impl_->arrived.put(std::move(note));
}

bool PasswordWorkers::has_verdicts(std::uint32_t shard) const {
  return !impl_->verdicts[shard].empty();
}

void PasswordWorkers::take(std::uint32_t shard, std::vector<PasswordVerdict>& out) {
  out.clear();
  impl_->verdicts[shard].take([&out](std::unique_ptr<Note> note) {
    if (note->kind != Note::Kind::verdict) return;
    out.push_back({.request = note->check.request, .fits = note->fits});
  });
}

}  // namespace ringcast::auth
