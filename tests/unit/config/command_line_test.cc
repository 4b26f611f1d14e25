#include "ringcast/config/command_line.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::config {
namespace {

Command command(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "ringcast");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

ServeCommand serve(std::vector<const char*> arguments) {
  const Command parsed = command(std::move(arguments));
  if (const auto* const found = std::get_if<ServeCommand>(&parsed)) return *found;
  ADD_FAILURE() << "not understood as serve";
  return {};
}

std::string usage_error(std::vector<const char*> arguments) {
  const Command parsed = command(std::move(arguments));
  const auto* const found = std::get_if<PrintCommand>(&parsed);
  return found != nullptr && found->exit_code == 2 ? found->text : "accepted";
}

std::vector<std::string> texts(const std::vector<ListenAddress>& addresses) {
  std::vector<std::string> out;
  for (const ListenAddress& address : addresses) out.push_back(to_string(address));
  return out;
}

using Texts = std::vector<std::string>;

TEST(CommandLine, WithoutArgumentsItServesTheDefaults) {
  const ServeCommand plain = serve({});
  EXPECT_FALSE(plain.config_file.has_value());
  EXPECT_EQ(effective_config(plain).value(), defaults());
  EXPECT_EQ(effective_config(serve({"serve"})).value(), defaults());
}

TEST(CommandLine, TheOptionsOfServeStandWithOrWithoutTheWord) {
  for (const ServeCommand& given :
       {serve({"--config", "f", "--listen", "1.1.1.1:1", "--admin-listen", "[::1]:2"}),
        serve({"serve", "--config", "f", "--listen=1.1.1.1:1", "--admin-listen=[::1]:2"}),
        serve({"--config=f", "serve", "--listen", "1.1.1.1:1", "--admin-listen", "[::1]:2"})}) {
    EXPECT_EQ(given.config_file, "f");
    EXPECT_EQ(texts(given.listen), Texts{"1.1.1.1:1"});
    ASSERT_TRUE(given.admin_listen && *given.admin_listen);
    EXPECT_EQ(to_string(**given.admin_listen), "[::1]:2");
  }
}

TEST(CommandLine, ListenMayBeRepeated) {
  EXPECT_EQ(texts(serve({"--listen", "1.1.1.1:1", "--listen", "[::1]:0"}).listen),
            (Texts{"1.1.1.1:1", "[::1]:0"}));
}

TEST(CommandLine, AddressesReplaceThoseOfTheFile) {
  const std::string path = testing::TempDir() + "ringcast_command_line_test.toml";
  std::ofstream(path)
      << "[server]\nlisten = [\"1.1.1.1:1\"]\nadmin_listen = \"1.1.1.1:2\"\nshards = 5\n";
  const Config kept = effective_config(serve({"--config", path.c_str()})).value();
  EXPECT_EQ(texts(kept.server.listen), Texts{"1.1.1.1:1"});
  const Config replaced = effective_config(serve({"--config", path.c_str(), "--listen", "2.2.2.2:2",
                                                  "--admin-listen", ""}))
                              .value();
  EXPECT_EQ(texts(replaced.server.listen), Texts{"2.2.2.2:2"});
  EXPECT_FALSE(replaced.server.admin_listen.has_value());
  EXPECT_EQ(replaced.server.shards, 5u);
  std::remove(path.c_str());
}

TEST(CommandLine, AddressesThatContradictEachOtherAreRefused) {
  const auto twice = effective_config(serve({"--listen", "1.1.1.1:1", "--listen", "1.1.1.1:1"}));
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().message, "command line: server.listen: 1.1.1.1:1 is there twice");
  const auto same = effective_config(serve({"--admin-listen", "127.0.0.1:8080"}));
  ASSERT_FALSE(same.ok());
  EXPECT_EQ(same.error().message,
            "command line: server.admin_listen: 127.0.0.1:8080 is also in server.listen");
}

TEST(CommandLine, AFileThatIsNotThereIsAnError) {
  const auto missing = effective_config(serve({"--config", "/nowhere/x.toml"}));
  ASSERT_FALSE(missing.ok());
  EXPECT_TRUE(missing.error().message.starts_with("/nowhere/x.toml: cannot be read"));
}

TEST(CommandLine, CheckNeedsAFile) {
  const Command parsed = command({"check", "--config", "x.toml"});
  const auto* const check = std::get_if<CheckCommand>(&parsed);
  ASSERT_NE(check, nullptr);
  EXPECT_EQ(check->config_file, "x.toml");
  EXPECT_EQ(usage_error({"check"}), "ringcast: --config is required\nTry: ringcast --help\n");
}

