#include "ringcast/admin/audit_writer.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>
#include <spdlog/logger.h>

namespace ringcast::admin {
namespace {

auth::AuditEvent event_of(std::string user, std::string reason = "expired") {
  auth::AuditEvent event;
  event.action = auth::AuditAction::token_refused;
  event.request_id = 0x0123456789abcdef;
  event.address = parse_ip_address("192.0.2.7").value();
  event.user = std::move(user);
  event.reason = std::move(reason);
  return event;
}

/// A log whose lines are kept, and that can be held up as a full pipe holds one up.
class Kept {
 public:
  explicit Kept(LogOptions options = {})
      : log(options, [this](std::string_view line) { take(line); }) {}

  void block() {
    const std::lock_guard lock(mutex_);
    blocked_ = true;
  }
  void unblock() {
    {
      const std::lock_guard lock(mutex_);
      blocked_ = false;
    }
    changed_.notify_all();
  }
  /// Until the writer is held up in a line.
  void wait_until_held_up() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_up_; });
  }
  [[nodiscard]] std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  void take(std::string_view line) {
    std::unique_lock lock(mutex_);
    held_up_ = blocked_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !blocked_; });
    held_up_ = false;
    lines_.emplace_back(line);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool blocked_ = false;
  bool held_up_ = false;
  std::vector<std::string> lines_;

 public:
  Log log;
};

std::string only_line(auth::AuditEvent event, LogFormat format) {
  Kept kept({.level = LogLevel::info, .format = format});
  AuditWriter(kept.log).record(std::move(event));
  const std::vector<std::string> lines = kept.lines();
  EXPECT_EQ(lines.size(), 1u);
  return lines.empty() ? "" : lines[0];
}

/// The members of a flat object of texts; empty when it is not one.
std::map<std::string, std::string> json_members(const std::string& line) {
  std::map<std::string, std::string> members;
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(line).get(object) != simdjson::SUCCESS) return {};
  for (const auto& [name, value] : object) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return {};
    members.emplace(name, text);
  }
  return members;
}

TEST(AuditWriter, ATextLineHasEachField) {
  const std::string line = only_line(event_of("alice"), LogFormat::text);
  EXPECT_TRUE(std::regex_match(
      line,
      std::regex(
          R"re(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z audit    action=token-refused request=0123456789abcdef address=192\.0\.2\.7 user="alice" reason="expired"\n)re")))
      << line;
}

TEST(AuditWriter, AJsonLineHasEachField) {
  const std::string line = only_line(event_of("alice"), LogFormat::json);
  EXPECT_TRUE(std::regex_match(
      line,
      std::regex(
          R"re(\{"time":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"audit","action":"token-refused","request":"0123456789abcdef","address":"192\.0\.2\.7","user":"alice","reason":"expired"\}\n)re")))
      << line;
}

TEST(AuditWriter, EachActionIsNamed) {
  using Action = auth::AuditAction;
  const std::pair<Action, std::string> names[] = {
      {Action::login, "login"},
      {Action::login_failed, "login-failed"},
      {Action::logout, "logout"},
      {Action::token_refused, "token-refused"},
      {Action::origin_refused, "origin-refused"},
      {Action::forbidden, "forbidden"},
  };
  for (const auto& [action, name] : names) {
    auth::AuditEvent event = event_of("alice");
    event.action = action;
    EXPECT_EQ(json_members(only_line(event, LogFormat::json))["action"], name);
    EXPECT_NE(only_line(event, LogFormat::text).find(" action=" + name + " "), std::string::npos);
  }
}

TEST(AuditWriter, AnUnknownAddressIsADash) {
  auth::AuditEvent event = event_of("alice");
  event.address = IpAddress{};
  EXPECT_EQ(json_members(only_line(event, LogFormat::json))["address"], "-");
}

