#include "load/options.h"

#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "load/scenario.h"

namespace ringcast::load {
namespace {

std::variant<Command, Answer> read(const std::vector<std::string>& words) {
  std::vector<const char*> arguments{"ringcast-load"};
  for (const std::string& word : words) arguments.push_back(word.c_str());
  return read_command_line(static_cast<int>(arguments.size()), arguments.data());
}

const std::vector<std::string> kAddresses{"--url", "http://127.0.0.1:1/events", "--publish-url",
                                          "http://127.0.0.1:1/publish"};

Command command(std::vector<std::string> words) {
  words.insert(words.end(), kAddresses.begin(), kAddresses.end());
  auto result = read(words);
  if (const auto* answer = std::get_if<Answer>(&result)) {
    ADD_FAILURE() << answer->text;
    return {};
  }
  return std::move(std::get<Command>(result));
}

/// Empty if the command line is accepted.
std::string refusal(std::vector<std::string> words) {
  words.insert(words.end(), kAddresses.begin(), kAddresses.end());
  const auto result = read(words);
  const auto* answer = std::get_if<Answer>(&result);
  if (answer == nullptr) return {};
  EXPECT_EQ(answer->exit_code, 2);
  return answer->text;
}

TEST(Scenario, GivesWhatTheCommandLineDoesNot) {
  const Command storm = command({"storm"});
  EXPECT_EQ(storm.scenario, "storm");
  EXPECT_EQ(storm.plan.streams, 10'000U);
  EXPECT_EQ(storm.plan.storm_at, 10U);
  EXPECT_EQ(storm.plan.storm_missed, 10U);
  EXPECT_EQ(storm.plan.publications, 30U);
  EXPECT_EQ(storm.chosen, "--streams 10000 --storm 10 --storm-missed 10 --events 30");

  const Command slow = command({"slow"});
  EXPECT_EQ(slow.plan.slow, 500U);
  EXPECT_EQ(slow.plan.slow_bytes_per_second, 1'000U);
  EXPECT_EQ(slow.plan.stalled, 500U);
  EXPECT_TRUE(slow.plan.reconnect);
  EXPECT_EQ(slow.plan.rate, 20);

  const Command mixed = command({"mixed"});
  EXPECT_EQ(mixed.plan.topics, 1'000U);
  EXPECT_EQ(mixed.plan.topic_rate, 400);
  EXPECT_EQ(mixed.plan.topic_publishers, 16U);
  EXPECT_EQ(mixed.plan.topic_publications, 40 / 2 * 400U) << "as long as the broadcasts";

  EXPECT_EQ(command({"replay"}).plan.replay, 1'000U);
  EXPECT_EQ(command({"replay"}).plan.publications, 1'000U);
  EXPECT_EQ(command({"idle"}).options.hold_seconds, 10);
  EXPECT_EQ(command({"fanout"}).plan.publications, 100U);
  EXPECT_EQ(command({"publish"}).plan.streams, 0U);
  EXPECT_TRUE(command({"publish"}).plan.prompt_replies);
}

TEST(Scenario, EveryOptionThatIsGivenWins) {
  const Command storm =
      command({"--streams", "7", "storm", "--storm-missed", "1000", "--rate", "5"});
  EXPECT_EQ(storm.plan.streams, 7U);
  EXPECT_EQ(storm.plan.storm_missed, 1'000U);
  EXPECT_EQ(storm.plan.publications, 1'020U);
  EXPECT_EQ(storm.plan.rate, 5);
  EXPECT_EQ(storm.chosen, "--storm 10 --events 1020");
  EXPECT_EQ(command({"slow", "--stalled", "0", "--slow-readers", "0.25"}).plan.slow, 2'500U);
}

TEST(Scenario, MayStandBehindAnOptionThatMayBeRepeated) {
  const Command storm = command({"--server-pid", "7", "--server-pid", "8", "storm"});
  EXPECT_EQ(storm.scenario, "storm");
  EXPECT_EQ(storm.options.server_pids, (std::vector<pid_t>{7, 8}));
  auto words = kAddresses;
  words.insert(words.begin(), {"--url", "http://127.0.0.1:2/events"});
  words.emplace_back("idle");
  const auto result = read(words);
  ASSERT_TRUE(std::holds_alternative<Command>(result));
  EXPECT_EQ(std::get<Command>(result).scenario, "idle");
  EXPECT_EQ(std::get<Command>(result).plan.events.size(), 2U);
}

TEST(Scenario, WithoutOneNothingIsChosen) {
  const Command plain = command({});
  EXPECT_EQ(plain.scenario, "");
  EXPECT_EQ(plain.plan.streams, 1U);
  EXPECT_EQ(plain.plan.publications, 0U);
  EXPECT_FALSE(plain.plan.storm_at);
  EXPECT_FALSE(plain.plan.reconnect);
}

TEST(Scenario, NeedsItsAddresses) {
  for (const Scenario& scenario : all_scenarios()) {
    const auto result = read({std::string{scenario.name}});
    const auto* answer = std::get_if<Answer>(&result);
    ASSERT_NE(answer, nullptr) << scenario.name;
    EXPECT_EQ(answer->exit_code, 2);
    const std::string missing{scenario.required.front().front()};
    EXPECT_NE(answer->text.find(" needs " + missing), std::string::npos) << answer->text;
  }
  EXPECT_NE(refusal({"stormy"}).find("stormy"), std::string::npos);
}

TEST(Scenario, IsInTheHelpWithItsDefaults) {
  const auto result = read({"--help"});
  const auto* answer = std::get_if<Answer>(&result);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->exit_code, 0);
  for (const Scenario& scenario : all_scenarios()) {
    EXPECT_NE(answer->text.find(std::string{scenario.what}), std::string::npos) << scenario.name;
    EXPECT_NE(answer->text.find(describe(scenario.defaults)), std::string::npos) << scenario.name;
  }
}

TEST(Options, OfPartsOfTheStreamsAreCountsOrShares) {
  const auto slow = [](const std::string& part) {
    return command({"--streams", "200", "--slow-readers", part}).plan.slow;
  };
  EXPECT_EQ(slow("30"), 30U);
  EXPECT_EQ(slow("1"), 1U);
  EXPECT_EQ(slow("15%"), 30U);
  EXPECT_EQ(slow("0.15"), 30U);
  EXPECT_EQ(slow("100%"), 200U);
  for (const std::string part : {"201", "101%", "1.5", "-1", "x", "5%%", "%", "nan"}) {
    EXPECT_NE(refusal({"--streams", "200", "--slow-readers", part}), "") << part;
  }
  EXPECT_NE(refusal({"--streams", "2", "--slow-readers", "1", "--stalled", "2"}), "");
}

TEST(Options, ThatContradictEachOtherAreRefused) {
  EXPECT_NE(refusal({"--storm-missed", "1", "--events", "9"}), "");
  EXPECT_NE(refusal({"--storm", "5", "--storm-missed", "5", "--events", "9"}), "");
  EXPECT_EQ(refusal({"--storm", "5", "--storm-missed", "4", "--events", "9"}), "");
  EXPECT_NE(refusal({"--replay", "10", "--events", "9", "--streams", "2"}), "");
  EXPECT_NE(refusal({"--replay", "9", "--events", "9", "--streams", "1"}), "");
  EXPECT_NE(refusal({"--replay", "9", "--events", "9", "--streams", "2", "--storm", "1"}), "");
  EXPECT_EQ(refusal({"--replay", "9", "--events", "9", "--streams", "2"}), "");
  EXPECT_NE(refusal({"--topic-rate", "5", "--events", "9", "--rate", "1"}), "");
  EXPECT_EQ(refusal({"--topic-rate", "5", "--events", "9", "--rate", "1", "--topics", "3"}), "");
  EXPECT_NE(refusal({"--publish-body", "{}"}), "");
  EXPECT_NE(refusal({"--publish-method", "PO ST"}), "");
  EXPECT_NE(refusal({"--publish-type", "text/plain\r\nX: y"}), "");
  EXPECT_NE(refusal({"--broadcast-topic", "a b"}), "");
}

}  // namespace
}  // namespace ringcast::load
