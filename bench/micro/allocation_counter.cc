#include "allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include <malloc.h>

// Clang links its sanitizers' own `new` into the program, where no other may stand beside it. Their
// runtime tells of each allocation instead: those of `malloc` too.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGCAST_RUNTIME_OWNS_NEW 1
#include <sanitizer/allocator_interface.h>
#endif
#endif

namespace ringcast::test {
namespace {

std::atomic<std::uint64_t> allocation_count{0};
std::atomic<std::int64_t> byte_count{0};

}  // namespace

std::uint64_t allocations() {
  return allocation_count.load(std::memory_order_relaxed);
}
std::int64_t bytes_allocated() {
  return byte_count.load(std::memory_order_relaxed);
}

}  // namespace ringcast::test

#ifdef RINGCAST_RUNTIME_OWNS_NEW

using ringcast::test::allocation_count;
using ringcast::test::byte_count;

extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t bytes) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  byte_count.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
}
extern "C" void __sanitizer_free_hook(const volatile void* memory) {
  if (memory == nullptr) return;
  byte_count.fetch_sub(static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory)),
                       std::memory_order_relaxed);
}

#else

namespace ringcast::test {
namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
  void* memory =
      alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
          ? std::malloc(bytes == 0 ? 1 : bytes)
          : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  byte_count.fetch_add(static_cast<std::int64_t>(malloc_usable_size(memory)),
                       std::memory_order_relaxed);
  return memory;
}

void release(void* memory) {
  if (memory == nullptr) return;
  byte_count.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)),
                       std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace
}  // namespace ringcast::test

// Each form, though the standard library's other forms would call the first: those of a sanitizer's
// runtime do not, and it then reports memory of the one kind given back to the other.
using ringcast::test::allocate;
using ringcast::test::release;

void* operator new(std::size_t bytes) {
  return allocate(bytes, 1);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes, 1);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 1);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete[](void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  release(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}

#endif
