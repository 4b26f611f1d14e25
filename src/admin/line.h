#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "ringcast/admin/log.h"
#include "ringcast/auth/audit.h"

namespace ringcast::admin {

using LogTime = std::chrono::system_clock::time_point;

/// Appends one line of a log, its end included: one line whatever the message holds.
void append_message_line(std::string& out, LogFormat format, LogTime time, std::string_view level,
                         std::string_view message);

/// Appends one line of the audit log; see Log::write_audit.
void append_audit_line(std::string& out, LogFormat format, LogTime time,
                       const auth::AuditEvent& event);

}  // namespace ringcast::admin