TEST(AuditWriter, NoUserCanForgeAFieldOrALine) {
  const std::string user =
      "x\" reason=\"ok\"\n2026-01-01T00:00:00.000Z audit    action=login \\\" \x1b[2J\xff\u202e";
  const std::string line = only_line(event_of(user), LogFormat::text);
  EXPECT_TRUE(line.ends_with(
      R"(user="x\" reason=\"ok\"\n2026-01-01T00:00:00.000Z audit    action=login \\\" \x1b[2J\xff\u{202e}" reason="expired")"
      "\n"))
      << line;

  const std::string json = only_line(event_of(user, user), LogFormat::json);
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
  auto members = json_members(json);
  ASSERT_EQ(members.size(), 7u) << json;
  const std::string kept = user.substr(0, user.find('\xff')) + "\ufffd\u202e";
  EXPECT_EQ(members["user"], kept);
  EXPECT_EQ(members["reason"], kept);
}

TEST(AuditWriter, LongTextsAreCutAtAWholeCharacter) {
  const std::string user = std::string(126, 'u') + "漢" + "more";
  const std::string reason(300, 'r');
  const std::string text = only_line(event_of(user, reason), LogFormat::text);
  EXPECT_TRUE(text.ends_with(" user=\"" + std::string(126, 'u') + "…\" reason=\"" +
                             std::string(256, 'r') + "…\"\n"))
      << text;
  auto members = json_members(only_line(event_of(user, reason), LogFormat::json));
  EXPECT_EQ(members["user"], std::string(126, 'u') + "…");
  EXPECT_EQ(members["reason"], std::string(256, 'r') + "…");

  members = json_members(only_line(event_of(std::string(128, 'u'), ""), LogFormat::json));
  EXPECT_EQ(members["user"], std::string(128, 'u')) << "fits";
  EXPECT_EQ(members["reason"], "");
}

TEST(AuditWriter, TheLevelDoesNotSilenceItButOffDoes) {
  Kept strict({.level = LogLevel::critical});
  AuditWriter(strict.log).record(event_of("alice"));
  EXPECT_EQ(strict.lines().size(), 1u);

  Kept off({.level = LogLevel::off});
  AuditWriter writer(off.log);
  writer.record(event_of("alice"));
  writer.flush();
  EXPECT_EQ(off.lines().size(), 0u);
  EXPECT_EQ(writer.lines_written(), 0u);
  EXPECT_EQ(writer.lines_dropped(), 0u) << "nobody wanted it";
}

TEST(AuditWriter, LinesKeepTheirOrderAndAreCounted) {
  Kept kept({.level = LogLevel::info, .format = LogFormat::json});
  AuditWriter writer(kept.log);
  for (int i = 0; i < 1000; ++i) writer.record(event_of(std::to_string(i)));
  writer.flush();
  const std::vector<std::string> lines = kept.lines();
  ASSERT_EQ(lines.size(), 1000u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_EQ(json_members(lines[i])["user"], std::to_string(i));
  }
  EXPECT_EQ(writer.lines_written(), 1000u);
  EXPECT_EQ(writer.lines_dropped(), 0u);
}

TEST(AuditWriter, AStuckLogHoldsUpNobodyAndTheLossIsWritten) {
  constexpr std::size_t kMax = AuditWriter::kQueueLinesMax;
  Kept kept;
  kept.block();
  AuditWriter writer(kept.log);
  writer.record(event_of("first"));
  kept.wait_until_held_up();
  for (std::size_t i = 0; i < kMax + 5; ++i) writer.record(event_of("queued"));
  EXPECT_EQ(writer.lines_dropped(), 5u);
  kept.unblock();
  writer.flush();
  const std::vector<std::string> lines = kept.lines();
  ASSERT_EQ(lines.size(), 1 + kMax + 1);
  EXPECT_NE(lines.front().find("first"), std::string::npos);
  EXPECT_TRUE(lines.back().ends_with("Z warning  audit: 5 lines were dropped\n")) << lines.back();
  EXPECT_EQ(writer.lines_written(), 1 + kMax);

  writer.record(event_of("later"));
  writer.flush();
  EXPECT_EQ(kept.lines().size(), lines.size() + 1) << "there is room, and the loss is told once";
  EXPECT_EQ(writer.lines_dropped(), 5u);
}

