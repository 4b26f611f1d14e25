#pragma once

#include <cstdint>

#include "ringcast/base/result.h"
#include "ringcast/uring/ring.h"

namespace ringcast::uring {

/// Finds out by trying, not by version, whether this kernel and this container let the server run.
/// The error says in plain words what is missing and what to change: io_uring disabled by sysctl
/// (kernel.io_uring_disabled), forbidden by a seccomp profile, a kernel that is too old, a locked
/// memory limit that is too low.
///
/// On success: which kind of descriptors to use. Before 6.13 a direct descriptor that is closed
/// while any older receive is armed on the ring is not released: its peer never sees the end. So
/// the probe arms a receive on one connection, closes another, and its peer must see the end within
/// 50 ms; otherwise ordinary descriptors. Blocks for 50 ms at most; opens a few loopback sockets.
[[nodiscard]] Result<Descriptors> probe_kernel();

/// RLIMIT_NOFILE, raised to its hard limit first.
[[nodiscard]] std::uint32_t raise_descriptor_limit();

}  // namespace ringcast::uring
