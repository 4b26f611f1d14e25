#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

namespace ringcast::test {

/// What is logged, by any thread.
class Lines : public spdlog::sinks::base_sink<std::mutex> {
 public:
  [[nodiscard]] std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    text_.append(message.payload.data(), message.payload.size()) += '\n';
  }
  void flush_() override {}

  std::string text_;
};

/// What is logged while it lives.
class LogCapture {
 public:
  LogCapture() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", lines_)); }
  ~LogCapture() { spdlog::set_default_logger(old_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] std::string text() const { return lines_->text(); }
  [[nodiscard]] bool says(std::string_view what) const { return count(what) != 0; }
  [[nodiscard]] std::size_t count(std::string_view what) const {
    const std::string all = text();
    std::size_t found = 0;
    for (std::size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1)) {
      ++found;
    }
    return found;
  }

 private:
  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  std::shared_ptr<spdlog::logger> old_ = spdlog::default_logger();
};

}  // namespace ringcast::test
