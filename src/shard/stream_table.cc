#include "stream_table.h"

#include <cerrno>
#include <new>
#include <utility>

#include <sys/mman.h>

#include "ringcast/base/assert.h"

namespace ringcast::shard {

Result<StreamTable> StreamTable::create(std::uint32_t slots) {
  RC_ASSERT(slots > 0 && slots <= uring::kSlotsMax);
  void* const memory = mmap(nullptr, slots * sizeof(Stream), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return system_error("cannot map the stream table", errno);
  return StreamTable(static_cast<Stream*>(memory), slots);
}

StreamTable::StreamTable(StreamTable&& other) noexcept
    : streams_(std::exchange(other.streams_, nullptr)),
      slots_(other.slots_),
      used_end_(other.used_end_),
      in_use_(other.in_use_),
      first_free_(other.first_free_) {}

StreamTable::~StreamTable() {
  if (streams_ != nullptr) munmap(streams_, slots_ * sizeof(Stream));
}

std::optional<uring::Slot> StreamTable::take() {
  std::uint32_t index = first_free_;
  if (index != kNoSlot) {
    first_free_ = streams_[index].next;
  } else if (used_end_ < slots_) {
    index = used_end_++;
    new (&streams_[index]) Stream{.generation = 1};
  } else {
    return std::nullopt;
  }
  ++in_use_;
  return uring::Slot{index};
}

void StreamTable::give_back(uring::Slot slot) {
  Stream& stream = (*this)[slot];
  RC_ASSERT(stream.quiet() && stream.list == ListId::none);
  const std::uint32_t generation = stream.generation + 1;
  stream = Stream{.generation = generation, .next = first_free_};
  first_free_ = uring::to_index(slot);
  --in_use_;
}

void StreamList::push_back(StreamTable& table, uring::Slot slot) {
  Stream& stream = table[slot];
  RC_DEBUG_ASSERT(stream.list == ListId::none);
  stream.list = id_;
  stream.next = kNoSlot;
  stream.previous = last_;
  if (last_ == kNoSlot) {
    first_ = uring::to_index(slot);
  } else {
    table.at(last_).next = uring::to_index(slot);
  }
  last_ = uring::to_index(slot);
  ++size_;
}

void StreamList::remove(StreamTable& table, uring::Slot slot) {
  Stream& stream = table[slot];
  RC_DEBUG_ASSERT(stream.list == id_);
  if (stream.previous == kNoSlot) {
    first_ = stream.next;
  } else {
    table.at(stream.previous).next = stream.next;
  }
  if (stream.next == kNoSlot) {
    last_ = stream.previous;
  } else {
    table.at(stream.next).previous = stream.previous;
  }
  stream.list = ListId::none;
  --size_;
}

}  // namespace ringcast::shard
