#include "ringcast/auth/audit.h"

#include <cstddef>

namespace ringcast::auth {

std::string_view to_string(AuditAction action) {
  switch (action) {
    case AuditAction::login:
      return "login";
    case AuditAction::login_failed:
      return "login-failed";
    case AuditAction::logout:
      return "logout";
    case AuditAction::token_refused:
      return "token-refused";
    case AuditAction::origin_refused:
      return "origin-refused";
    case AuditAction::forbidden:
      return "forbidden";
  }
  return "unknown";
}

std::string request_id_text(std::uint64_t request_id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; request_id >>= 4) text[i] = kDigits[request_id & 0xf];
  return text;
}

}  // namespace ringcast::auth
