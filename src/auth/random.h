#pragma once

#include <cerrno>
#include <cstddef>
#include <span>

#include <sys/random.h>

#include "ringcast/base/result.h"

namespace ringcast::auth {

/// Fills with bytes of the kernel's generator, getrandom(2): fit for secrets. Waits, early in the
/// boot of a machine, until the kernel has gathered enough.
[[nodiscard]] inline Result<void> fill_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return system_error("cannot get random bytes", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace ringcast::auth
