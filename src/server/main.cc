#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "ringcast/admin/log.h"
#include "ringcast/admin/version.h"
#include "ringcast/base/memory.h"
#include "ringcast/base/time.h"
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

void report_first_user(const server::Server& server) {
  const auto& user = server.first_user();
  if (!user) return;
  // Not by the log, which is kept: this is for the person who sees the terminal.
  std::cout << "\n  open         " << server.address_to_open() << "/\n  sign in as   " << user->name
            << "\n  password     " << user->password
            << "\n\n  Shown this once. Users: " << user->users_file << " (htpasswd -B)\n"
            << std::endl;
}

std::string joined(const std::vector<std::string>& keys) {
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

void reload(const config::ServeCommand& command, const config::Config& running,
            server::Server& server) {
  auto fresh = config::effective_config(command);
  if (!fresh) {
    spdlog::error("the configuration was not reloaded, the old one stays in use:\n{}",
                  fresh.error().message);
    return;
  }
  if (auto reloaded = server.reload(fresh.value()); !reloaded) {
    spdlog::error("the configuration was not reloaded, the old one stays in use: {}",
                  reloaded.error().message);
    return;
  }
  admin::start_logging(fresh.value().log);
  report_first_user(server);
  const auto waiting = config::restart_keys(running, fresh.value());
  if (waiting.empty()) {
    spdlog::info("configuration reloaded");
  } else {
    spdlog::warn("configuration reloaded, but these take effect at the next start: {}",
                 joined(waiting));
  }
}

// Waits for signals until the server has been told to stop; a second one ends the process at once.
void wait_for_stop(const config::ServeCommand& command, const config::Config& running,
                   server::Server& server) {
  constexpr timespec kMinute{.tv_sec = 60, .tv_nsec = 0};
  const sigset_t set = signals_of_interest();
  for (;;) {
    const int signal = sigtimedwait(&set, nullptr, &kMinute);
    if (signal == SIGHUP) reload(command, running, server);
    if (signal == SIGINT || signal == SIGTERM) return;
    server.advance_keys(read_clock());  // a minute is over, or less
  }
}

int serve(const config::ServeCommand& command) {
  auto loaded = config::effective_config(command);
  if (!loaded) {
    std::cerr << loaded.error().message << '\n';
    return config::kUsageExitCode;
  }
  const config::Config& running = loaded.value();
  admin::start_logging(running.log);

  const sigset_t set = signals_of_interest();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto server = server::Server::start(running);
  if (!server && server::asked_to_stop()) {
    spdlog::info("stopped before the start was done");
    return 0;
  }
  if (!server) {
    std::cerr << "ringcast: " << server.error().message << '\n';
    return kFailed;
  }
  spdlog::info("ringcast {}: {}", admin::version(), server.value()->capacity());
  for (const std::string& address : server.value()->addresses())
    spdlog::info("listening on {}", address);
  if (!server.value()->admin_address().empty())
    spdlog::info("admin on {}", server.value()->admin_address());

  report_first_user(*server.value());

  wait_for_stop(command, running, *server.value());
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
  give_back_memory_early();
  const config::Command command = config::parse_command_line(argc, argv);
  if (const auto* print = std::get_if<config::PrintCommand>(&command)) {
    (print->exit_code == 0 ? std::cout : std::cerr) << print->text;
    return print->exit_code;
  }
  if (const auto* check = std::get_if<config::CheckCommand>(&command)) {
    return config::run_check(check->config_file, std::cout, std::cerr);
  }
  if (const auto* token = std::get_if<config::TokenCommand>(&command)) {
    return config::run_token(
        *token,
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment
        [](const char* name) { return static_cast<const char*>(std::getenv(name)); }, std::cout,
        std::cerr);
  }
  return serve(std::get<config::ServeCommand>(command));
}
