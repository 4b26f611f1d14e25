#pragma once

#include <string>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/config/address.h"

namespace ringcast::server {

/// Listening sockets for one address (SO_REUSEPORT: the kernel spreads connections over them by the
/// hash of the peer's address).
struct Listeners {
  config::ListenAddress address;  ///< with the real port
  std::vector<int> descriptors;   ///< by shard; several may be of one socket
  bool tls = false;               ///< for the caller: its clients speak TLS
  bool shared = false;  ///< another process listens there too, and gets a part of the connections
};

/// Binds and listens. Sets what every accepted socket inherits:
///   TCP_NODELAY            an event leaves at once
///   TCP_NOTSENT_LOWAT      little unsent data in the kernel for a client that does not read
///   SO_KEEPALIVE and co.   a silent client is noticed within about a minute
///   TCP_USER_TIMEOUT       likewise when data is unacknowledged
/// There are so many `sockets`, at most one for each shard; shards with the same remainder share
/// one. The error names the address. The caller closes the descriptors.
[[nodiscard]] Result<Listeners> open_listeners(const config::ListenAddress& address,
                                               std::size_t shards, std::size_t sockets);

}  // namespace ringcast::server
