#pragma once

#include <cstdint>
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

/// `ringcast token [--config FILE] --user NAME [--subscribe T]… [--publish T]… [--seconds N]`
struct TokenCommand {
  std::optional<std::string> config_file;
  std::string user;
  std::vector<std::string> subscribe;    ///< patterns, see auth/grants.h; both lists empty: the
  std::vector<std::string> publish;      ///< token says nothing about topics
  std::optional<std::uint32_t> seconds;  ///< until it expires; nothing = auth.token_seconds
};

/// Nothing to do but to print: --help and --version on standard output with exit code 0, wrong
/// usage on standard error with kUsageExitCode.
struct PrintCommand {
  std::string text;  ///< whole lines
  int exit_code = 0;
};

using Command = std::variant<ServeCommand, CheckCommand, TokenCommand, PrintCommand>;

inline constexpr int kUsageExitCode = 2;

/// Reads the arguments of main. Prints nothing and never exits.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv);

/// The configuration that the command asks for: the file or the defaults, then what the command
/// line replaces. The error holds one line for each thing that is wrong.
[[nodiscard]] Result<Config> effective_config(const ServeCommand& command);

/// `ringcast check`: the effective configuration to `out` and 0, or the errors to `err` and
/// kUsageExitCode. Reads the files that [tls], [auth] and [redis] name, too, and warns on `err` of
/// what a server would start with all the same; creates nothing.
int run_check(const std::string& path, std::ostream& out, std::ostream& err);

inline constexpr int kFailedExitCode = 1;

/// `ringcast token`: the token and a line end to `out` and 0. Else nothing to `out`, the reason to
/// `err`, and kUsageExitCode for arguments or a configuration that are wrong, kFailedExitCode when
/// the keys cannot be read or cannot sign. A secret and a user that were made by this are told on
/// `err`, as the server would at its first start.
int run_token(const TokenCommand& command, const Environment& environment, std::ostream& out,
              std::ostream& err);

}  // namespace ringcast::config
