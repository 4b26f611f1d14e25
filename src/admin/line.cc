#include "line.h"

#include <cstddef>
#include <ctime>

#include "text.h"

namespace ringcast::admin {
namespace {

constexpr std::size_t kLevelWidth = 9;  // of "critical" and a space
constexpr std::size_t kUserBytesMax = 128;
constexpr std::size_t kReasonBytesMax = 256;
constexpr std::string_view kAudit = "audit";

void append_time(std::string& out, LogTime time) {
  const auto since = time.time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  out.append(text, length);
  const auto rest = static_cast<int>(ms % 1000);
  out += '.';
  out += static_cast<char>('0' + rest / 100);
  out += static_cast<char>('0' + rest / 10 % 10);
  out += static_cast<char>('0' + rest % 10);
  out += 'Z';
}

void append_head(std::string& out, LogFormat format, LogTime time, std::string_view level) {
  if (format == LogFormat::json) {
    out += R"({"time":")";
    append_time(out, time);
    out += R"(","level":")";
    out += level;
    out += '"';
  } else {
    append_time(out, time);
    out += ' ';
    out += level;
    out.append(level.size() < kLevelWidth ? kLevelWidth - level.size() : 1, ' ');
  }
}

void append_member(std::string& out, std::string_view name, std::string_view value,
                   std::size_t value_bytes_max = std::string_view::npos) {
  out += ",\"";
  out += name;
  out += "\":\"";
  const std::string_view kept = whole_characters(value, value_bytes_max);
  append_json_text(out, kept);
  if (kept.size() < value.size()) out += "…";
  out += '"';
}

void append_quoted(std::string& out, std::string_view value, std::size_t value_bytes_max) {
  out += '"';
  for (const char c : safe_text(value, value_bytes_max)) {
    if (c == '"') out += '\\';
    out += c;
  }
  out += '"';
}

// Only what would end the line or move the terminal's cursor; data of clients was escaped before.
void append_text(std::string& out, std::string_view message) {
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
      out += "\\x";
      append_hex_byte(out, byte);
    } else {
      out += c;
    }
  }
}

}  // namespace

void append_message_line(std::string& out, LogFormat format, LogTime time, std::string_view level,
                         std::string_view message) {
  append_head(out, format, time, level);
  if (format == LogFormat::json) {
    append_member(out, "message", message);
    out += '}';
  } else {
    append_text(out, message);
  }
  out += '\n';
}

void append_audit_line(std::string& out, LogFormat format, LogTime time,
                       const auth::AuditEvent& event) {
  const std::string_view action = auth::to_string(event.action);
  const std::string request = auth::request_id_text(event.request_id);
  const std::string address =
      event.address == IpAddress{} ? std::string("-") : to_string(event.address);
  append_head(out, format, time, kAudit);
  if (format == LogFormat::json) {
    append_member(out, "action", action);
    append_member(out, "request", request);
    append_member(out, "address", address);
    append_member(out, "user", event.user, kUserBytesMax);
    append_member(out, "reason", event.reason, kReasonBytesMax);
    out += '}';
  } else {
    out += "action=";
    out += action;
    out += " request=";
    out += request;
    out += " address=";
    out += address;
    out += " user=";
    append_quoted(out, event.user, kUserBytesMax);
    out += " reason=";
    append_quoted(out, event.reason, kReasonBytesMax);
  }
  out += '\n';
}

}  // namespace ringcast::admin
