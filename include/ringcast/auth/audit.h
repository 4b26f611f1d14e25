#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/ip_address.h"

namespace ringcast::auth {

enum class AuditAction : std::uint8_t {
  login,         ///< succeeded
  login_failed,  ///< wrong user or password, or over a limit
  logout,
  token_refused,
  origin_refused,
  forbidden,  ///< a good token without the grant
};
[[nodiscard]] std::string_view to_string(AuditAction action);  ///< `login`, `login-failed`, …

/// One line of the audit log. Never holds a token or a password.
struct AuditEvent {
  AuditAction action = AuditAction::login;
  std::uint64_t request_id = 0;
  IpAddress address;   ///< of the client, as far as trusted proxies tell
  std::string user;    ///< as claimed; may be anything: escaped when written
  std::string reason;  ///< `expired`, `unknown-key`, …; of ours, or an origin: escaped too
};

/// Where audit lines go. Any thread; neither blocks nor fails: what finds no room is counted and
/// the count is written.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  virtual void record(AuditEvent&& event) = 0;
};

/// How a request ID is written, in audit lines and in the header `X-Request-Id`: 16 hexadecimal
/// digits.
[[nodiscard]] std::string request_id_text(std::uint64_t request_id);

}  // namespace ringcast::auth
