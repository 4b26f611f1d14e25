#pragma once

#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringcast/uring/ring.h"

namespace ringcast::uring {

/// Longer than anything here takes; a test that is right never waits for it to pass.
inline constexpr std::chrono::seconds kPatience{10};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The other end of a connection: an ordinary blocking socket of this thread.
class Client {
 public:
  Client() = default;
  explicit Client(const sockaddr_in& server, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer != 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0)
        << std::strerror(errno);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Client() { close(); }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  [[nodiscard]] int fd() const { return fd_; }

  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
  }

  void write(std::string_view text) const {
    ASSERT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  /// Exactly `count` bytes, or fewer if the connection ends or nothing comes for long.
  [[nodiscard]] std::string read(std::size_t count) const {
    std::string text(count, '\0');
    std::size_t have = 0;
    while (have < count && readable(kPatience)) {
      const ssize_t n = ::recv(fd_, text.data() + have, count - have, MSG_DONTWAIT);
      if (n <= 0) break;
      have += static_cast<std::size_t>(n);
    }
    text.resize(have);
    return text;
  }

  /// What is here now.
  [[nodiscard]] std::string read_available() const {
    std::string text(1 << 16, '\0');
    const ssize_t n = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

  [[nodiscard]] bool readable(std::chrono::milliseconds limit) const {
    pollfd poll_fd{fd_, POLLIN, 0};
    return ::poll(&poll_fd, 1, static_cast<int>(limit.count())) == 1;
  }

  /// Waits for the end; false when data or nothing came.
  [[nodiscard]] bool sees_end(std::chrono::milliseconds limit = kPatience) const {
    char byte = 0;
    return readable(limit) && ::recv(fd_, &byte, 1, MSG_DONTWAIT) == 0;
  }

  /// Segments with data that have arrived.
  [[nodiscard]] std::uint32_t data_segments() const {
    tcp_info info{};
    socklen_t length = sizeof info;
    EXPECT_EQ(::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_data_segs_in;
  }

  void shutdown_write() const { ::shutdown(fd_, SHUT_WR); }

  /// Ends with RST instead of FIN.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

class Listener {
 public:
  explicit Listener(int send_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (send_buffer != 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    }
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    auto* generic = reinterpret_cast<sockaddr*>(&address_);
    EXPECT_EQ(::bind(fd_, generic, length), 0);
    EXPECT_EQ(::listen(fd_, 1024), 0);
    EXPECT_EQ(::getsockname(fd_, generic, &length), 0);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const sockaddr_in& address() const { return address_; }

 private:
  int fd_ = -1;
  sockaddr_in address_{};
};

/// A completion whose bytes were copied.
struct Seen {
  Operation operation = Operation::none;
  Handle handle;
  std::int32_t result = 0;
  bool more = false;
  std::string data;
};

inline RingOptions small_options(Descriptors descriptors) {
  RingOptions options;
  options.descriptors = descriptors;
  options.submissions = 64;
  options.slots = 512;
  options.receive_buffers = 64;
  options.receive_buffer_bytes = 512;
  return options;
}

/// One ring with what it needs to make connections, in both kinds of descriptors.
class RingTest : public testing::TestWithParam<Descriptors> {
 protected:
  void SetUp() override { make_ring(small_options(GetParam())); }

  void make_ring(const RingOptions& options) {
    ring_.reset();
    Result<std::unique_ptr<Ring>> ring = Ring::create(options);
    ASSERT_TRUE(ring.ok()) << ring.error().message;
    ring_ = std::move(ring).value();
  }

  /// The next completion, in order; Operation::none when none comes for long.
  Seen next() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    Completion completion;
    while (!ring_->next(completion)) {
      if (std::chrono::steady_clock::now() >= end) return Seen{};
      ring_->wait(std::chrono::milliseconds(100));
    }
    return Seen{completion.operation, completion.handle, completion.result, completion.more,
                as_text(completion.data)};
  }

  /// The next completion of `operation` for `handle`; others are kept for later calls.
  Seen await(Operation operation, Handle handle) {
    for (auto it = set_aside_.begin(); it != set_aside_.end(); ++it) {
      if (it->operation == operation && it->handle == handle) {
        Seen seen = std::move(*it);
        set_aside_.erase(it);
        return seen;
      }
    }
    for (;;) {
      Seen seen = next();
      if (seen.operation == Operation::none ||
          (seen.operation == operation && seen.handle == handle)) {
        return seen;
      }
      set_aside_.push_back(std::move(seen));
    }
  }

  /// A connection in `handle.slot`.
  Client connect(const Listener& listener, Handle handle, int receive_buffer = 0) {
    Client client(listener.address(), receive_buffer);
    PeerAddress& peer = peers_.emplace_back();
    ring_->accept(listener.fd(), handle, peer);
    const Seen seen = await(Operation::accept, handle);
    EXPECT_EQ(seen.operation, Operation::accept);
    EXPECT_EQ(seen.result, 0);
    return client;
  }

  [[nodiscard]] std::vector<SendFailure> flush() {
    const auto failures = ring_->flush_sends();
    return {failures.begin(), failures.end()};
  }

  std::deque<PeerAddress> peers_;  // must outlive the ring
  std::unique_ptr<Ring> ring_;
  std::deque<Seen> set_aside_;
};

inline std::string descriptors_name(const testing::TestParamInfo<Descriptors>& info) {
  return info.param == Descriptors::direct ? "direct" : "ordinary";
}

#define RC_IN_BOTH_MODES(fixture)                                                       \
  INSTANTIATE_TEST_SUITE_P(Descriptors, fixture,                                        \
                           testing::Values(Descriptors::direct, Descriptors::ordinary), \
                           descriptors_name)

}  // namespace ringcast::uring
