#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ringcast/base/ip_address.h"
#include "ringcast/base/result.h"
#include "ringcast/config/address.h"

namespace ringcast::config {

/// Which kind of descriptors the rings use.
enum class DescriptorChoice : std::uint8_t {
  automatic,  ///< as the probe of the kernel finds
  direct,
  ordinary,
};

/// Where the admin listener is; nothing = there is none.
using AdminListen = std::optional<ListenAddress>;

struct ServerOptions {
  std::vector<ListenAddress> listen{{.bytes = {127, 0, 0, 1}, .port = 8080}};
  AdminListen admin_listen = ListenAddress{.bytes = {127, 0, 0, 1}, .port = 9080};
  std::uint32_t shards = 0;  ///< 0 = one for each CPU that the process may use
  bool pin = true;           ///< each shard's thread to one CPU
  std::uint32_t drain_seconds = 10;
  DescriptorChoice descriptors = DescriptorChoice::automatic;
  std::string state_directory;          ///< empty: see find_state_directory
  std::uint32_t streams_per_shard = 0;  ///< 0 = as many as descriptors allow
  /// Whose X-Forwarded-For and X-Forwarded-Proto are believed.
  std::vector<IpNetwork> trusted_proxies;
  /// The server's own origins where a proxy hides them, in the form in which a browser sends them.
  std::vector<std::string> public_origins;

  friend bool operator==(const ServerOptions&, const ServerOptions&) = default;
};

/// The value of an environment variable, or null, as std::getenv.
using Environment = std::function<const char*(const char*)>;

/// Where what survives a restart is kept: `configured`, else the first directory of
/// $STATE_DIRECTORY (systemd.exec(5)), else $XDG_STATE_HOME/ringcast (ignored when not absolute, as
/// the XDG Base Directory Specification demands), else $HOME/.local/state/ringcast. Creates
/// nothing.
[[nodiscard]] Result<std::string> find_state_directory(const std::string& configured,
                                                       const Environment& environment);

}  // namespace ringcast::config
