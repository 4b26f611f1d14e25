#include "ringcast/config/command_line.h"

#include <charconv>
#include <sstream>
#include <utility>

#include <CLI/CLI.hpp>

#include "ringcast/admin/version.h"

namespace ringcast::config {
namespace {

/// The options of `serve`, which may also stand without that word.
struct ServeArguments {
  CLI::Option* config = nullptr;
  CLI::Option* listen = nullptr;
  CLI::Option* admin_listen = nullptr;

  void add_to(CLI::App& app) {
    config = app.add_option("--config", "Configuration file (TOML); without it, the defaults")
                 ->type_name("FILE");
    listen = app.add_option("--listen", "Address for clients, instead of server.listen; repeatable")
                 ->type_name("ADDR:PORT")
                 ->expected(1)
                 ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    admin_listen = app.add_option("--admin-listen",
                                  "Address for metrics, instead of server.admin_listen; \"\" = off")
                       ->type_name("ADDR:PORT");
  }
};

/// The options of `token`.
struct TokenArguments {
  CLI::App* command = nullptr;
  CLI::Option* config = nullptr;
  CLI::Option* user = nullptr;
  CLI::Option* subscribe = nullptr;
  CLI::Option* publish = nullptr;
  CLI::Option* seconds = nullptr;

  void add_to(CLI::App& app) {
    command = app.add_subcommand("token", "Print a signed token, for scripts and tests");
    const auto text = [this](const char* name, const std::string& description, const char* type) {
      return command->add_option(name, description)->type_name(type)->expected(1);
    };
    const auto repeatable = CLI::MultiOptionPolicy::TakeAll;
    config = text("--config", "Configuration file (TOML); without it, the defaults", "FILE");
    user = text("--user", "Who the token is for", "NAME")->required();
    subscribe = text("--subscribe", "Topics that it may read, as in [auth.grants]; repeatable", "T")
                    ->multi_option_policy(repeatable);
    publish = text("--publish", "Topics that it may publish to; repeatable", "T")
                  ->multi_option_policy(repeatable);
    seconds = text("--seconds", "Until it expires, instead of auth.token_seconds", "N");
  }
};

PrintCommand wrong_usage(const std::string& reason) {
  return {"ringcast: " + reason + "\nTry: ringcast --help\n", kUsageExitCode};
}

/// The file that `--config` names, if it was given.
Result<std::optional<std::string>> config_file(const CLI::Option& option) {
  std::optional<std::string> file;
  for (const std::string& text : option.results()) {
    if (text.empty()) return Error{"--config: the name of the file is empty"};
    file = text;
  }
  return file;
}

/// Takes what one of the two sets of options got.
Result<void> take(const ServeArguments& given, ServeCommand& command) {
  auto file = config_file(*given.config);
  if (!file) return file.error();
  if (file.value() && command.config_file) return Error{"--config: given twice"};
  if (file.value()) command.config_file = std::move(file).value();
  for (const std::string& text : given.listen->results()) {
    const auto address = parse_address(text);
    if (!address) return Error{"--listen: " + address.error().message};
    command.listen.push_back(address.value());
  }
  for (const std::string& text : given.admin_listen->results()) {
    if (command.admin_listen) return Error{"--admin-listen: given twice"};
    command.admin_listen.emplace();
    if (text.empty()) continue;
    const auto address = parse_address(text);
    if (!address) return Error{"--admin-listen: " + address.error().message + "; or \"\" for off"};
    *command.admin_listen = address.value();
  }
  return {};
}

Result<TokenCommand> take(const TokenArguments& given) {
  TokenCommand command;
  const auto file = config_file(*given.config);
  if (!file) return file.error();
  command.config_file = file.value();
  command.user = given.user->results().back();
  command.subscribe = given.subscribe->results();
  command.publish = given.publish->results();
  for (const std::string& text : given.seconds->results()) {
    std::uint32_t seconds = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, failure] = std::from_chars(text.data(), end, seconds);
    if (failure != std::errc{} || stopped != end || seconds < 1 || seconds > kTokenSecondsMax) {
      return Error{"--seconds: must be 1 to " + std::to_string(kTokenSecondsMax)};
    }
    command.seconds = seconds;
  }
  return command;
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  CLI::App app("Pushes events to browsers and programs over Server-Sent Events.", "ringcast");
  app.set_version_flag("--version", "ringcast " + std::string(admin::version()));
  app.require_subcommand(0, 1);

  ServeArguments at_top;
  at_top.add_to(app);
  CLI::App* const serve = app.add_subcommand("serve", "Run the server (the default)");
  ServeArguments at_serve;
  at_serve.add_to(*serve);
  CLI::App* const check =
      app.add_subcommand("check", "Print a configuration with its defaults, or its errors");
  CheckCommand check_command;
  check->add_option("--config", check_command.config_file, "Configuration file (TOML)")
      ->type_name("FILE")
      ->required();
  TokenArguments at_token;
  at_token.add_to(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports --help and --version by exception, too; those have the exit code 0.
    if (error.get_exit_code() != 0) return wrong_usage(error.what());
    std::ostringstream text;
    app.exit(error, text, text);
    return PrintCommand{text.str(), 0};
  }

  ServeCommand command;
  for (const CLI::App* other : {check, at_token.command}) {
    if (!other->parsed()) continue;
    for (const CLI::Option* option : {at_top.config, at_top.listen, at_top.admin_listen}) {
      if (option->count() == 0) continue;
      return wrong_usage(option->get_name() + ": stands before " + other->get_name() +
                         ", but belongs to serve");
    }
  }
  if (check->parsed()) return check_command;
  if (at_token.command->parsed()) {
    Result<TokenCommand> token = take(at_token);
    if (!token) return wrong_usage(token.error().message);
    return std::move(token).value();
  }
  for (const ServeArguments& arguments : {at_top, at_serve}) {
    if (Result<void> taken = take(arguments, command); !taken) {
      return wrong_usage(taken.error().message);
    }
  }
  return command;
}

Result<Config> effective_config(const ServeCommand& command) {
  Config config;
  if (command.config_file) {
    Result<Config> loaded = load(*command.config_file);
    if (!loaded) return loaded.error();
    config = std::move(loaded).value();
  }
  if (!command.listen.empty()) config.server.listen = command.listen;
  if (command.admin_listen) config.server.admin_listen = *command.admin_listen;

  // The file was sound, so what is wrong now comes from the command line.
  std::string reasons;
  for (const Contradiction& found : contradictions(config)) {
    if (!reasons.empty()) reasons += '\n';
    reasons += "command line: " + std::string(found.key) + ": " + found.reason;
  }
  if (!reasons.empty()) return Error{reasons};
  return config;
}

}  // namespace ringcast::config
