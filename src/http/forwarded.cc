#include "ringcast/http/forwarded.h"

#include <algorithm>

#include "characters.h"

namespace ringcast::http {

bool is_trusted(const IpAddress& peer, std::span<const IpNetwork> trusted_proxies) {
  // The unknown address is all zero, which ::/0 contains.
  if (peer == IpAddress{}) return false;
  return std::ranges::any_of(trusted_proxies,
                             [&](const IpNetwork& network) { return network.contains(peer); });
}

IpAddress client_address(const IpAddress& peer, std::string_view forwarded_for,
                         std::span<const IpNetwork> trusted_proxies) {
  IpAddress client = peer;
  bool more = !forwarded_for.empty();
  while (more && is_trusted(client, trusted_proxies)) {
    const std::size_t comma = forwarded_for.rfind(',');
    more = comma != std::string_view::npos;
    const std::string_view part = forwarded_for.substr(more ? comma + 1 : 0);
    forwarded_for = forwarded_for.substr(0, more ? comma : 0);
    const Result<IpAddress> address = parse_ip_address(characters::trimmed(part));
    // "unknown", a name, the unspecified address: nobody can be held to these.
    if (!address || address.value() == IpAddress{}) break;
    client = address.value();
  }
  return client;
}

}  // namespace ringcast::http
