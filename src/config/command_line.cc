#include "ringcast/config/command_line.h"

#include <ostream>
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

PrintCommand wrong_usage(const std::string& reason) {
  return {"ringcast: " + reason + "\nTry: ringcast --help\n", kUsageExitCode};
}

/// Takes what one of the two sets of options got.
Result<void> take(const ServeArguments& given, ServeCommand& command) {
  for (const std::string& text : given.config->results()) {
    if (command.config_file) return Error{"--config: given twice"};
    if (text.empty()) return Error{"--config: the name of the file is empty"};
    command.config_file = text;
  }
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
  if (check->parsed()) {
    for (const CLI::Option* option : {at_top.config, at_top.listen, at_top.admin_listen}) {
      if (option->count() > 0) {
        return wrong_usage(option->get_name() + ": stands before check, but belongs to serve");
      }
    }
    return check_command;
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

int run_check(const std::string& path, std::ostream& out, std::ostream& err) {
  const Result<Config> config = load(path);
  if (!config) {
    err << config.error().message << '\n';
    return kUsageExitCode;
  }
  out << to_toml(config.value());
  return 0;
}

}  // namespace ringcast::config
