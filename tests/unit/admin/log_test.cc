#include "ringcast/admin/log.h"

#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <simdjson.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace ringcast::admin {
namespace {

class Log {
 public:
  explicit Log(LogFormat format, LogLevel level = LogLevel::info)
      : logger_(make_logger({.level = level, .format = format},
                            std::make_shared<spdlog::sinks::ostream_sink_st>(out_))) {}
  spdlog::logger* operator->() { return logger_.get(); }
  [[nodiscard]] std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> logger_;
};

std::string json_message(const std::string& line) {
  simdjson::dom::parser parser;
  const auto document = parser.parse(line);
  if (document.error() != simdjson::SUCCESS) return "not JSON: " + line;
  std::string_view message;
  if (document["message"].get(message) != simdjson::SUCCESS) return "no message: " + line;
  return std::string(message);
}

TEST(Log, ATextLineHasTimeLevelAndMessage) {
  Log log(LogFormat::text);
  log->warn("{} streams", 3);
  EXPECT_TRUE(std::regex_match(
      log.text(), std::regex(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning  3 streams\n)")))
      << log.text();
}

TEST(Log, AJsonLineHasTimeLevelAndMessage) {
  Log log(LogFormat::json);
  log->error("disk full");
  EXPECT_TRUE(std::regex_match(
      log.text(),
      std::regex(
          R"re(\{"time":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"error","message":"disk full"\}\n)re")))
      << log.text();
}

TEST(Log, AnyMessageIsOneValidJsonLine) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  const std::string hard[] = {
      "", "\"}\n{\"a\":1", "\\", "tab\there", std::string("nul\0!", 5), "größe 漢字 😀", every_byte};
  for (const std::string& message : hard) {
    Log log(LogFormat::json);
    log->info(message);
    const std::string line = log.text();
    ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    ASSERT_EQ(line.back(), '\n');
    const std::string read = json_message(line);
    if (message == every_byte) {
      EXPECT_EQ(read.substr(0, 128), every_byte.substr(0, 128));
      EXPECT_EQ(read.size(), 128u + 128u * 3u) << "each other byte became U+FFFD";
    } else {
      EXPECT_EQ(read, message);
    }
  }
}

TEST(Log, AMessageWithLineEndsStaysOneTextLine) {
  Log log(LogFormat::text);
  log->info("a\nb\rc\x1b[31m");
  EXPECT_TRUE(log.text().ends_with("info     a\\nb\\x0dc\\x1b[31m\n")) << log.text();
}

TEST(Log, MessagesBelowTheLevelAreNotWritten) {
  Log log(LogFormat::text, LogLevel::warning);
  log->info("quiet");
  EXPECT_EQ(log.text(), "");
  log->warn("loud");
  EXPECT_NE(log.text().find("loud"), std::string::npos);
}

TEST(Log, OffWritesNothing) {
  Log log(LogFormat::text, LogLevel::off);
  log->critical("nobody hears");
  EXPECT_EQ(log.text(), "");
}

TEST(Log, TheDefaultLoggerWritesToStandardError) {
  testing::internal::CaptureStderr();
  start_logging({.level = LogLevel::info, .format = LogFormat::json});
  spdlog::info("started");
  EXPECT_EQ(json_message(testing::internal::GetCapturedStderr()), "started");
}

TEST(SafeText, OrdinaryTextIsLeftAlone) {
  EXPECT_EQ(safe_text("GET /events?topic=größe 漢字 😀 \"x\""),
            "GET /events?topic=größe 漢字 😀 \"x\"");
}

TEST(SafeText, ControlCharactersAreShownNotSent) {
  EXPECT_EQ(safe_text(std::string_view("a\nb\rc\td\0e\x1b[2J\x7f\\", 15)),
            "a\\nb\\rc\\td\\x00e\\x1b[2J\\x7f\\\\");
}

TEST(SafeText, DirectionAndLineCharactersAreShown) {
  EXPECT_EQ(safe_text("\u202e\u2028\u0085\u2066"), "\\u{202e}\\u{2028}\\u{0085}\\u{2066}");
}

TEST(SafeText, BytesThatAreNotUtf8AreShown) {
  EXPECT_EQ(safe_text("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(safe_text("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(safe_text("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(safe_text("\xe2\x82"), "\\xe2\\x82") << "cut short";
}

TEST(SafeText, IsCutAtAWholeCharacter) {
  EXPECT_EQ(safe_text("abcdef", 6), "abcdef");
  EXPECT_EQ(safe_text("abcdef", 5), "abcde…");
  EXPECT_EQ(safe_text("ab漢", 4), "ab…");
  EXPECT_EQ(safe_text("x", 0), "…");
  EXPECT_EQ(safe_text("", 0), "");
}

}  // namespace
}  // namespace ringcast::admin
