#include "load/meter.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

#include "ringcast/base/time.h"

namespace ringcast::load {
namespace {

/// `Name:   123 kB` in a file of /proc, in bytes; 0 when it is not there.
std::uint64_t read_kilobytes(const std::string& path, const std::string& name) {
  std::ifstream file{path};
  std::string word;
  while (file >> word) {
    if (word != name) continue;
    std::uint64_t kilobytes = 0;
    file >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

std::string process_folder(pid_t pid) {
  return "/proc/" + std::to_string(pid);
}

/// Calls `on_thread(folder, CPU time in nanoseconds)` for each thread.
template <class OnThread>
Result<void> for_each_thread(pid_t pid, OnThread&& on_thread) {
  std::error_code error;
  std::filesystem::directory_iterator tasks{process_folder(pid) + "/task", error};
  if (error) return Error{"process " + std::to_string(pid) + ": " + error.message()};
  while (tasks != std::filesystem::directory_iterator{}) {
    // The first number is the time on a CPU in nanoseconds.
    std::ifstream file{tasks->path() / "schedstat"};
    std::uint64_t ns = 0;
    file >> ns;
    on_thread(tasks->path(), ns);
    tasks.increment(error);
    if (error) break;
  }
  return {};
}

}  // namespace

ProcessUse& ProcessUse::operator+=(const ProcessUse& other) {
  cpu_ns += other.cpu_ns;
  pss_bytes += other.pss_bytes;
  rss_bytes += other.rss_bytes;
  threads += other.threads;
  return *this;
}

Result<ProcessUse> read_cpu(pid_t pid) {
  ProcessUse use;
  auto counted = for_each_thread(pid, [&use](const std::filesystem::path&, std::uint64_t ns) {
    use.cpu_ns += ns;
    ++use.threads;
  });
  if (!counted) return counted.error();
  return use;
}

Result<ThreadUse> read_threads(pid_t pid) {
  ThreadUse use;
  auto counted = for_each_thread(pid, [&use](const std::filesystem::path& task, std::uint64_t ns) {
    std::ifstream file{task / "comm"};
    std::string name;
    if (std::getline(file, name)) use[name] += ns;
  });
  if (!counted) return counted.error();
  return use;
}

std::uint64_t used(const ThreadUse& use, const std::string& thread) {
  const auto found = use.find(thread);
  return found == use.end() ? 0 : found->second;
}

std::uint64_t thread_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(t.tv_nsec);
}

Result<ProcessUse> read_process(pid_t pid) {
  auto use = read_cpu(pid);
  if (!use) return use;
  const std::string rollup = process_folder(pid) + "/smaps_rollup";
  use.value().pss_bytes = read_kilobytes(rollup, "Pss:");
  use.value().rss_bytes = read_kilobytes(rollup, "Rss:");
  if (use.value().rss_bytes == 0) return Error{rollup + ": not readable; run as the server's user"};
  return use;
}

KernelUse read_kernel() {
  KernelUse use;
  use.slab_bytes = read_kilobytes("/proc/meminfo", "Slab:");
  use.available_bytes = read_kilobytes("/proc/meminfo", "MemAvailable:");
  std::ifstream file{"/proc/net/sockstat"};
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t at = line.find(" mem ");
    if (!line.starts_with("TCP:") || at == std::string::npos) continue;
    const auto pages = std::stoull(line.substr(at + 5));
    use.tcp_buffer_bytes = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  return use;
}

}  // namespace ringcast::load
