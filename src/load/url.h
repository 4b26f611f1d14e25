#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

#include "ringcast/base/result.h"
#include "ringcast/tls/client_context.h"

namespace ringcast::load {

/// Where a server is: a URL, taken apart and resolved.
struct Url {
  static constexpr std::string_view kTopicPlace = "{topic}";

  std::string host;       ///< with its port, as the Host header wants it
  std::string host_name;  ///< without the port
  std::string target;     ///< path and query
  bool secure = false;
  /// How TLS is spoken with it, if it is secure. `parse_url` leaves that to the caller.
  std::shared_ptr<const tls::ClientContext> tls;
  sockaddr_storage address{};
  socklen_t address_bytes = 0;

  [[nodiscard]] const sockaddr* socket_address() const {
    return reinterpret_cast<const sockaddr*>(&address);
  }
  /// An IPv4 address in 127.0.0.0/8: each other address of that block reaches it too.
  [[nodiscard]] bool is_ipv4_loopback() const;
  /// Whether the target says where the topic goes.
  [[nodiscard]] bool has_topic() const { return target.find(kTopicPlace) != std::string::npos; }
  /// The target with the topic wherever it says `{topic}`. `topic` needs no escaping.
  [[nodiscard]] std::string target_for(std::string_view topic) const;
  /// The target with one more parameter in its query. `name` and `value` need no escaping.
  [[nodiscard]] std::string target_with(std::string_view name, std::string_view value) const;
};

/// Reads `http[s]://HOST[:PORT][/PATH][?QUERY]` (RFC 9110 section 4.2) and resolves the host, which
/// may block on the name service.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

/// The same for `redis://HOST[:PORT]`; `target` stays empty. Passwords and databases are not spoken
/// here.
[[nodiscard]] Result<Url> parse_redis_url(std::string_view text);

}  // namespace ringcast::load
