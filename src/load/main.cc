#include <atomic>
#include <csignal>
#include <fstream>
#include <iostream>

#include "ringcast/base/time.h"

#include "load/options.h"
#include "load/run.h"

namespace {

constexpr int kExitIncomplete = 1;
constexpr int kExitUsage = 2;

std::atomic<bool> interrupted{false};
ringcast::load::Stretch stretch;

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true); };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = [](int signal) {
    const std::uint64_t now_ns = ringcast::read_clock().mono_ns;
    signal == SIGUSR1 ? stretch.begin(now_ns) : stretch.end(now_ns);
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGUSR2, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  auto read = ringcast::load::read_command_line(argc, argv);
  if (const auto* answer = std::get_if<ringcast::load::Answer>(&read)) {
    (answer->exit_code == 0 ? std::cout : std::cerr) << answer->text;
    return answer->exit_code;
  }
  auto& command = std::get<ringcast::load::Command>(read);
  handle_signals();
  command.plan.stretch = &stretch;
  if (!command.scenario.empty() && command.options.progress) {
    std::cerr << command.scenario << ": " << command.chosen << '\n';
  }

  auto report = ringcast::load::run(command.plan, command.options, interrupted);
  report.scenario = command.scenario;
  if (command.json_file == "-") {
    std::cout << report.json();
  } else {
    std::cout << report.text();
    if (!command.json_file.empty() && !(std::ofstream{command.json_file} << report.json())) {
      std::cerr << "ringcast-load: --json " << command.json_file << ": cannot be written\n";
      return kExitUsage;
    }
  }
  return report.good() ? 0 : kExitIncomplete;
}
