#include "ringcast/base/record_ring.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast {
namespace {

// Each record is a length word and the bytes, padded so that every length word is aligned.
using Length = std::uint64_t;
constexpr std::size_t footprint(std::size_t bytes) {
  return sizeof(Length) + ((bytes + sizeof(Length) - 1) & ~(sizeof(Length) - 1));
}

}  // namespace

Result<std::unique_ptr<RecordRing>> RecordRing::create(std::size_t bytes_min, std::size_t readers) {
  auto buffer = MirroredBuffer::create(bytes_min);
  if (!buffer) return buffer.error();
  return std::unique_ptr<RecordRing>(new RecordRing(std::move(buffer).value(), readers));
}

RecordRing::RecordRing(MirroredBuffer buffer, std::size_t readers)
    : buffer_(std::move(buffer)), readers_(new Reader[readers]), readers_count_(readers) {}

std::uint64_t RecordRing::slowest() const {
  std::uint64_t position = write_position_;
  for (std::size_t i = 0; i < readers_count_; ++i) {
    position = std::min(position, readers_[i].position.load(std::memory_order_acquire));
  }
  return position;
}

std::span<std::byte> RecordRing::reserve(std::size_t bytes) {
  RC_ASSERT(bytes <= record_bytes_max());
  const std::uint64_t end = write_position_ + footprint(bytes);
  if (end - slowest_seen_ > buffer_.capacity()) {
    slowest_seen_ = slowest();
    if (end - slowest_seen_ > buffer_.capacity()) return {};
  }
  return {buffer_.at(write_position_) + sizeof(Length), bytes};
}

void RecordRing::commit(std::size_t bytes) {
  const Length length = bytes;
  std::memcpy(buffer_.at(write_position_), &length, sizeof length);
  write_position_ += footprint(bytes);
  written_.store(write_position_, std::memory_order_release);
}

std::span<const std::byte> RecordRing::peek(std::size_t reader) {
  Reader& me = readers_[reader];
  const std::uint64_t position = me.position.load(std::memory_order_relaxed);
  if (position == me.written_seen) {
    me.written_seen = written_.load(std::memory_order_acquire);
    if (position == me.written_seen) return {};
  }
  Length length = 0;
  std::memcpy(&length, buffer_.at(position), sizeof length);
  me.next = position + footprint(length);
  return {buffer_.at(position) + sizeof(Length), length};
}

void RecordRing::release(std::size_t reader) {
  Reader& me = readers_[reader];
  me.position.store(me.next, std::memory_order_release);
}

void RecordRing::retire(std::size_t reader) {
  readers_[reader].position.store(~std::uint64_t{0}, std::memory_order_release);
}

bool RecordRing::empty(std::size_t reader) const {
  return readers_[reader].position.load(std::memory_order_relaxed) ==
         written_.load(std::memory_order_acquire);
}

}  // namespace ringcast
