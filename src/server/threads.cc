#include "threads.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <utility>

#include <pthread.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/memory.h"
#include "ringcast/base/time.h"
#include "ringcast/base/trace.h"
#include "ringcast/hub/hub.h"
#include "ringcast/shard/shard.h"
#include "ringcast/tls/warm_up.h"

#include "after_burst.h"

namespace ringcast::server {
namespace {

void name_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.c_str());
}

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // a wish: works unpinned too
}

std::optional<std::chrono::nanoseconds> sooner(std::optional<std::chrono::nanoseconds> a,
                                               std::optional<std::chrono::nanoseconds> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

std::uint64_t thread_cpu_ns() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<std::uint64_t>(spent.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(spent.tv_nsec);
}

/// What lasts has been made: what bursts of clients come and go with is kept apart from it.
void settle_memory(const shard::Policy& policy) {
  if (policy.tls != nullptr) {
    const auto warm = tls::warm_up(policy.tls);
    if (!warm) spdlog::warn("tls: a handshake with ourselves failed: {}", warm.error().message);
  }
  give_back_memory();
  begin_new_heap();
}

}  // namespace

void Moment::happen() {
  {
    const std::lock_guard lock(mutex_);
    happened_ = true;
  }
  condition_.notify_all();
}

void Moment::wait() {
  std::unique_lock lock(mutex_);
  condition_.wait(lock, [this] { return happened_; });
}

ShardThread::ShardThread(Options options, const shard::Services& services, hub::Exchange& exchange)
    : options_(std::move(options)), services_(services), exchange_(exchange) {}

ShardThread::~ShardThread() {
  thread_.join();
}

void ShardThread::start() {
  thread_ = std::thread([this] { run(); });
}

Result<void> ShardThread::wait_started() {
  started_.wait();
  return outcome_;
}

void ShardThread::begin_accepting() {
  accept_.store(true, std::memory_order_release);
  wake();
}

void ShardThread::begin_drain() {
  drain_.store(true, std::memory_order_release);
  wake();
}

void ShardThread::set_policy(std::shared_ptr<const shard::Policy> policy) {
  policy_.leave(std::move(policy));
  wake();
}

void ShardThread::wake() {
  if (uring::Ring* const ring = ring_.load(std::memory_order_acquire)) ring->wake_from_outside();
}

void ShardThread::run() {
  name_thread("shard " + std::to_string(options_.shard.index));
  pin_to(options_.cpu);

  auto ring = uring::Ring::create(options_.ring);
  if (!ring) {
    outcome_ = ring.error();
  } else {
    uring::Ring& mine = *ring.value();
    auto shard = shard::Shard::create(options_.shard, services_, exchange_, mine,
                                      options_.listeners, counters_);
    if (!shard) {
      outcome_ = shard.error();
    } else {
      settle_memory(*services_.policy);
      ring_.store(&mine, std::memory_order_release);
      started_.happen();
      std::uint64_t next_cpu_reading_ns = 0;
      AfterBurst after_burst;
      bool listening = true;
      while (!shard.value()->finished()) {
        const Time now = read_clock();
        if (accept_.load(std::memory_order_acquire)) shard.value()->begin_accepting();
        if (drain_.load(std::memory_order_acquire)) shard.value()->request_drain();
        if (auto policy = policy_.take()) shard.value()->set_policy(std::move(*policy));
        const auto idle = shard.value()->turn(now);
        const std::uint64_t turn_end_ns = read_clock().mono_ns;
        counters_.turn_ns_max.raise_to(turn_end_ns - now.mono_ns);
        RC_TRACE(turn_end, turn_end_ns - now.mono_ns);
        if (turn_end_ns >= next_cpu_reading_ns) {
          counters_.cpu_ns.set(thread_cpu_ns());
          next_cpu_reading_ns = turn_end_ns + kNsPerSecond;
        }
        if (listening && !shard.value()->accepting()) {
          listening = false;
          // While a socket is open anywhere, the kernel still sends a share of new connections
          // there.
          for (const auto& listener : std::exchange(options_.listeners, {}))
            close(listener.descriptor);
        }
        const auto advice =
            after_burst.look(counters_.connections_open.get() - counters_.streams_open.get(),
                             counters_.connections_accepted.get(), turn_end_ns);
        if (advice.release) {
          shard.value()->release_memory();
          give_back_memory();
          (void)mine.release_receive_memory();  // not now means at the next of its times
        }
        // A broadcast takes many turns. Shards of one CPU let each other in after each of them: the
        // scheduler would do so only after several, and an event for a single topic passes three
        // threads.
        if (options_.shares_cpu && idle == std::chrono::nanoseconds(0)) sched_yield();
        if (!shard.value()->finished()) mine.wait(sooner(idle, advice.wait));
      }
    }
  }
  for (const shard::Listener& listener : options_.listeners) close(listener.descriptor);
  started_.happen();
  finished_.happen();
  released_.wait();
}

HubThread::HubThread(hub::Exchange& exchange, hub::EventStore& store)
    : exchange_(exchange), store_(store), thread_([this] { run(); }) {}

HubThread::~HubThread() {
  thread_.join();
}

Result<void> HubThread::wait_started() {
  started_.wait();
  return outcome_;
}

void HubThread::stop() {
  stop_.store(true, std::memory_order_release);
  if (uring::Ring* const ring = ring_.load(std::memory_order_acquire)) ring->wake_from_outside();
  released_.happen();
}

void HubThread::run() {
  name_thread("hub");
  constexpr uring::RingOptions kRing{.submissions = 256, .slots = 8, .receive_buffers = 8};
  auto ring = uring::Ring::create(kRing);
  if (!ring) {
    outcome_ = ring.error();
    started_.happen();
    released_.wait();
    return;
  }
  hub::Hub hub(exchange_, store_, *ring.value(), counters_);
  ring_.store(ring.value().get(), std::memory_order_release);
  started_.happen();
  while (!stop_.load(std::memory_order_acquire)) {
    ring.value()->wait(hub.turn(read_clock()));
  }
  store_.stop(read_clock());
  while (!store_.stopped()) {
    constexpr std::chrono::nanoseconds kLook = std::chrono::milliseconds(50);
    ring.value()->wait(std::min(hub.turn(read_clock()).value_or(kLook), kLook));
  }
  store_.detach();
  released_.wait();
}

}  // namespace ringcast::server
