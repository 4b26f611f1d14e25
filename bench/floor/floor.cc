// The physical limit of fan-out: the same sockets, the same bytes and the same system calls as the
// server, and nothing else. A stream here is a slot number; an event is formatted once and sent to
// every slot in a bare loop. What Ringcast costs above this is what its features cost.
//
// Not a server: no limits, no deadlines, no topics, no replay; requests are read as far as needed
// to answer ringcast-load. Streams that go away are noticed when a send to them fails.
//
//   listener ─► ordinary descriptor, epoll: request, head, heartbeat ─► slot of a ring (direct
//   descriptor)
//                       └─ POST /publish: 204, then one send for each slot of each ring of each
//                       thread

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include <CLI/CLI.hpp>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringcast/base/time.h"

namespace {

constexpr unsigned kBatch = 128;
constexpr std::uint32_t kRetryMs = 3000;
constexpr std::size_t kRequestBytesMax = std::size_t{256} * 1024;

std::atomic<bool> stopping{false};

struct Options {
  std::uint16_t port = 0;
  std::uint32_t threads = 1;
  std::uint32_t slots = 19'000;  ///< of each ring
};

/// Also for errors at start: this is a tool for a developer's terminal.
int checked(int status, const char* what) {
  if (status >= 0) return status;
  std::fprintf(stderr, "floor: %s: %s\n", what, strerrordesc_np(status == -1 ? errno : -status));
  _exit(2);
}

/// One ring and the streams in its table.
class SendRing {
 public:
  explicit SendRing(std::uint32_t slots) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    params.cq_entries = kBatch * 4;
    checked(io_uring_queue_init_params(kBatch, &ring_, &params), "io_uring");
    checked(io_uring_register_files_sparse(&ring_, slots), "table of direct descriptors");
    for (std::uint32_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
  }
  ~SendRing() { io_uring_queue_exit(&ring_); }
  SendRing(const SendRing&) = delete;
  SendRing& operator=(const SendRing&) = delete;

  [[nodiscard]] bool full() const { return free_.empty(); }
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }

  void adopt(int descriptor) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    checked(io_uring_register_files_update(&ring_, slot, &descriptor, 1), "socket into the table");
    streams_.push_back(slot);
  }

  /// Sends `frame` to every stream; what a socket does not take at once is only counted.
  void send_all(std::string_view frame, std::uint64_t& short_sends) {
    for (std::size_t first = 0; first < streams_.size(); first += kBatch) {
      const std::size_t end = std::min(first + kBatch, streams_.size());
      for (std::size_t place = first; place < end; ++place) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        io_uring_prep_send(sqe, static_cast<int>(streams_[place]), frame.data(), frame.size(),
                           MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
        sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = place;
      }
      io_uring_submit(&ring_);
      take_failures(short_sends);
    }
    close_gone();
  }

 private:
  void take_failures(std::uint64_t& short_sends) {
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
      if (cqe->res >= 0 || cqe->res == -EAGAIN) {
        ++short_sends;
      } else {
        gone_.push_back(static_cast<std::size_t>(cqe->user_data));
      }
      io_uring_cqe_seen(&ring_, cqe);
    }
  }

  void close_gone() {
    // From the back, so that the last stream, which fills each gap, is never itself gone.
    std::sort(gone_.begin(), gone_.end(), std::greater<>{});
    for (const std::size_t place : gone_) {
      const int none = -1;
      io_uring_register_files_update(&ring_, streams_[place], &none, 1);
      free_.push_back(streams_[place]);
      streams_[place] = streams_.back();
      streams_.pop_back();
    }
    gone_.clear();
  }

  io_uring ring_{};
  std::vector<std::uint32_t> streams_;  ///< their slots
  std::vector<std::uint32_t> free_;
  std::vector<std::size_t> gone_;  ///< places in streams_
};

using Frame = std::shared_ptr<const std::string>;

std::string as_chunk(std::string_view bytes) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  std::string out{size.data(), end};
  return out.append("\r\n").append(bytes).append("\r\n");
}

