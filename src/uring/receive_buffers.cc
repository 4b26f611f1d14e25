#include "receive_buffers.h"

#include <cerrno>

#include <sys/mman.h>

namespace ringcast::uring {
namespace {

void* map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

Result<void> ReceiveBuffers::open(io_uring& ring, std::uint32_t count, std::uint32_t bytes) {
  RC_ASSERT(ring_ == nullptr);
  count_ = count;
  bytes_ = bytes;
  // The kernel wants the table of buffers to start on a page.
  ring_ = static_cast<io_uring_buf_ring*>(map(count * sizeof(io_uring_buf)));
  memory_ = static_cast<std::byte*>(map(std::size_t{count} * bytes));
  if (ring_ == nullptr || memory_ == nullptr) {
    return system_error("cannot map the receive buffers of an io_uring", errno);
  }
  // liburing 2.3 has no io_uring_setup_buf_ring.
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
  registration.ring_entries = count;
  registration.bgid = 0;
  if (const int error = io_uring_register_buf_ring(&ring, &registration, 0); error < 0) {
    return system_error("cannot register the receive buffers of an io_uring", error);
  }
  io_uring_buf_ring_init(ring_);
  for (std::uint32_t id = 0; id != count; ++id) {
    add(static_cast<std::uint16_t>(id), static_cast<int>(id));
  }
  io_uring_buf_ring_advance(ring_, static_cast<int>(count));
  return {};
}

void ReceiveBuffers::release_memory() {
  RC_ASSERT(held_ == 0);
  // Fails only for what is not mapped.
  RC_ASSERT(madvise(memory_, std::size_t{count_} * bytes_, MADV_DONTNEED) == 0);
}

ReceiveBuffers::~ReceiveBuffers() {
  if (ring_ != nullptr) munmap(ring_, count_ * sizeof(io_uring_buf));
  if (memory_ != nullptr) munmap(memory_, std::size_t{count_} * bytes_);
}

}  // namespace ringcast::uring
