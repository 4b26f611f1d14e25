#include "listener.h"

#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::server {
namespace {

constexpr int kBacklog = 16'384;  // bounded by net.core.somaxconn
constexpr int kNotSentLowWaterBytes = 16'384;
constexpr int kKeepIdleSeconds = 30;
constexpr int kKeepIntervalSeconds = 10;
constexpr int kKeepProbes = 3;
constexpr unsigned kUserTimeoutMs = 60'000;

template <class T>
bool set(int descriptor, int level, int name, const T& value) {
  return setsockopt(descriptor, level, name, &value, sizeof value) == 0;
}

bool set_options(int descriptor) {
  return set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1) &&
         set(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotSentLowWaterBytes) &&
         set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds) &&
         set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds) &&
         set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes) &&
         set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

Error fault(const config::ListenAddress& address, int reason) {
  std::string what = "cannot listen on " + config::to_string(address);
  if (reason == EADDRINUSE) return Error{what + ": another program uses this port"};
  if (reason == EACCES) {
    return Error{what + ": ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"};
  }
  return system_error(std::move(what), reason);
}

// A socket, bound; the errno otherwise (negative).
int bind_socket(const config::ListenAddress& address, bool reuse_port) {
  const int descriptor = socket(address.ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -errno;
  const sockaddr_storage where = config::to_sockaddr(address);
  const bool bound =
      set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) &&
      (!reuse_port || set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1)) &&
      (!address.ipv6 || set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
      bind(descriptor, reinterpret_cast<const sockaddr*>(&where), config::to_length(address)) == 0;
  if (bound) return descriptor;
  const int reason = errno;
  close(descriptor);
  return -reason;
}

// A socket that listens; the errno otherwise (negative).
int listen_on(const config::ListenAddress& address) {
  const int descriptor = bind_socket(address, true);
  if (descriptor < 0) return descriptor;
  if (set_options(descriptor) && listen(descriptor, kBacklog) == 0) return descriptor;
  const int reason = errno;
  close(descriptor);
  return -reason;
}

int another_descriptor(int of) {
  const int descriptor = fcntl(of, F_DUPFD_CLOEXEC, 0);
  return descriptor < 0 ? -errno : descriptor;
}

// Whether somebody listens there already. Without SO_REUSEPORT two listeners never coexist.
bool in_use(const config::ListenAddress& address) {
  if (address.port == 0) return false;
  const int descriptor = bind_socket(address, false);
  if (descriptor == -EADDRINUSE) return true;
  if (descriptor >= 0) close(descriptor);
  return false;
}

std::uint16_t real_port(int descriptor) {
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

}  // namespace

Result<Listeners> open_listeners(const config::ListenAddress& address, std::size_t shards,
                                 std::size_t sockets) {
  Listeners listeners{
      .address = address, .descriptors = {}, .tls = false, .shared = in_use(address)};
  for (std::size_t i = 0; i < shards; ++i) {
    const int descriptor = i < sockets ? listen_on(listeners.address)
                                       : another_descriptor(listeners.descriptors[i % sockets]);
    if (descriptor < 0) {
      for (const int open : listeners.descriptors) close(open);
      return fault(listeners.address, -descriptor);
    }
    listeners.descriptors.push_back(descriptor);
    listeners.address.port = real_port(descriptor);
  }
  return listeners;
}

}  // namespace ringcast::server
