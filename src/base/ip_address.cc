#include "ringcast/base/ip_address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace ringcast {
namespace {

constexpr std::size_t kV4Bytes = 4;
/// Bits in front of an IPv4 address in its mapped form, `::ffff:0:0/96`.
constexpr unsigned kMappedBits = 96;
constexpr unsigned kAllBits = 128;
constexpr std::size_t kNetworkBytes = 8;  // of a /64

constexpr std::array<std::uint8_t, kMappedBits / 8> kMappedPrefix = {0, 0, 0, 0, 0,    0,
                                                                     0, 0, 0, 0, 0xff, 0xff};

IpAddress mapped(const void* v4) {
  IpAddress address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
  std::memcpy(address.bytes.data() + kMappedPrefix.size(), v4, kV4Bytes);
  return address;
}

/// The bits of the byte that lie within the first `prefix` bits of the address.
unsigned mask_of_byte(std::size_t byte, unsigned prefix) {
  const std::size_t before = byte * 8;
  if (prefix <= before) return 0;
  const std::size_t bits = std::min<std::size_t>(8, prefix - before);
  return (0xff00U >> bits) & 0xffU;
}

bool is_zero_behind(const IpAddress& address, unsigned prefix) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    if ((address.bytes[i] & ~mask_of_byte(i, prefix) & 0xffU) != 0) return false;
  }
  return true;
}

IpAddress first_of_network(IpAddress address, unsigned prefix) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & mask_of_byte(i, prefix));
  }
  return address;
}

/// Decimal digits without a leading zero, so that nobody reads them as octal.
bool read_prefix(std::string_view text, unsigned& prefix) {
  if (text.empty() || (text.front() == '0' && text.size() > 1)) return false;
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, prefix);
  return failure == std::errc{} && stopped == end;
}

}  // namespace

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

IpAddress IpAddress::limited() const {
  // Nobody's network is ::/64: in it are the loopback, the mapped ones and "unknown", which must
  // not become one.
  const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
  if (std::all_of(bytes.begin(), bytes.begin() + kNetworkBytes, is_zero)) return *this;
  return first_of_network(*this, kNetworkBytes * 8);
}

Result<IpAddress> parse_ip_address(std::string_view text) {
  // inet_pton wants a terminator; a NUL inside would end the text early.
  if (text.size() < INET6_ADDRSTRLEN && text.find('\0') == std::string_view::npos) {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    std::copy(text.begin(), text.end(), terminated.begin());
    in_addr v4{};
    if (inet_pton(AF_INET, terminated.data(), &v4) == 1) return mapped(&v4);
    IpAddress v6;
    if (inet_pton(AF_INET6, terminated.data(), v6.bytes.data()) == 1) return v6;
  }
  return Error{"must be an IP address, for example \"192.0.2.7\" or \"2001:db8::7\""};
}

std::string to_string(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = address.is_v4();
  const std::uint8_t* const from = address.bytes.data() + (v4 ? kMappedPrefix.size() : 0);
  inet_ntop(v4 ? AF_INET : AF_INET6, from, text.data(), text.size());
  return text.data();
}

IpAddress to_ip_address(const sockaddr_storage& address) {
  IpAddress result;
  if (address.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    result = mapped(&in.sin_addr);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &address, sizeof in6);
    std::memcpy(result.bytes.data(), &in6.sin6_addr, result.bytes.size());
  }
  return result;
}

bool IpNetwork::contains(const IpAddress& other) const {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    const auto differing = static_cast<unsigned>(address.bytes[i] ^ other.bytes[i]);
    if ((differing & mask_of_byte(i, prefix)) != 0) return false;
  }
  return true;
}

Result<IpNetwork> parse_ip_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const Result<IpAddress> address = parse_ip_address(host);
  if (!address) {
    return Error{
        "must be an IP address or a network, for example \"192.0.2.7\", \"10.0.0.0/8\" or "
        "\"2001:db8::/32\""};
  }
  if (slash == std::string_view::npos) return IpNetwork{address.value(), kAllBits};

  const bool v4 = host.find(':') == std::string_view::npos;
  const unsigned prefix_max = v4 ? kAllBits - kMappedBits : kAllBits;
  unsigned prefix = 0;
  if (!read_prefix(text.substr(slash + 1), prefix) || prefix > prefix_max) {
    return Error{"the number behind the slash must be 0 to " + std::to_string(prefix_max)};
  }
  if (v4) prefix += kMappedBits;
  if (!is_zero_behind(address.value(), prefix)) {
    const IpNetwork meant{first_of_network(address.value(), prefix),
                          static_cast<std::uint8_t>(prefix)};
    return Error{"bits behind the prefix must be zero: the network would be \"" + to_string(meant) +
                 "\""};
  }
  return IpNetwork{address.value(), static_cast<std::uint8_t>(prefix)};
}

std::string to_string(const IpNetwork& network) {
  std::string text = to_string(network.address);
  if (network.prefix == kAllBits) return text;
  // A mapped address with fewer bits would have bits behind its prefix.
  const unsigned before = network.address.is_v4() ? kMappedBits : 0;
  return text + "/" + std::to_string(network.prefix - before);
}

}  // namespace ringcast
