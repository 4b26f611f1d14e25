// The physical limit of this machine: the same sockets, the same bytes and the same system calls
// as the server, and nothing else. A stream here is a slot number; an event is formatted once and
// sent to every slot in a bare loop. What Ringcast costs above this is what its features cost.
//
// Not a server: no limits, no deadlines, no topics, no replay; requests are read as far as needed
// to answer ringcast-load. What it does, it does in io_uring alone:
//
//   listener ─► accept into a slot ─► receive, armed until the end ─► head and heartbeat: one send
//                                     └─ POST /publish: 204, then one send for each slot of each
//                                        ring of each thread
//   the end  ─► close
//
// Over TLS: the handshake and the request with OpenSSL, then one record sealed for each slot.

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "ringcast/base/time.h"
#include "ringcast/tls/context.h"
#include "ringcast/tls/ticket_keys.h"

#include "worker.h"

namespace {

using namespace floor_bench;

struct Options {
  std::uint16_t port = 0;
  std::uint16_t tls_port = 0;
  std::string certificate;
  std::string private_key;
  std::uint32_t threads = 1;
  std::uint32_t slots = 19'500;  ///< of each ring
};

/// Ends the process when the command line is wrong or asks for help.
Options read_options(int argc, char** argv) {
  Options options;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  options.slots = static_cast<std::uint32_t>(std::min<rlim_t>(options.slots, limit.rlim_cur));
  CLI::App app{"The bare loop that the server is measured against: GET /events, POST /publish",
               "floor"};
  app.add_option("--port", options.port, "0: any")->capture_default_str();
  auto* tls_port = app.add_option("--tls-port", options.tls_port, "The same under TLS 1.3; 0: any");
  auto* certificate = app.add_option("--certificate", options.certificate, "PEM file");
  auto* key = app.add_option("--key", options.private_key, "PEM file");
  tls_port->needs(certificate)->needs(key);
  app.add_option("--threads", options.threads, "Each with its own listener")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  app.add_option("--slots", options.slots, "Connections of one ring, at most RLIMIT_NOFILE")
      ->capture_default_str()
      ->check(CLI::Range(4U, 1U << 20));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

std::shared_ptr<const ringcast::tls::Context> load_certificate(const Options& options) {
  if (options.certificate.empty()) return nullptr;
  const ringcast::Time now = ringcast::read_clock();
  auto loaded = ringcast::tls::Context::load(
      {{.certificate = options.certificate, .private_key = options.private_key}},
      std::make_shared<const ringcast::tls::TicketKeys>(now), now);
  if (loaded) return loaded.value().context;
  std::fprintf(stderr, "floor: %s\n", loaded.error().message.c_str());
  _exit(2);
}

WorkerOptions worker_options(const Options& options) {
  return {.port = options.port,
          .tls_port = options.tls_port,
          .tls = load_certificate(options),
          .slots = options.slots};
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  WorkerOptions each = worker_options(options);

  // The threads inherit this, so that only sigwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(each));
    each.port = workers.back()->port();
    each.tls_port = workers.back()->tls_port();
  }
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (auto& worker : workers) threads.emplace_back([&worker, &workers] { worker->run(workers); });
  std::printf("port %u tls port %u pid %d\n", static_cast<unsigned>(each.port),
              static_cast<unsigned>(each.tls_port), static_cast<int>(getpid()));
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  for (auto& worker : workers) worker->stop();
  for (auto& thread : threads) thread.join();
  std::uint64_t short_sends = 0;
  std::uint64_t connections = 0;
  std::uint64_t rings = 0;
  for (const auto& worker : workers) {
    short_sends += worker->short_sends();
    connections += worker->connections();
    rings += worker->rings();
  }
  std::printf("events %llu short sends %llu connections %llu rings %llu\n",
              static_cast<unsigned long long>(workers.front()->events()),
              static_cast<unsigned long long>(short_sends),
              static_cast<unsigned long long>(connections), static_cast<unsigned long long>(rings));
  return 0;
}
