#include "ringcast/config/address.h"

#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace ringcast::config {
namespace {

Error not_an_address(std::string_view reason) {
  return Error{"must be ADDR:PORT, for example \"127.0.0.1:8080\" or \"[::1]:8080\": " +
               std::string(reason)};
}

}  // namespace

Result<ListenAddress> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return not_an_address("the port is missing");
  const std::string_view port = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);

  ListenAddress address;
  const char* const port_end = port.data() + port.size();
  const auto [stopped, failure] = std::from_chars(port.data(), port_end, address.port);
  if (failure != std::errc{} || stopped != port_end) {
    return not_an_address("the port must be a number, 0 to 65535 (0 = any free one)");
  }
  address.ipv6 = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (address.ipv6) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return not_an_address("an IPv6 address needs brackets");
  }
  // inet_pton wants a terminator; a NUL inside would end the text early.
  const bool has_nul = host.find('\0') != std::string_view::npos;
  if (has_nul || inet_pton(address.ipv6 ? AF_INET6 : AF_INET, std::string(host).c_str(),
                           address.bytes.data()) != 1) {
    return not_an_address(address.ipv6 ? "what is in the brackets is no IPv6 address"
                                       : "what stands before the port is no IPv4 address "
                                         "(names are not looked up)");
  }
  return address;
}

std::string to_string(const ListenAddress& address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.ipv6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  const std::string host = address.ipv6 ? "[" + std::string(text) + "]" : std::string(text);
  return host + ":" + std::to_string(address.port);
}

sockaddr_storage to_sockaddr(const ListenAddress& address) {
  sockaddr_storage storage{};
  if (address.ipv6) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    std::memcpy(&in6.sin6_addr, address.bytes.data(), sizeof in6.sin6_addr);
    std::memcpy(&storage, &in6, sizeof in6);
  } else {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&in.sin_addr, address.bytes.data(), sizeof in.sin_addr);
    std::memcpy(&storage, &in, sizeof in);
  }
  return storage;
}

socklen_t to_length(const ListenAddress& address) {
  return address.ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

}  // namespace ringcast::config
