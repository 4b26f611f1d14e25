#include "load/source_addresses.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringcast::load {
namespace {

constexpr std::uint32_t kFirstMadeUp = 0x7f010000;  // 127.1.0.0
constexpr std::uint32_t kMadeUpMax = 0xff0000;

bool parse_address(const std::string& text, sockaddr_storage& out) {
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&out);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET, text.c_str(), &ipv4->sin_addr) == 1) {
    out.ss_family = AF_INET;
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &ipv6->sin6_addr) == 1) {
    out.ss_family = AF_INET6;
    return true;
  }
  return false;
}

}  // namespace

std::uint32_t ephemeral_ports() {
  std::ifstream file{"/proc/sys/net/ipv4/ip_local_port_range"};
  std::uint32_t first = 32'768;
  std::uint32_t last = 60'999;
  file >> first >> last;
  return last >= first ? last - first + 1 : 1;
}

Result<SourceAddresses> SourceAddresses::plan(const Plan& plan) {
  SourceAddresses self;
  self.family_ = plan.events.front().address.ss_family;
  for (const Url& url : plan.events) {
    if (url.address.ss_family != self.family_) {
      return Error{"--url: IPv4 and IPv6 cannot be mixed"};
    }
  }
  const std::uint32_t ports = ephemeral_ports();
  const std::string range =
      std::to_string(ports) + " ports in net.ipv4.ip_local_port_range for each source address";
  for (const std::string& text : plan.sources) {
    sockaddr_storage address{};
    if (!parse_address(text, address) || address.ss_family != self.family_) {
      return Error{"--source " + text + ": not an address of the destination's family"};
    }
    self.given_.push_back(address);
  }
  const bool all_loopback = std::all_of(plan.events.begin(), plan.events.end(),
                                        [](const Url& url) { return url.is_ipv4_loopback(); });
  if (self.given_.empty() && all_loopback) {
    // `connect` looks among the ports of one parity first and, when those are taken, goes through
    // all of them each time, for hundreds of microseconds. So each address gets fewer streams than
    // half of the ports.
    self.made_up_ = true;
    self.streams_each_ = std::max(1U, ports / 10 * 4);
    self.places_ = plan.streams / self.streams_each_ + 1;
    if (self.places_ < kMadeUpMax / 2) return self;
  }
  // Of what is left some are for publishing.
  const std::uint32_t streams_each_max = std::max(1U, ports / 20 * 19);
  const auto addresses = static_cast<std::uint32_t>(std::max<std::size_t>(self.given_.size(), 1));
  self.streams_each_ = (plan.streams + addresses - 1) / addresses;
  if (self.streams_each_ <= streams_each_max) return self;
  const std::uint32_t needed = (plan.streams + streams_each_max - 1) / streams_each_max;
  return Error{"ports would run out: " + range + "; give " + std::to_string(needed) +
               " --source addresses, or widen the range"};
}

Result<int> SourceAddresses::make_socket(std::uint32_t stream, bool again) const {
  const int descriptor = socket(family_, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error("socket", errno);
  const linger reset_on_close{1, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset_on_close, sizeof reset_on_close);

  const std::uint32_t place = stream / streams_each_;
  const std::uint32_t made_up = place + (again ? places_ : 0);
  sockaddr_storage source{};
  if (!given_.empty()) {
    source = given_[place];
  } else if (made_up_ && made_up > 0) {
    auto* ipv4 = reinterpret_cast<sockaddr_in*>(&source);
    ipv4->sin_family = AF_INET;
    ipv4->sin_addr.s_addr = htonl(kFirstMadeUp + made_up);
  } else {
    return descriptor;
  }
  // Without this, bind would take a port that is then free for no other destination.
  const int yes = 1;
  setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  const socklen_t bytes = family_ == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&source), bytes) != 0) {
    const int code = errno;
    close(descriptor);
    return system_error("bind to a source address", code);
  }
  return descriptor;
}

}  // namespace ringcast::load
