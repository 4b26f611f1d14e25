#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

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

/// Makes spdlog's default logger one that writes to standard error in the format asked for, so that
/// `spdlog::info(…)` of any thread goes there. Writing takes a lock and may block: not for the path
/// of an event. May be called again to change the options; before the other threads start, or when
/// they do not log.
void start_logging(const LogOptions& options);

/// The same logger on a sink of the caller's, for tests.
[[nodiscard]] std::shared_ptr<spdlog::logger> make_logger(
    const LogOptions& options, std::shared_ptr<spdlog::sinks::sink> sink);

/// What a client sent, fit for one line of a log: control characters, DEL, the backslash and bytes
/// that are not UTF-8 become `\n`, `\t`, `\\` or `\xHH`; characters that change the direction or
/// the line (U+0080 to U+009F, U+2028, U+2029, U+202A to U+202E, U+2066 to U+2069) become
/// `\u{HEX}`. At most `input_bytes_max` bytes of `text` are taken, never a part of a character; `…`
/// says that there was more.
[[nodiscard]] std::string safe_text(std::string_view text, std::size_t input_bytes_max = 256);

}  // namespace ringcast::admin
