#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ringcast/auth/access.h"
#include "ringcast/base/ip_address.h"
#include "ringcast/http/cors.h"
#include "ringcast/http/origin.h"
#include "ringcast/shard/options.h"
#include "ringcast/tls/context.h"

namespace ringcast::shard {

/// What can change while streams stay open. Immutable: shards share one and are handed another on
/// reload; requests that begin after that see it.
struct Policy {
  std::shared_ptr<const auth::Access> access;  ///< never null
  http::CorsPolicy cors;
  std::vector<http::Origin> public_origins;  ///< the server's own, as browsers see it
  std::vector<IpNetwork> trusted_proxies;
  LimitOptions limits;                      ///< of these the rates, the counts and `refusal`
  std::shared_ptr<const tls::Context> tls;  ///< of new connections; null: no listener speaks TLS
  /// `https://host[:port]`: who speaks to a plain listener is sent there; empty = is served.
  std::string redirect_to;
};

}  // namespace ringcast::shard