/// `<ms>-<sequence>`, growing.
std::string next_id() {
  static std::mutex mutex;
  static std::uint64_t last_ms = 0;
  static std::uint64_t sequence = 0;
  const std::lock_guard lock{mutex};
  const std::uint64_t now_ms = std::max(ringcast::read_clock().unix_ms, last_ms);
  sequence = now_ms == last_ms ? sequence + 1 : 0;
  last_ms = now_ms;
  return std::to_string(now_ms) + "-" + std::to_string(sequence);
}

/// What a new stream gets, as the server sends it.
std::string stream_opening() {
  const std::string heartbeat = "retry: " + std::to_string(kRetryMs) + "\n\nid: " + next_id() +
                                "\nevent: heartbeat\ndata: \n\n";
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
         "Connection: keep-alive\r\nX-Accel-Buffering: no\r\nVary: Origin\r\n"
         "Transfer-Encoding: chunked\r\n\r\n" +
         as_chunk(heartbeat);
}

/// The string after "data": in a body of ringcast-load, which has nothing to unescape.
std::string_view data_of(std::string_view body) {
  constexpr std::string_view kKey = "\"data\":\"";
  const std::size_t at = body.find(kKey);
  if (at == std::string_view::npos) return {};
  body.remove_prefix(at + kKey.size());
  return body.substr(0, body.find('"'));
}

