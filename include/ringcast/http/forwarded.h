#pragma once

#include <span>
#include <string_view>

#include "ringcast/base/ip_address.h"

namespace ringcast::http {

/// Where a request really came from. `X-Forwarded-For` is believed only as far as trusted proxies
/// wrote it: read from its end, the first address that is no trusted proxy is the client. A part
/// that is no address (`unknown`, a name, with a port, `::`) ends the search: then the proxy that
/// passed it on counts.
[[nodiscard]] IpAddress client_address(const IpAddress& peer, std::string_view forwarded_for,
                                       std::span<const IpNetwork> trusted_proxies);

/// Never the unknown address.
[[nodiscard]] bool is_trusted(const IpAddress& peer, std::span<const IpNetwork> trusted_proxies);

}  // namespace ringcast::http
