#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <sys/types.h>

#include "ringcast/base/result.h"

namespace ringcast::load {

/// What a process uses, read from /proc.
struct ProcessUse {
  std::uint64_t cpu_ns = 0;     ///< of all threads, from the scheduler: exact, system calls and the
                                ///< network work done on the threads' behalf included
  std::uint64_t pss_bytes = 0;  ///< memory, shared pages by share
  std::uint64_t rss_bytes = 0;
  std::uint32_t threads = 0;

  ProcessUse& operator+=(const ProcessUse& other);
};

/// CPU time, cheap to read. A thread that ended meanwhile is no longer counted.
[[nodiscard]] Result<ProcessUse> read_cpu(pid_t pid);
/// The same with the memory, which walks the page tables.
[[nodiscard]] Result<ProcessUse> read_process(pid_t pid);

/// CPU time of a process in nanoseconds, by the names of its threads; those of one name are added.
using ThreadUse = std::map<std::string, std::uint64_t>;
[[nodiscard]] Result<ThreadUse> read_threads(pid_t pid);
/// What a thread had used; 0 when it was not there yet.
[[nodiscard]] std::uint64_t used(const ThreadUse& use, const std::string& thread);

/// From an earlier reading to a later one; negative when memory was given back.
[[nodiscard]] inline double growth(std::uint64_t before, std::uint64_t after) {
  return static_cast<double>(after) - static_cast<double>(before);
}

/// CPU time of the calling thread.
[[nodiscard]] std::uint64_t thread_cpu_ns();

/// Memory of the kernel: of the whole machine, so of both ends of each connection when the server
/// is here.
struct KernelUse {
  std::uint64_t slab_bytes = 0;        ///< sockets, descriptors, armed operations
  std::uint64_t tcp_buffer_bytes = 0;  ///< unread and unsent data
  std::uint64_t available_bytes = 0;   ///< MemAvailable
};

[[nodiscard]] KernelUse read_kernel();

}  // namespace ringcast::load
