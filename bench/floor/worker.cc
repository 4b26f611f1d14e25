#include "worker.h"

#include <algorithm>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "messages.h"

namespace floor_bench {
namespace {

/// Listens on `port`, which becomes the one that the kernel chose if it is 0. What is set here,
/// the connections inherit.
int listen_on(std::uint16_t& port) {
  const int listener = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const auto set = [listener](int level, int name, int value) {
    checked(setsockopt(listener, level, name, &value, sizeof value), "setsockopt");
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
  checked(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  checked(listen(listener, 4096), "listen");
  socklen_t bytes = sizeof address;
  checked(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes), "getsockname");
  port = ntohs(address.sin_port);
  return listener;
}

}  // namespace

Worker::Worker(WorkerOptions options) : options_(std::move(options)) {
  shared_.tls = options_.tls;
  shared_.opening = stream_opening(next_id());
  shared_.bell = checked(eventfd(0, EFD_CLOEXEC), "eventfd");
  listeners_.plain = listen_on(options_.port);
  if (options_.tls) listeners_.tls = listen_on(options_.tls_port);
}

Worker::~Worker() {
  close(listeners_.plain);
  if (listeners_.tls >= 0) close(listeners_.tls);
  close(shared_.bell);
}

void Worker::run(const std::vector<std::unique_ptr<Worker>>& all) {
  all_ = &all;
  make_room();
  while (take_inbox()) {
    unsigned taken = 0;
    for (const auto& ring : rings_) {
      if (!ring->has_work()) continue;
      taken += ring->turn();
      publish();
    }
    if (listening_->crowded()) make_room();
    // Whatever comes after the look at its ring has rung by now, or will.
    if (taken == 0) sleep();
  }
  for (const auto& ring : rings_) connections_ += ring->connections();
  rings_made_ = rings_.size();
  rings_.clear();
}

void Worker::make_room() {
  if (listening_ != nullptr) listening_->stop_listening();
  const auto found =
      std::find_if(rings_.begin(), rings_.end(), [](const auto& ring) { return ring->roomy(); });
  listening_ =
      found != rings_.end()
          ? found->get()
          : rings_.emplace_back(std::make_unique<StreamRing>(shared_, listeners_, options_.slots))
                .get();
  listening_->listen();
}

/// False when it is time to stop.
bool Worker::take_inbox() {
  std::deque<Published> events;
  {
    const std::lock_guard lock{mutex_};
    if (stopping_) return false;
    events.swap(inbox_);
  }
  for (const Published& event : events) fan_out(event);
  return true;
}

/// Others are told before our own streams, so that all threads send at the same time.
void Worker::publish() {
  const std::vector<Published> events = std::exchange(shared_.published, {});
  for (const Published& event : events) {
    for (const auto& worker : *all_) {
      if (worker.get() != this) worker->post(event);
    }
  }
  for (const Published& event : events) fan_out(event);
}

void Worker::fan_out(const Published& event) {
  ++events_;
  for (const auto& ring : rings_) ring->send_all(event.chunk);
  // Nobody is behind, so a new stream goes on from here.
  shared_.opening = stream_opening(event.id);
}

void Worker::post(const Published& event) {
  {
    const std::lock_guard lock{mutex_};
    inbox_.push_back(event);
  }
  wake();
}

void Worker::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake();
}

void Worker::wake() const {
  const std::uint64_t one = 1;
  static_cast<void>(!write(shared_.bell, &one, sizeof one));
}

void Worker::sleep() const {
  std::uint64_t rung = 0;
  static_cast<void>(!read(shared_.bell, &rung, sizeof rung));
}

}  // namespace floor_bench
