#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

#include "ringcast/base/result.h"

namespace ringcast::config {

/// A TCP address to listen on. A value: compared by what it means, not by how it was written.
struct ListenAddress {
  bool ipv6 = false;
  std::array<std::uint8_t, 16> bytes{};  ///< network order; IPv4 in the first four
  std::uint16_t port = 0;                ///< 0 = any free one

  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

/// Reads `127.0.0.1:8080` or `[::1]:8080` (the IPv6 form of RFC 3986). No names, no zones, and
/// always a port. The error says what is expected.
[[nodiscard]] Result<ListenAddress> parse_address(std::string_view text);

/// The form that `parse_address` reads, IPv6 as RFC 5952 wants it.
[[nodiscard]] std::string to_string(const ListenAddress& address);

/// For bind(2); `to_length` of it goes along.
[[nodiscard]] sockaddr_storage to_sockaddr(const ListenAddress& address);
[[nodiscard]] socklen_t to_length(const ListenAddress& address);

}  // namespace ringcast::config
