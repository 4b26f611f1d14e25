#include "ringcast/admin/log.h"

#include <chrono>
#include <ctime>
#include <utility>

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "text.h"

namespace ringcast::admin {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::critical:
      return spdlog::level::critical;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

std::string_view level_name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
      return "trace";
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warning";
    case spdlog::level::err:
      return "error";
    case spdlog::level::critical:
      return "critical";
    default:
      return "off";
  }
}

void append_time(std::string& out, spdlog::log_clock::time_point time) {
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

/// One message, one line, whatever the message holds. spdlog's own pattern would let a line end
/// through.
class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string_view level = level_name(message.level);
    line_.clear();
    if (format_ == LogFormat::json) {
      line_ += R"({"time":")";
      append_time(line_, message.time);
      line_ += R"(","level":")";
      line_ += level;
      line_ += R"(","message":")";
      append_json_text(line_, payload);
      line_ += "\"}";
    } else {
      append_time(line_, message.time);
      line_ += ' ';
      line_ += level;
      line_.append(level.size() < kLevelWidth ? kLevelWidth - level.size() : 1, ' ');
      append_text(payload);
    }
    line_ += '\n';
    out.append(line_.data(), line_.data() + line_.size());
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  static constexpr std::size_t kLevelWidth = 9;  // of "critical" and a space

  // Only what would end the line or move the terminal's cursor; data of clients was escaped before.
  void append_text(std::string_view payload) {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : payload) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '\n') {
        line_ += "\\n";
      } else if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
        line_ += "\\x";
        line_ += kHex[byte >> 4];
        line_ += kHex[byte & 15];
      } else {
        line_ += c;
      }
    }
  }

  LogFormat format_;
  std::string line_;  // a sink formats under its own lock
};

}  // namespace

std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options,
                                            std::shared_ptr<spdlog::sinks::sink> sink) {
  auto logger = std::make_shared<spdlog::logger>("ringcast", std::move(sink));
  logger->set_formatter(std::make_unique<LineFormatter>(options.format));
  logger->set_level(to_spdlog(options.level));
  logger->flush_on(spdlog::level::trace);
  return logger;
}

void start_logging(const LogOptions& options) {
  spdlog::set_default_logger(
      make_logger(options, std::make_shared<spdlog::sinks::stderr_sink_mt>()));
}

}  // namespace ringcast::admin
