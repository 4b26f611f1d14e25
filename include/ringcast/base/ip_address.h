#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include "ringcast/base/result.h"

namespace ringcast {

/// An IPv4 or IPv6 address without a port. IPv4 is kept as IPv4-mapped IPv6 (RFC 4291 section
/// 2.5.5.2), so one address has one value however it arrived.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  ///< network order; all zero = unknown

  friend bool operator==(const IpAddress&, const IpAddress&) = default;

  [[nodiscard]] bool is_v4() const;
  /// The address as limits see it: IPv4 whole, IPv6 its /64 network (one subscriber has all of it).
  /// Whole too within ::/64, which is nobody's: `::1` does not become the unknown address.
  [[nodiscard]] IpAddress limited() const;
};

/// `192.0.2.7` or `2001:db8::7`; neither brackets nor a zone. The error says what is expected.
[[nodiscard]] Result<IpAddress> parse_ip_address(std::string_view text);
/// As RFC 5952 wants it; IPv4-mapped ones as IPv4; the unknown address as `::`.
[[nodiscard]] std::string to_string(const IpAddress& address);
/// All zero for another family than AF_INET and AF_INET6.
[[nodiscard]] IpAddress to_ip_address(const sockaddr_storage& address);

/// A block of addresses, `10.0.0.0/8`.
struct IpNetwork {
  IpAddress address;
  std::uint8_t prefix = 128;  ///< bits that count, of the 128 of the mapped form

  friend bool operator==(const IpNetwork&, const IpNetwork&) = default;
  [[nodiscard]] bool contains(const IpAddress& other) const;
};

/// `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits behind the prefix must be zero. The error
/// says what is expected, or which network was probably meant.
[[nodiscard]] Result<IpNetwork> parse_ip_network(std::string_view text);
/// As one writes it: of IPv4 the prefix of 32 bits, of one address none.
[[nodiscard]] std::string to_string(const IpNetwork& network);

}  // namespace ringcast
