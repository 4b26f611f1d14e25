// Replays one seed, or tries many: sim --seed 1234 --verbose, sim --seeds 10000 --keep-going

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "replay.h"
#include "simulation.h"

namespace {

int usage() {
  std::fputs(
      "usage: sim --seed N [--verbose]            replay one run\n"
      "       sim --seeds N [--from N] [--keep-going]  try many; with --keep-going each in a "
      "process of\n"
      "                                           its own, and all that fail are listed\n",
      stderr);
  return 2;
}

// How often the runs in this process met what they are there for.
std::map<std::string, std::uint64_t> met;

int run_one(std::uint64_t seed, ringcast::sim::Tracing tracing) {
  ringcast::sim::announce_seed(seed);
  const ringcast::sim::Outcome outcome = ringcast::sim::run_seed(seed, tracing);
  if (outcome.failure.empty()) {
    for (const auto& [what, count] : outcome.met) met[what] += count;
    return 0;
  }
  std::printf("seed %llu: %s\n  replay: %s\n", static_cast<unsigned long long>(seed),
              outcome.failure.c_str(), ringcast::sim::replay_command(seed).c_str());
  return 1;
}

int run_in_child(std::uint64_t seed) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    const int code = run_one(seed, ringcast::sim::Tracing::off);
    std::fflush(nullptr);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  auto tracing = ringcast::sim::Tracing::off;
  bool keep_going = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (option == "--verbose") {
      tracing = ringcast::sim::Tracing::printed;
    } else if (option == "--keep-going") {
      keep_going = true;
    } else if (value != nullptr && option == "--seed") {
      first = std::strtoull(value, nullptr, 10);
      count = 1;
      ++i;
    } else if (value != nullptr && option == "--seeds") {
      count = std::strtoull(value, nullptr, 10);
      ++i;
    } else if (value != nullptr && option == "--from") {
      first = std::strtoull(value, nullptr, 10);
      ++i;
    } else {
      return usage();
    }
  }
  if (count == 0) return usage();

  const bool in_children = keep_going && count > 1;
  std::uint64_t failures = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const int code = in_children ? run_in_child(seed) : run_one(seed, tracing);
    if (code == 0) continue;
    ++failures;
    if (!keep_going) return 1;
    if (code > 1)
      std::printf("seed %llu: died (%d)\n", static_cast<unsigned long long>(seed), code);
  }
  for (const auto& [what, times] : met) {
    std::printf("%10llu %s\n", static_cast<unsigned long long>(times), what.c_str());
  }
  if (count > 1)
    std::printf("%llu of %llu seeds failed\n", static_cast<unsigned long long>(failures),
                static_cast<unsigned long long>(count));
  return failures == 0 ? 0 : 1;
}
