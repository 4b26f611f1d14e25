#include "ringcast/sse/broadcast_log.h"

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::sse {

Result<std::unique_ptr<BroadcastLog>> BroadcastLog::create(const LogOptions& options) {
  if (options.bytes == 0) return Error{"the history must keep at least one byte"};
  if (options.events == 0) return Error{"the history must keep at least one event"};
  auto buffer = MirroredBuffer::create(options.bytes);
  if (!buffer) return buffer.error();
  return std::unique_ptr<BroadcastLog>(new BroadcastLog(options, std::move(buffer).value()));
}

// The index is not touched here (no value-initialisation): a log that stays quiet costs no pages.
BroadcastLog::BroadcastLog(const LogOptions& options, MirroredBuffer buffer)
    : options_(options),
      buffer_(std::move(buffer)),
      entries_(new LogEntry[std::bit_ceil(options.events)]),
      entries_mask_(std::bit_ceil(options.events) - 1),
      floor_(options.floor) {}

bool BroadcastLog::has_room(std::size_t bytes) const {
  if (head_ - tail_ >= options_.events) return false;
  const std::uint64_t kept = write_position_ - position(tail_);
  return bytes <= options_.bytes - kept;
}

void BroadcastLog::evict() {
  RC_ASSERT(!empty());
  floor_ = entry(tail_).id;
  ++tail_;
}

Ordinal BroadcastLog::append(EventId id, TopicId topic, std::span<const std::byte> frame,
                             std::uint8_t chunk_head_bytes, Ordinal previous) {
  RC_ASSERT(has_room(frame.size()));
  RC_ASSERT(id > newest());
  RC_ASSERT(frame.size() >= chunk_head_bytes + kChunkTail.size());
  RC_ASSERT(previous == kNoOrdinal || previous < head_);

  std::uint64_t distance = previous == kNoOrdinal ? 0 : head_ - previous;
  if (distance > std::numeric_limits<std::uint32_t>::max()) distance = 0;  // evicted long ago

  std::memcpy(buffer_.at(write_position_), frame.data(), frame.size());
  entries_[head_ & entries_mask_] =
      LogEntry{.id = id,
               .position = write_position_,
               .bytes = static_cast<std::uint32_t>(frame.size()),
               .topic = topic,
               .previous_distance = static_cast<std::uint32_t>(distance),
               .chunk_head_bytes = chunk_head_bytes,
               .unused = {}};
  write_position_ += frame.size();
  return head_++;
}

Resume BroadcastLog::resume(EventId requested) const {
  if (requested == EventId{} || requested == floor_) return {tail_, false};
  if (requested < floor_) return {tail_, true};
  if (requested > newest()) return {head_, true};

  // floor < requested <= newest, so the log is not empty. Find the first event that is newer.
  Ordinal first = tail_;
  std::uint64_t left = head_ - tail_;
  while (left > 0) {
    const std::uint64_t half = left / 2;
    if (entry(first + half).id <= requested) {
      first += half + 1;
      left -= half + 1;
    } else {
      left = half;
    }
  }
  return {first, before(first) != requested};
}

EventId BroadcastLog::newest() const {
  return before(head_);
}

std::optional<EventId> BroadcastLog::oldest() const {
  if (empty()) return std::nullopt;
  return entry(tail_).id;
}

EventId BroadcastLog::before(Ordinal ordinal) const {
  RC_DEBUG_ASSERT(ordinal >= tail_ && ordinal <= head_);
  return ordinal == tail_ ? floor_ : entry(ordinal - 1).id;
}

}  // namespace ringcast::sse