/// One thread: its listener, its connections that are still requests, its rings.
class Worker {
 public:
  explicit Worker(const Options& options) : options_(options) {
    poller_ = checked(epoll_create1(EPOLL_CLOEXEC), "epoll");
    bell_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    watch(bell_);
  }
  ~Worker() {
    for (const auto& [descriptor, request] : requests_) close(descriptor);
    close(bell_);
    close(poller_);
    if (listener_ >= 0) close(listener_);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The port that it listens on.
  std::uint16_t listen_on(std::uint16_t port) {
    listener_ = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
    const auto set = [this](int level, int name, int value) {
      checked(setsockopt(listener_, level, name, &value, sizeof value), "setsockopt");
    };
    set(SOL_SOCKET, SO_REUSEADDR, 1);
    set(SOL_SOCKET, SO_REUSEPORT, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16'384);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    checked(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    checked(listen(listener_, 4096), "listen");
    socklen_t bytes = sizeof address;
    checked(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes), "getsockname");
    watch(listener_);
    return ntohs(address.sin_port);
  }

  /// Hands an event over. Any thread.
  void post(const Frame& frame) {
    {
      const std::lock_guard lock{mutex_};
      inbox_.push_back(frame);
    }
    const std::uint64_t one = 1;
    static_cast<void>(!write(bell_, &one, sizeof one));
  }

  /// Any thread. The next look at the bell ends the loop.
  void wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!write(bell_, &one, sizeof one));
  }

  void run(const std::vector<std::unique_ptr<Worker>>& all) {
    all_ = &all;
    std::array<epoll_event, 256> ready{};
    while (!stopping.load()) {
      const int count = epoll_wait(poller_, ready.data(), static_cast<int>(ready.size()), 500);
      for (int i = 0; i < count; ++i) {
        const int descriptor = ready[static_cast<std::size_t>(i)].data.fd;
        if (descriptor == listener_) {
          accept_some();
        } else if (descriptor == bell_) {
          take_inbox();
        } else {
          read_request(descriptor);
        }
      }
    }
    rings_.clear();
  }

  [[nodiscard]] std::uint64_t short_sends() const { return short_sends_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  void watch(int descriptor) const {
    epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
    checked(epoll_ctl(poller_, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
  }

  void accept_some() {
    for (int i = 0; i < 64; ++i) {
      const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (descriptor < 0) return;
      requests_.try_emplace(descriptor);
      watch(descriptor);
    }
  }

  void forget(int descriptor) {
    requests_.erase(descriptor);
    close(descriptor);  // which ends the watching too, unless a ring holds the socket
  }

  void read_request(int descriptor) {
    std::array<char, 16'384> buffer;
    const ssize_t received = recv(descriptor, buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EAGAIN) return;
    std::string& request = requests_[descriptor];
    if (received <= 0 || request.size() > kRequestBytesMax) return forget(descriptor);
    request.append(buffer.data(), static_cast<std::size_t>(received));
    const std::size_t head_end = request.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    if (request.starts_with("GET ")) return open_stream(descriptor);

    std::size_t body_bytes = 0;
    const std::size_t length = request.find("Content-Length: ");
    if (length != std::string::npos) {
      const char* digits = request.data() + length + std::strlen("Content-Length: ");
      std::from_chars(digits, request.data() + request.size(), body_bytes);
    }
    if (request.size() < head_end + 4 + body_bytes) return;
    publish(descriptor, std::string_view{request}.substr(head_end + 4, body_bytes));
    request.clear();
  }

  void open_stream(int descriptor) {
    const std::string opening = stream_opening();
    if (send(descriptor, opening.data(), opening.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(opening.size())) {
      return forget(descriptor);
    }
    if (rings_.empty() || rings_[open_ring_]->full()) add_room();
    epoll_ctl(poller_, EPOLL_CTL_DEL, descriptor, nullptr);
    rings_[open_ring_]->adopt(descriptor);
    forget(descriptor);
  }

  /// Makes open_ring_ one that is not full.
  void add_room() {
    for (open_ring_ = 0; open_ring_ < rings_.size(); ++open_ring_) {
      if (!rings_[open_ring_]->full()) return;
    }
    rings_.push_back(std::make_unique<SendRing>(options_.slots));
  }

  void publish(int descriptor, std::string_view body) {
    const std::string id = next_id();
    std::string event = "id: " + id + "\ndata: ";
    event.append(data_of(body)).append("\n\n");
    const auto frame = std::make_shared<const std::string>(as_chunk(event));
    const std::string answer = "HTTP/1.1 204 No Content\r\nEvent-Id: " + id + "\r\n\r\n";
    if (send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    for (const auto& worker : *all_) {
      if (worker.get() != this) worker->post(frame);
    }
    fan_out(*frame);
  }

  void take_inbox() {
    std::uint64_t count = 0;
    static_cast<void>(!read(bell_, &count, sizeof count));
    std::deque<Frame> frames;
    {
      const std::lock_guard lock{mutex_};
      frames.swap(inbox_);
    }
    for (const Frame& frame : frames) fan_out(*frame);
  }

  void fan_out(std::string_view frame) {
    ++events_;
    for (const auto& ring : rings_) ring->send_all(frame, short_sends_);
  }

  const Options& options_;
  int poller_ = -1;
  int bell_ = -1;
  int listener_ = -1;
  const std::vector<std::unique_ptr<Worker>>* all_ = nullptr;
  std::unordered_map<int, std::string> requests_;  ///< by descriptor
  std::vector<std::unique_ptr<SendRing>> rings_;   ///< created on the thread of `run`
  std::size_t open_ring_ = 0;
  std::uint64_t short_sends_ = 0;
  std::uint64_t events_ = 0;
  std::mutex mutex_;
  std::deque<Frame> inbox_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  options.slots =
      static_cast<std::uint32_t>(std::min<rlim_t>(options.slots, limit.rlim_cur / 20 * 19));
  CLI::App app{"The bare loop that fan-out is measured against: GET /events, POST /publish",
               "floor"};
  app.add_option("--port", options.port, "0: any")->capture_default_str();
  app.add_option("--threads", options.threads, "Each with its own listener")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  app.add_option("--slots", options.slots, "Streams of one ring, at most RLIMIT_NOFILE")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1U << 20));
  CLI11_PARSE(app, argc, argv);

  // The threads inherit this, so that only sigwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(options));
    options.port = workers.back()->listen_on(options.port);
  }
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (auto& worker : workers) threads.emplace_back([&worker, &workers] { worker->run(workers); });
  std::printf("port %u pid %d\n", static_cast<unsigned>(options.port), static_cast<int>(getpid()));
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  stopping.store(true);
  for (auto& worker : workers) worker->wake();
  for (auto& thread : threads) thread.join();
  std::uint64_t short_sends = 0;
  for (const auto& worker : workers) short_sends += worker->short_sends();
  std::printf("events %llu short sends %llu\n",
              static_cast<unsigned long long>(workers.front()->events()),
              static_cast<unsigned long long>(short_sends));
  return 0;
}
