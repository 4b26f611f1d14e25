#pragma once

#include <string>
#include <variant>

#include "load/plan.h"
#include "load/run.h"

namespace ringcast::load {

/// What a command line asks for.
struct Command {
  std::string scenario;  ///< its name; empty = none
  std::string chosen;    ///< the options that it chose
  Plan plan;
  RunOptions options;
  std::string json_file;  ///< empty: none, `-`: standard output
};

/// Of a command line that asks for no run: what to print, and how to exit.
struct Answer {
  int exit_code = 0;
  std::string text;  ///< for standard output if the exit code is 0, else for standard error
};

/// Reads the command line; `--help` describes it. Reads the files that it names, and may block on
/// the name service.
[[nodiscard]] std::variant<Command, Answer> read_command_line(int argc, const char* const* argv);

}  // namespace ringcast::load