TEST(AuditWriter, LongTextsThatWaitAreBounded) {
  Kept kept;
  kept.block();
  AuditWriter writer(kept.log);
  writer.record(event_of("first"));
  kept.wait_until_held_up();
  const std::size_t fit = AuditWriter::kQueueTextMax / 100'000;
  for (std::size_t i = 0; i < fit + 7; ++i) writer.record(event_of(std::string(100'000, 'x')));
  EXPECT_GE(writer.lines_dropped(), 7u);
  EXPECT_LE(writer.lines_dropped(), 9u);
  kept.unblock();
  writer.flush();
  EXPECT_EQ(writer.lines_written() + writer.lines_dropped(), 1 + fit + 7);

  const std::uint64_t dropped = writer.lines_dropped();
  writer.record(event_of(std::string(AuditWriter::kQueueTextMax / 2, 'x')));
  writer.flush();
  EXPECT_EQ(writer.lines_dropped(), dropped) << "there is room again";
}

TEST(AuditWriter, OneEventThatNeverFitsIsReported) {
  Kept kept;
  AuditWriter writer(kept.log);
  writer.record(event_of(std::string(AuditWriter::kQueueTextMax + 1, 'x')));
  writer.flush();
  ASSERT_EQ(kept.lines().size(), 1u);
  EXPECT_TRUE(kept.lines()[0].ends_with("audit: 1 lines were dropped\n"));
}

/// The time as a line has it now.
std::string time_text() {
  Kept kept;
  static_cast<void>(kept.log.write_always(LogLevel::info, ""));
  return kept.lines()[0].substr(0, std::string_view("2026-01-31T12:00:00.000Z").size());
}

TEST(AuditWriter, TheTimeIsThatOfTheEventNotOfItsWriting) {
  Kept kept({.level = LogLevel::info, .format = LogFormat::json});
  kept.block();
  AuditWriter writer(kept.log);
  writer.record(event_of("first"));
  kept.wait_until_held_up();
  const std::string before = time_text();
  writer.record(event_of("second"));
  const std::string after = time_text();
  while (time_text() == after) std::this_thread::yield();  // a millisecond at most
  kept.unblock();
  writer.flush();
  const std::string time = json_members(kept.lines().at(1))["time"];
  EXPECT_LE(before, time);
  EXPECT_LE(time, after);
}

TEST(AuditWriter, EndingWritesWhatWaits) {
  Kept kept;
  for (int i = 0; i < 100; ++i) AuditWriter(kept.log).record(event_of("alice"));
  EXPECT_EQ(kept.lines().size(), 100u);
}

TEST(AuditWriter, ThreadsRecordWhileTheOptionsChange) {
  constexpr std::uint64_t kEach = 3'000;
  Kept kept;
  AuditWriter writer(kept.log);
  std::atomic<int> running{2};
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        writer.record(event_of("alice"));
        if (i % 100 == 0) {
          kept.log.logger()->critical("between");
          writer.flush();
        }
      }
      --running;
    });
  }
  for (int i = 0; running > 0; ++i) {
    kept.log.set_options({.level = i % 2 == 0 ? LogLevel::error : LogLevel::info,
                          .format = i % 3 == 0 ? LogFormat::json : LogFormat::text});
    static_cast<void>(writer.lines_written() + writer.lines_dropped());
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  writer.flush();
  EXPECT_EQ(writer.lines_written() + writer.lines_dropped(), 2 * kEach);
  std::uint64_t audit_lines = 0;
  for (const std::string& line : kept.lines()) {
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    if (line.find("alice") != std::string::npos) ++audit_lines;
  }
  EXPECT_EQ(audit_lines, writer.lines_written());
}

}  // namespace
}  // namespace ringcast::admin
