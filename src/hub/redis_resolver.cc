#include "redis_resolver.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include "ringcast/base/assert.h"

#include "redis_words.h"

namespace ringcast::hub {
namespace {

using Addresses = RedisResolver::Addresses;

Error not_found(const std::string& host, const std::string& why) {
  return Error{"the host name '" + cleaned(host) + "' of redis.url cannot be looked up: " + why};
}

Result<Addresses> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw); error != 0) {
    return not_found(
        host, error == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(raw, &::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = found.get(); entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) != 0) {
      continue;
    }
    if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) {
      addresses.emplace_back(text);
    }
  }
  if (addresses.empty()) return not_found(host, "it has no address");
  return addresses;
}

}  // namespace

/// Shared with the thread, which nobody waits for.
struct RedisResolver::Impl {
  explicit Impl(uring::Ring& ring_to_wake) : ring(&ring_to_wake) {}

  void give(Result<Addresses> found) {
    const std::lock_guard lock(mutex);
    answer = std::move(found);
    answered.store(true, std::memory_order_release);  // pairs with `take`
    if (ring != nullptr) ring->wake_from_outside();
  }

  std::mutex mutex;
  uring::Ring* ring;                        // null once the resolver is gone
  std::optional<Result<Addresses>> answer;  // the thread's until `answered`
  std::atomic<bool> answered{false};
  bool running = false;  // the caller's
};

bool is_numeric_address(std::string_view host) {
  in6_addr ignored;
  // A zone (fe80::1%eth0) is not part of what inet_pton(3) reads.
  const std::string text(host.substr(0, host.find('%')));
  return ::inet_pton(AF_INET, std::string(host).c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

RedisResolver::RedisResolver(uring::Ring& ring) : impl_(std::make_shared<Impl>(ring)) {}

RedisResolver::~RedisResolver() {
  const std::lock_guard lock(impl_->mutex);
  impl_->ring = nullptr;
}

void RedisResolver::start(const std::string& host) {
  RC_ASSERT(!std::exchange(impl_->running, true));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for other threads
  try {
    std::thread([impl = impl_, host] { impl->give(look_up(host)); }).detach();
  } catch (const std::system_error& error) {
    impl_->give(not_found(host, error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::optional<Result<Addresses>> RedisResolver::take() {
  if (!impl_->answered.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(impl_->mutex);
  impl_->answered.store(false, std::memory_order_relaxed);
  impl_->running = false;
  return std::exchange(impl_->answer, std::nullopt);
}

}  // namespace ringcast::hub