TEST(CommandLine, TokenTakesAUserAndWhatItMayDo) {
  const auto token = [](std::vector<const char*> arguments) {
    const Command parsed = command(std::move(arguments));
    if (const auto* const found = std::get_if<TokenCommand>(&parsed)) return *found;
    ADD_FAILURE() << std::get<PrintCommand>(parsed).text;
    return TokenCommand{};
  };
  const TokenCommand plain = token({"token", "--user", "alice"});
  EXPECT_FALSE(plain.config_file.has_value());
  EXPECT_EQ(plain.user, "alice");
  EXPECT_TRUE(plain.subscribe.empty());
  EXPECT_TRUE(plain.publish.empty());
  EXPECT_FALSE(plain.seconds.has_value());

  const TokenCommand full =
      token({"token", "--config", "f", "--user=bob", "--subscribe", "orders", "--subscribe", "",
             "--publish", "user/*", "--seconds", "31536000", "--publish=*"});
  EXPECT_EQ(full.config_file, "f");
  EXPECT_EQ(full.user, "bob");
  EXPECT_EQ(full.subscribe, (Texts{"orders", ""}));
  EXPECT_EQ(full.publish, (Texts{"user/*", "*"}));
  EXPECT_EQ(full.seconds, 31'536'000u);
  EXPECT_EQ(token({"token", "--user", "a", "--seconds", "1"}).seconds, 1u);
}

TEST(CommandLine, TokenRefusesWhatItDoesNotKnow) {
  const std::string lifetime = "ringcast: --seconds: must be 1 to 31536000\nTry: ringcast --help\n";
  for (const char* wrong : {"0", "31536001", "-1", "1.5", "60s", " 60", "", "4294967356"}) {
    EXPECT_EQ(usage_error({"token", "--user", "a", "--seconds", wrong}), lifetime) << wrong;
  }
  const std::vector<const char*> wrong[] = {
      {"token"},
      {"token", "--config", "f"},
      {"token", "--user"},
      {"token", "--user", "a", "--user", "b"},
      {"token", "--user", "a", "b"},
      {"token", "--user", "a", "--subscribe", "x", "y"},
      {"token", "--user", "a", "--seconds", "60", "--seconds", "61"},
      {"token", "--user", "a", "--config", ""},
      {"token", "--user", "a", "--config", "f", "--config", "g"},
      {"token", "--user", "a", "--listen", "1.1.1.1:1"},
      {"--listen", "1.1.1.1:1", "token", "--user", "a"},
      {"--config", "f", "token", "--user", "a"},
      {"token", "--user", "a", "check", "--config", "f"},
  };
  for (const std::vector<const char*>& arguments : wrong) {
    const std::string text = usage_error(arguments);
    EXPECT_TRUE(text.starts_with("ringcast: ")) << text;
    EXPECT_TRUE(text.ends_with("\nTry: ringcast --help\n")) << text;
  }
}

TEST(CommandLine, HelpAndVersionAreNoErrors) {
  for (const char* argument : {"--help", "-h", "--version"}) {
    const Command parsed = command({argument});
    const auto* const print = std::get_if<PrintCommand>(&parsed);
    ASSERT_NE(print, nullptr) << argument;
    EXPECT_EQ(print->exit_code, 0);
    EXPECT_NE(print->text.find("ringcast"), std::string::npos);
    EXPECT_EQ(print->text.back(), '\n');
  }
  const Command parsed = command({"--help"});
  const std::string& help = std::get<PrintCommand>(parsed).text;
  for (const char* word :
       {"serve", "check", "token", "--config", "--listen", "--admin-listen", "--version"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
}

TEST(CommandLine, WrongUsageIsPlainAndHasExitCodeTwo) {
  const std::vector<const char*> wrong[] = {
      {"tokens"},
      {"--nothing"},
      {"serve", "check"},
      {"--config"},
      {"--config", ""},
      {"--config", "a", "--config", "b"},
      {"--config", "a", "serve", "--config", "b"},
      {"--config", "a", "check", "--config", "b"},
      {"--listen", "1.1.1.1:1", "check", "--config", "b"},
      {"check", "--config", "b", "--listen", "1.1.1.1:1"},
      {"--listen", "1.1.1.1"},
      {"--listen", ""},
      {"--listen", "1.1.1.1:1", "2.2.2.2:2"},
      {"--admin-listen", "nowhere:1"},
      {"--admin-listen", "1.1.1.1:1", "serve", "--admin-listen", "1.1.1.1:2"},
  };
  for (const std::vector<const char*>& arguments : wrong) {
    const std::string text = usage_error(arguments);
    EXPECT_TRUE(text.starts_with("ringcast: ")) << text;
    EXPECT_TRUE(text.ends_with("\nTry: ringcast --help\n")) << text;
  }
}

}  // namespace
}  // namespace ringcast::config
