#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace ringcast::auth {
struct AuditEvent;
}

namespace ringcast::admin {

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error, critical, off };

enum class LogFormat : std::uint8_t {
  text,  ///< `2026-01-31T12:00:00.000Z info     message`
  json,  ///< `{"time":"2026-01-31T12:00:00.000Z","level":"info","message":"message"}`
};

struct LogOptions {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;

  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

/// One stream of lines, each written whole and in the format of the moment.
///
///   spdlog::info(…) ──► logger ── level ──┐
///   write_audit ─────────────── off? ─────┼──► lock, format, Write
///   write_always ────────────── off? ─────┘
///
/// Threads: all members on any. Blocking: a line waits for the one before it and for `Write`: not
/// for the path of an event. Errors: none; a line that cannot be written is lost.
class Log {
 public:
  /// Takes a whole line, its end included. One call at a time.
  using Write = std::function<void(std::string_view line)>;

  Log(const LogOptions& options, Write write);

  /// Takes effect with the next line; one that another thread writes meanwhile may be the last of
  /// the old format or the old level.
  void set_options(const LogOptions& options);

  /// Lives as long as its lines are wanted, longer than this object if need be.
  [[nodiscard]] const std::shared_ptr<spdlog::logger>& logger() const { return logger_; }

  /// A line of the audit log, whatever the level is; false when it is `off`.
  ///
  ///   2026-01-31T12:00:00.000Z audit    action=token-refused request=0123456789abcdef
  ///       address=192.0.2.7 user="alice" reason="expired"                            (one line)
  ///   {"time":"2026-01-31T12:00:00.000Z","level":"audit","action":"token-refused",
  ///       "request":"0123456789abcdef","address":"192.0.2.7","user":"alice","reason":"expired"}
  ///
  /// Of the user 128 bytes are written and of the reason 256, then `…`. In text they are as
  /// `safe_text` makes them, with `\"` for a quotation mark: so nobody's name can look like a field
  /// or a line. An address that is not known is `-`.
  bool write_audit(const auth::AuditEvent& event, std::chrono::system_clock::time_point time);

  /// A message whatever the level is; false when it is `off`.
  bool write_always(LogLevel as, std::string_view message);

 private:
  class Sink;

  std::shared_ptr<Sink> sink_;
  std::shared_ptr<spdlog::logger> logger_;
};

/// The log of the process, on standard error; with the default options before `start_logging`.
[[nodiscard]] Log& process_log();

/// Gives the process's log these options, and with the first call makes it where `spdlog::info(…)`
/// of any thread goes. The first call comes before other threads use spdlog; later ones at any
/// time, on any thread.
void start_logging(const LogOptions& options);

/// What a client sent, fit for one line of a log: control characters, DEL, the backslash and bytes
/// that are not UTF-8 become `\n`, `\t`, `\\` or `\xHH`; characters that change the direction or
/// the line (U+0080 to U+009F, U+2028, U+2029, U+202A to U+202E, U+2066 to U+2069) become
/// `\u{HEX}`. At most `input_bytes_max` bytes of `text` are taken, never a part of a character; `…`
/// says that there was more.
[[nodiscard]] std::string safe_text(std::string_view text, std::size_t input_bytes_max = 256);

}  // namespace ringcast::admin
