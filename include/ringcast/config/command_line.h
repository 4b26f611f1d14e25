#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/config/config.h"

namespace ringcast::config {

/// `ringcast [serve] [--config FILE] [--listen ADDR:PORT]… [--admin-listen ADDR:PORT]`
struct ServeCommand {
  std::optional<std::string> config_file;
  std::vector<ListenAddress> listen;        ///< not empty: instead of server.listen
  std::optional<AdminListen> admin_listen;  ///< given: instead of server.admin_listen
};

/// `ringcast check --config FILE`
struct CheckCommand {
  std::string config_file;
};

/// Nothing to do but to print: --help and --version on standard output with exit code 0, wrong
/// usage on standard error with kUsageExitCode.
struct PrintCommand {
  std::string text;  ///< whole lines
  int exit_code = 0;
};

using Command = std::variant<ServeCommand, CheckCommand, PrintCommand>;

inline constexpr int kUsageExitCode = 2;

/// Reads the arguments of main. Prints nothing and never exits.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv);

/// The configuration that the command asks for: the file or the defaults, then what the command
/// line replaces. The error holds one line for each thing that is wrong.
[[nodiscard]] Result<Config> effective_config(const ServeCommand& command);

/// `ringcast check`: the effective configuration to `out` and 0, or the errors to `err` and
/// kUsageExitCode.
int run_check(const std::string& path, std::ostream& out, std::ostream& err);

}  // namespace ringcast::config
