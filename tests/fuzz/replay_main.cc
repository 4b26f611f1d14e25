/// Drives a fuzz target without libFuzzer:
///
///     NAME_fuzz [--mutations N] [--seed S] FILE-OR-FOLDER...
///
/// Runs every file, then N mutations of them from the seed S (1), so that the same command always
/// runs the same inputs. When the target aborts, the input is written to a file `crash-NAME` in the
/// working folder, which can be given again. Exit code 2 without any input: a missing corpus must
/// not pass.

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kInputBytesMax = 64 * 1024;

/// Pieces that matter to the formats read here: line ends, separators, numbers at their edges.
constexpr std::array<std::string_view, 20> kPieces = {
    "\r\n", "\n", "\r",      "\r\n\r\n", std::string_view("\0", 1),
    ":",    ",",  ";",       "=",        "&",
    "%",    "\"", "\\u0000", "{\"",      "[[",
    "0",    "-1", "\xff",    "\xe2\x82", "18446744073709551616",
};

// For the signal handler, which may not allocate.
std::string g_input;
std::string g_crash_file = "crash";

void save_input(int signal) {
  const int file = open(g_crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    const ssize_t written = write(file, g_input.data(), g_input.size());
    constexpr std::string_view kSaved = "the input was written to ";
    if (written == static_cast<ssize_t>(g_input.size()) &&
        write(STDERR_FILENO, kSaved.data(), kSaved.size()) > 0 &&
        write(STDERR_FILENO, g_crash_file.data(), g_crash_file.size()) > 0) {
      static_cast<void>(!write(STDERR_FILENO, "\n", 1));
    }
    close(file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(std::string input) {
  g_input = std::move(input);
  // A copy of its own, so that a sanitizer sees a read behind its end.
  const std::vector<std::uint8_t> exact(g_input.begin(), g_input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  std::string mutate(const std::vector<std::string>& seeds) {
    std::string input = seeds[below(seeds.size())];
    for (std::size_t changes = 1 + below(5); changes > 0; --changes) change(input, seeds);
    input.resize(std::min(input.size(), kInputBytesMax));
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void change(std::string& input, const std::vector<std::string>& seeds) {
    const std::size_t at = below(input.size());
    switch (below(7)) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(below(256));
        break;
      case 1:
        if (!input.empty())
          input[at] = static_cast<char>(static_cast<unsigned char>(input[at]) ^ (1U << below(8)));
        break;
      case 2:
        input.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 3:
        input.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 4:
        input.erase(at, 1 + below(16));
        break;
      case 5:
        input.insert(at, input.substr(below(input.size()), 1 + below(64)));
        break;
      default: {
        const std::string& other = seeds[below(seeds.size())];
        input.replace(at, std::string::npos, other.substr(below(other.size())));
      }
    }
  }

  std::mt19937 random_;
};

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Sorted, so that a seed means the same inputs everywhere.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.')) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool read_number(const char* text, std::uint32_t& value) {
  const char* const end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, value);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t mutations = 0;
  std::uint32_t seed = 1;
  std::vector<std::string> seeds;
  g_crash_file += '-' + std::filesystem::path(argv[0]).filename().string();
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--mutations" || word == "--seed") {
      std::uint32_t& value = word == "--seed" ? seed : mutations;
      if (++i == argc || !read_number(argv[i], value)) {
        std::fprintf(stderr, "%s needs a number\n", argv[i - 1]);
        return 2;
      }
    } else if (!std::filesystem::exists(word)) {
      std::fprintf(stderr, "%s: no such file or folder\n", argv[i]);
      return 2;
    } else {
      for (const auto& path : files_below(word)) seeds.push_back(read(path));
    }
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "usage: %s [--mutations N] [--seed S] FILE-OR-FOLDER...\n", argv[0]);
    return 2;
  }
  std::signal(SIGABRT, save_input);
  std::signal(SIGSEGV, save_input);

  for (const std::string& input : seeds) run(input);
  Mutator mutator(seed);
  for (std::uint32_t i = 0; i < mutations; ++i) run(mutator.mutate(seeds));
  std::printf("%zu files and %u mutations\n", seeds.size(), mutations);
  return 0;
}
