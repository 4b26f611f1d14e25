#include "ringcast/admin/log.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>
#include <spdlog/logger.h>
#include <spdlog/spdlog.h>

#include "ringcast/auth/audit.h"

namespace ringcast::admin {
namespace {

/// A log whose lines are kept.
class KeptLog {
 public:
  explicit KeptLog(LogFormat format, LogLevel level = LogLevel::info)
      : log_({.level = level, .format = format}, [this](std::string_view line) { text_ += line; }) {
  }
  spdlog::logger* operator->() { return log_.logger().get(); }
  [[nodiscard]] Log& log() { return log_; }
  [[nodiscard]] std::string text() const { return text_; }

 private:
  std::string text_;
  Log log_;
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
  KeptLog log(LogFormat::text);
  log->warn("{} streams", 3);
  EXPECT_TRUE(std::regex_match(
      log.text(), std::regex(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning  3 streams\n)")))
      << log.text();
}

TEST(Log, AJsonLineHasTimeLevelAndMessage) {
  KeptLog log(LogFormat::json);
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
    KeptLog log(LogFormat::json);
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
  KeptLog log(LogFormat::text);
  log->info("a\nb\rc\x1b[31m");
  EXPECT_TRUE(log.text().ends_with("info     a\\nb\\x0dc\\x1b[31m\n")) << log.text();
}

TEST(Log, MessagesBelowTheLevelAreNotWritten) {
  KeptLog log(LogFormat::text, LogLevel::warning);
  log->info("quiet");
  EXPECT_EQ(log.text(), "");
  log->warn("loud");
  EXPECT_NE(log.text().find("loud"), std::string::npos);
}

TEST(Log, OffWritesNothing) {
  KeptLog log(LogFormat::text, LogLevel::off);
  log->critical("nobody hears");
  EXPECT_EQ(log.text(), "");
}

TEST(Log, OptionsCanChange) {
  KeptLog log(LogFormat::text, LogLevel::warning);
  log->info("quiet");
  log.log().set_options({.level = LogLevel::debug, .format = LogFormat::json});
  log->debug("loud");
  EXPECT_EQ(json_message(log.text()), "loud");
  log.log().set_options({.level = LogLevel::error, .format = LogFormat::json});
  log->warn("quiet again");
  EXPECT_EQ(json_message(log.text()), "loud");
}

TEST(Log, CharactersThatChangeTheTerminalAreEscapedInJson) {
  KeptLog log(LogFormat::json);
  log->info("a\u202eb\u0085c\u2028\x7f");
  EXPECT_NE(log.text().find(R"("message":"a\u202eb\u0085c\u2028\u007f")"), std::string::npos)
      << log.text();
  EXPECT_EQ(json_message(log.text()), "a\u202eb\u0085c\u2028\x7f");
}

TEST(Log, WriteAlwaysWritesBelowTheLevelButNotWhenOff) {
  KeptLog log(LogFormat::text, LogLevel::critical);
  EXPECT_TRUE(log.log().write_always(LogLevel::warning, "heard"));
  EXPECT_TRUE(log.text().ends_with("Z warning  heard\n")) << log.text();
  KeptLog off(LogFormat::text, LogLevel::off);
  EXPECT_FALSE(off.log().write_always(LogLevel::warning, "nobody hears"));
  EXPECT_EQ(off.text(), "");
}

TEST(Log, TheDefaultLoggerWritesToStandardError) {
  testing::internal::CaptureStderr();
  start_logging({.level = LogLevel::info, .format = LogFormat::json});
  spdlog::info("started");
  EXPECT_EQ(json_message(testing::internal::GetCapturedStderr()), "started");
}

TEST(Log, OptionsOfTheProcessCanChangeWhileThreadsLog) {
  constexpr int kEach = 500;
  start_logging({});
  testing::internal::CaptureStderr();
  std::atomic<int> running{3};
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&running] {
      for (int i = 0; i < kEach; ++i) spdlog::critical("hello");
      --running;
    });
  }
  threads.emplace_back([&running] {
    auth::AuditEvent event;
    event.user = "alice";
    for (int i = 0; i < kEach; ++i) {
      process_log().write_audit(event, std::chrono::system_clock::now());
    }
    --running;
  });
  for (int i = 0; running > 0; ++i) {
    start_logging({.level = i % 2 == 0 ? LogLevel::info : LogLevel::critical,
                   .format = i % 3 == 0 ? LogFormat::json : LogFormat::text});
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  start_logging({});

  std::istringstream lines(testing::internal::GetCapturedStderr());
  int hellos = 0;
  int audits = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with("Z critical hello") ||
        line.ends_with(R"(","level":"critical","message":"hello"})")) {
      ++hellos;
    } else if (
        line.ends_with(
            R"(Z audit    action=login request=0000000000000000 address=- user="alice" reason="")") ||
        line.ends_with(R"("user":"alice","reason":""})")) {
      ++audits;
    } else {
      ADD_FAILURE() << "neither whole nor in one format: " << line;
    }
  }
  EXPECT_EQ(hellos, 2 * kEach);
  EXPECT_EQ(audits, kEach);
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
