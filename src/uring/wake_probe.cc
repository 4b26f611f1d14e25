#include "wake_probe.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace ringcast::uring {
namespace {

constexpr unsigned kFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
constexpr std::uint64_t kMessage = 0x52696e67;
constexpr std::chrono::milliseconds kPatience{100};

enum SleeperState : int { kStarting = -1, kFailed = -2 };  // anything else: the fd of its ring

/// Sleeps on a ring of its own; true when the message ended the sleep and not the time limit.
void sleep_on_ring(std::atomic<int>& ring_fd, std::atomic<bool>& woken) {
  io_uring ring{};
  if (io_uring_queue_init(4, &ring, kFlags) < 0) {
    ring_fd.store(kFailed, std::memory_order_release);
    ring_fd.notify_one();
    return;
  }
  ring_fd.store(ring.ring_fd, std::memory_order_release);  // pairs with the load in try_message
  ring_fd.notify_one();
  __kernel_timespec limit{};
  limit.tv_nsec = std::chrono::nanoseconds(kPatience).count();
  io_uring_cqe* entry = nullptr;
  const auto start = std::chrono::steady_clock::now();
  do {
    // -EINTR: an interruption by a signal, or by the message's own task work on some kernels.
    (void)io_uring_submit_and_wait_timeout(&ring, &entry, 1, &limit, nullptr);
  } while (entry == nullptr && std::chrono::steady_clock::now() - start < kPatience);
  // A message that was only noticed when the limit passed is no wake-up.
  woken.store(entry != nullptr && entry->user_data == kMessage &&
                  std::chrono::steady_clock::now() - start < kPatience / 2,
              std::memory_order_relaxed);  // read after join
  io_uring_queue_exit(&ring);
}

bool try_message() {
  io_uring ring{};
  if (io_uring_queue_init(4, &ring, kFlags) < 0) return false;
  std::atomic<int> target{kStarting};
  std::atomic<bool> woken{false};
  std::thread sleeper([&] { sleep_on_ring(target, woken); });
  target.wait(kStarting, std::memory_order_acquire);
  const int fd = target.load(std::memory_order_acquire);
  if (fd >= 0) {
    // Long enough for the other thread to be asleep in nearly every run; if it is not, the message
    // is there before the sleep begins and the answer is only a little less well founded.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    io_uring_sqe* entry = io_uring_get_sqe(&ring);
    io_uring_prep_msg_ring(entry, fd, 0, kMessage, 0);
    io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
    (void)io_uring_submit(&ring);  // what fails wakes nobody, and that is the answer
  }
  sleeper.join();
  io_uring_queue_exit(&ring);
  return woken.load(std::memory_order_relaxed);
}

}  // namespace

bool message_wakes_sleeping_ring() {
  static const bool answer = try_message();
  return answer;
}

}  // namespace ringcast::uring
