#include "ringcast/base/mirrored_buffer.h"

#include <bit>
#include <cerrno>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace ringcast {

Result<MirroredBuffer> MirroredBuffer::create(std::size_t bytes_min) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t capacity = std::bit_ceil(bytes_min < page ? page : bytes_min);

  const int fd = memfd_create("ringcast-ring", MFD_CLOEXEC);
  if (fd < 0) return system_error("cannot create memory for a ring (memfd_create)", errno);
  if (ftruncate(fd, static_cast<off_t>(capacity)) != 0) {
    const Error error = system_error("cannot size memory for a ring", errno);
    close(fd);
    return error;
  }
  // Reserve the address range first, so that the second copy cannot land elsewhere.
  void* const range =
      mmap(nullptr, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) {
    const Error error = system_error("cannot reserve addresses for a ring", errno);
    close(fd);
    return error;
  }
  auto* const data = static_cast<std::byte*>(range);
  for (std::byte* copy : {data, data + capacity}) {
    if (mmap(copy, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
      const Error error = system_error("cannot map memory for a ring", errno);
      munmap(range, 2 * capacity);
      close(fd);
      return error;
    }
  }
  close(fd);  // the mappings keep the memory
  return MirroredBuffer(data, capacity);
}

MirroredBuffer::MirroredBuffer(MirroredBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}

MirroredBuffer& MirroredBuffer::operator=(MirroredBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

MirroredBuffer::~MirroredBuffer() {
  if (data_ != nullptr) munmap(data_, 2 * capacity_);
}

}  // namespace ringcast
