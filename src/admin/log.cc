#include "ringcast/admin/log.h"

#include <atomic>
#include <cerrno>
#include <mutex>
#include <utility>

#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "line.h"

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

// One call for a line, so that lines of other processes on the same pipe do not cut it (up to
// PIPE_BUF). There is nobody to tell of an error: a full disk, a reader that went away.
void write_to_standard_error(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

/// Formats by itself: a pattern of spdlog would let a line end through, and knows no fields.
class Log::Sink final : public spdlog::sinks::sink {
 public:
  explicit Sink(Write write) : write_(std::move(write)) {}

  void log(const spdlog::details::log_msg& message) override {
    write_message(message.level, message.time, {message.payload.data(), message.payload.size()});
  }
  void flush() override {}
  void set_pattern(const std::string& /*pattern*/) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

  void set_format(LogFormat format) {
    const std::lock_guard lock(mutex_);
    format_ = format;
  }

  void write_message(spdlog::level::level_enum level, LogTime time, std::string_view message) {
    const std::lock_guard lock(mutex_);
    append_message_line(line_, format_, time, level_name(level), message);
    write_line();
  }
  void write_audit(const auth::AuditEvent& event, LogTime time) {
    const std::lock_guard lock(mutex_);
    append_audit_line(line_, format_, time, event);
    write_line();
  }

 private:
  void write_line() {
    write_(line_);
    line_.clear();
  }

  std::mutex mutex_;
  LogFormat format_ = LogFormat::text;
  std::string line_;  // kept for its memory
  Write write_;
};

Log::Log(const LogOptions& options, Write write)
    : sink_(std::make_shared<Sink>(std::move(write))),
      logger_(std::make_shared<spdlog::logger>("ringcast", sink_)) {
  set_options(options);
}

void Log::set_options(const LogOptions& options) {
  sink_->set_format(options.format);
  logger_->set_level(to_spdlog(options.level));
}

bool Log::write_audit(const auth::AuditEvent& event, LogTime time) {
  if (logger_->level() == spdlog::level::off) return false;
  sink_->write_audit(event, time);
  return true;
}

bool Log::write_always(LogLevel as, std::string_view message) {
  if (logger_->level() == spdlog::level::off) return false;
  sink_->write_message(to_spdlog(as), std::chrono::system_clock::now(), message);
  return true;
}

Log& process_log() {
  static Log log({}, write_to_standard_error);
  return log;
}

void start_logging(const LogOptions& options) {
  process_log().set_options(options);
  // Only once: spdlog reads its default logger without a lock.
  static std::once_flag once;
  std::call_once(once, [] { spdlog::set_default_logger(process_log().logger()); });
}

}  // namespace ringcast::admin
