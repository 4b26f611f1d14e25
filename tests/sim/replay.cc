#include "replay.h"

#include <array>
#include <csignal>
#include <cstdio>

#include <unistd.h>

namespace ringcast::sim {
namespace {

std::array<char, 256> last_words;
std::size_t last_words_bytes = 0;

void on_death(int signal) {
  const ssize_t ignored = write(STDOUT_FILENO, last_words.data(), last_words_bytes);
  (void)ignored;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

std::string replay_command(std::uint64_t seed) {
  return std::string(SIM_PROGRAM) + " --seed " + std::to_string(seed) + " --verbose";
}

void announce_seed(std::uint64_t seed) {
  const int bytes = std::snprintf(
      last_words.data(), last_words.size(), "seed %llu: the server died\n  replay: %s\n",
      static_cast<unsigned long long>(seed), replay_command(seed).c_str());
  last_words_bytes = static_cast<std::size_t>(bytes);
  std::signal(SIGABRT, on_death);
  std::signal(SIGSEGV, on_death);
}

}  // namespace ringcast::sim
