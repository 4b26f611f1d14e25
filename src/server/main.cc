#include <csignal>
#include <iostream>
#include <thread>
#include <variant>

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "ringcast/admin/log.h"
#include "ringcast/admin/version.h"
#include "ringcast/config/command_line.h"
#include "ringcast/server/server.h"

namespace {

using namespace ringcast;

constexpr int kFailed = 1;
constexpr int kSignalBase = 128;  // what a shell makes of a process that a signal ended

sigset_t signals_of_interest() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

void reload(const config::ServeCommand& command, config::Config& running) {
  auto fresh = config::effective_config(command);
  if (!fresh) {
    spdlog::error("the configuration was not reloaded, the old one stays in use:\n{}",
                  fresh.error().message);
    return;
  }
  running.log = fresh.value().log;
  admin::start_logging(running.log);
  if (fresh.value() == running) {
    spdlog::info("configuration reloaded");
  } else {
    spdlog::warn(
        "configuration reloaded: [log] is in effect, other changes take effect at the next start");
  }
}

// Waits for signals until the server has been told to stop; a second one ends the process at once.
void wait_for_stop(const config::ServeCommand& command, config::Config& running) {
  const sigset_t set = signals_of_interest();
  int signal = 0;
  while (sigwait(&set, &signal) == 0 && signal == SIGHUP) reload(command, running);
}

int serve(const config::ServeCommand& command) {
  auto loaded = config::effective_config(command);
  if (!loaded) {
    std::cerr << loaded.error().message << '\n';
    return config::kUsageExitCode;
  }
  config::Config& running = loaded.value();
  admin::start_logging(running.log);

  const sigset_t set = signals_of_interest();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto server = server::Server::start(running);
  if (!server) {
    std::cerr << "ringcast: " << server.error().message << '\n';
    return kFailed;
  }
  spdlog::info("ringcast {}: {}", admin::version(), server.value()->capacity());
  for (const std::string& address : server.value()->addresses())
    spdlog::info("listening on {}", address);
  if (!server.value()->admin_address().empty())
    spdlog::info("admin on {}", server.value()->admin_address());

  wait_for_stop(command, running);
  spdlog::info(
      "stopping: streams are told to come back and closed within {} s; a second signal stops at "
      "once",
      running.server.drain_seconds);
  std::thread([set] {
    int signal = 0;
    do {
      if (sigwait(&set, &signal) != 0) return;
    } while (signal == SIGHUP);
    _exit(kSignalBase + signal);
  }).detach();
  server.value()->begin_drain();
  server.value()->wait();
  server.value().reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const config::Command command = config::parse_command_line(argc, argv);
  if (const auto* print = std::get_if<config::PrintCommand>(&command)) {
    (print->exit_code == 0 ? std::cout : std::cerr) << print->text;
    return print->exit_code;
  }
  if (const auto* check = std::get_if<config::CheckCommand>(&command)) {
    return config::run_check(check->config_file, std::cout, std::cerr);
  }
  return serve(std::get<config::ServeCommand>(command));
}
