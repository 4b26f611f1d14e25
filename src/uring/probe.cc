#include "ringcast/uring/probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::uring {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kReleaseLimit{50};  // see probe.h
constexpr std::chrono::seconds kAnswerLimit{2};         // for what can only be missing, not slow
constexpr Handle kArmed{Slot{0}, 1};
constexpr Handle kClosed{Slot{1}, 1};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

Error loopback_error() {
  return system_error("cannot try the kernel out over a loopback connection", errno);
}

/// A ring with two connections from loopback accepted into it, and their other ends.
struct Trial {
  std::unique_ptr<Ring> ring;
  Socket listener;
  Socket armed_peer;
  Socket closed_peer;
  std::array<PeerAddress, 2> addresses;

  /// The next completion of `operation`, others forgotten; false after the time limit.
  bool await(Operation operation, Completion& completion, Clock::duration limit) const {
    const auto end = Clock::now() + limit;
    for (;;) {
      while (ring->next(completion)) {
        if (completion.operation == operation) return true;
      }
      const auto left = end - Clock::now();
      if (left <= Clock::duration::zero()) return false;
      ring->wait(left);
    }
  }
};

Result<void> connect_two(Trial& trial) {
  trial.listener = Socket(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (trial.listener.fd() < 0 || bind(trial.listener.fd(), generic, length) != 0 ||
      listen(trial.listener.fd(), 4) != 0 ||
      getsockname(trial.listener.fd(), generic, &length) != 0) {
    return loopback_error();
  }
  std::size_t index = 0;
  for (Socket* peer : {&trial.armed_peer, &trial.closed_peer}) {
    *peer = Socket(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (peer->fd() < 0 || connect(peer->fd(), generic, length) != 0) return loopback_error();
    trial.ring->accept(trial.listener.fd(), index == 0 ? kArmed : kClosed, trial.addresses[index]);
    ++index;
    Completion completion;
    if (!trial.await(Operation::accept, completion, kAnswerLimit) || completion.result < 0) {
      return Error{"this kernel does not accept connections through io_uring (" +
                   std::to_string(completion.result) + "): Ringcast needs Linux 6.1 or newer"};
    }
  }
  return {};
}

/// The operations that a stream lives on: a multishot receive, and a send that is silent when it
/// took everything and reports what it did not take.
Result<void> try_stream(Trial& trial) {
  trial.ring->receive(kArmed);
  const std::array<std::byte, 1> byte{std::byte{'x'}};
  if (write(trial.armed_peer.fd(), byte.data(), byte.size()) != 1) return loopback_error();
  Completion completion;
  if (!trial.await(Operation::receive, completion, kAnswerLimit) || completion.result != 1 ||
      !completion.more) {
    return Error{
        "this kernel's io_uring has no multishot receive with shared buffers: Ringcast needs Linux "
        "6.1 or newer"};
  }
  trial.ring->send(kArmed.slot, byte, 1);
  const bool silent = trial.ring->flush_sends().empty();
  trial.ring->shutdown_write(kArmed);
  if (!trial.await(Operation::shutdown_write, completion, kAnswerLimit) || completion.result < 0) {
    return Error{"this kernel's io_uring cannot shut a connection down: Ringcast needs Linux 6.1"};
  }
  trial.ring->send(kArmed.slot, byte, 2);
  const auto failures = trial.ring->flush_sends();
  if (!silent || failures.size() != 1 || failures[0].place != 2 || failures[0].result != -EPIPE) {
    return Error{
        "this kernel's io_uring does not report refused sends as Linux 6.1 and newer do; sending "
        "would not be reliable"};
  }
  return {};
}

/// Whether the closed connection's peer sees the end while the other connection's receive is armed.
bool releases_closed_descriptor(Trial& trial) {
  trial.ring->close(kClosed, Closing::in_order);
  const auto end = Clock::now() + kReleaseLimit;
  Completion completion;
  while (Clock::now() < end) {
    // The ring's thread must come by for deferred work; the peer's end is polled in between.
    trial.ring->wait(std::chrono::nanoseconds(0));
    while (trial.ring->next(completion)) {
    }
    pollfd peer{trial.closed_peer.fd(), POLLIN, 0};
    if (poll(&peer, 1, 1) > 0) {
      char byte = 0;
      return recv(peer.fd, &byte, 1, MSG_DONTWAIT) == 0;
    }
  }
  return false;
}

Result<bool> try_descriptors(Descriptors descriptors) {
  RingOptions options;
  options.submissions = 8;
  options.slots = 2;
  options.receive_buffers = 4;
  options.receive_buffer_bytes = 64;
  options.descriptors = descriptors;
  Result<std::unique_ptr<Ring>> ring = Ring::create(options);
  if (!ring) return ring.error();
  Trial trial;
  trial.ring = std::move(ring).value();
  if (Result<void> connected = connect_two(trial); !connected) return connected.error();
  if (Result<void> stream = try_stream(trial); !stream) return stream.error();
  return releases_closed_descriptor(trial);
}

}  // namespace

Result<Descriptors> probe_kernel() {
  Result<bool> direct = try_descriptors(Descriptors::direct);
  if (!direct) return direct.error();
  return direct.value() ? Descriptors::direct : Descriptors::ordinary;
}

std::uint32_t raise_descriptor_limit() {
  rlimit limit{};
  RC_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    // Refused only by a sandbox; then what there is must do.
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<std::uint32_t>(
      std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace ringcast::uring
