#pragma once

#include <cstdint>

/// Linking allocation_counter.cc replaces the global `new` and `delete` of a test or a benchmark by
/// counting ones. Of all threads together; exact while one thread runs.
namespace ringcast::test {

/// Calls of `new` since the program began.
[[nodiscard]] std::uint64_t allocations();
/// Bytes that are allocated now, rounded up as the allocator does.
[[nodiscard]] std::int64_t bytes_allocated();

}  // namespace ringcast::test
