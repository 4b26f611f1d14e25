#pragma once

#include <string>

#include "ringcast/tls/session.h"

namespace ringcast::tls {

struct Failure {
  SessionFault fault = SessionFault::protocol;
  std::string reason;
};

/// Takes OpenSSL's queue of errors of this thread and says what went wrong in a session.
[[nodiscard]] Failure take_failure();

}  // namespace ringcast::tls
