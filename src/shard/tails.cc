#include "tails.h"

#include <algorithm>
#include <cstring>

#include "ringcast/base/assert.h"

namespace ringcast::shard {

Tails::Tails(std::size_t bytes_max, std::size_t tails_max)
    : chunks_(bytes_max / sizeof(Chunk)), tails_(tails_max) {}

Tails::Handle Tails::create(std::span<const std::byte> bytes) {
  const Handle handle = tails_.take();
  if (handle == kNone) return kNone;
  tails_[handle] = Tail{};
  if (append(handle, bytes)) return handle;
  tails_.give_back(handle);
  return kNone;
}

bool Tails::append(Handle handle, std::span<const std::byte> bytes) {
  Tail& tail = tails_[handle];
  const std::size_t used = tail.first == kNone ? 0 : (tail.offset + tail.bytes) % kChunkBytes;
  const std::size_t room_in_last =
      tail.first == kNone ? 0
                          : (used == 0 && tail.offset + tail.bytes > 0 ? 0 : kChunkBytes - used);
  const std::size_t beyond = bytes.size() > room_in_last ? bytes.size() - room_in_last : 0;
  if (chunks_.size() + (beyond + kChunkBytes - 1) / kChunkBytes > chunks_.size_max()) return false;

  std::size_t room = room_in_last;
  while (!bytes.empty()) {
    if (room == 0) {
      const auto chunk = chunks_.take();
      RC_ASSERT(chunk != kNone);
      chunks_[chunk].next = kNone;
      if (tail.first == kNone) {
        tail.first = chunk;
        tail.offset = 0;
      } else {
        chunks_[tail.last].next = chunk;
      }
      tail.last = chunk;
      room = kChunkBytes;
    }
    const std::size_t count = std::min(room, bytes.size());
    std::memcpy(chunks_[tail.last].bytes + (kChunkBytes - room), bytes.data(), count);
    bytes = bytes.subspan(count);
    tail.bytes += static_cast<std::uint32_t>(count);
    room -= count;
  }
  return true;
}

std::size_t Tails::front(Handle handle, std::span<iovec> out, std::size_t& bytes) {
  Tail& tail = tails_[handle];
  std::size_t spans = 0;
  std::size_t left = tail.bytes;
  std::size_t offset = tail.offset;
  bytes = 0;
  const std::size_t spans_max = std::min(out.size(), kSpansMax);
  for (auto chunk = tail.first; left > 0 && spans < spans_max; chunk = chunks_[chunk].next) {
    const std::size_t count = std::min(left, kChunkBytes - offset);
    out[spans++] = {.iov_base = chunks_[chunk].bytes + offset, .iov_len = count};
    bytes += count;
    left -= count;
    offset = 0;
  }
  return spans;
}

bool Tails::consume(Handle handle, std::size_t bytes) {
  Tail& tail = tails_[handle];
  RC_ASSERT(bytes <= tail.bytes);
  tail.bytes -= static_cast<std::uint32_t>(bytes);
  std::size_t offset = tail.offset + bytes;
  while (offset >= kChunkBytes || (tail.bytes == 0 && tail.first != kNone)) {
    const auto next = chunks_[tail.first].next;
    chunks_.give_back(tail.first);
    tail.first = next;
    if (next == kNone) {
      tail.last = kNone;
      offset = 0;
      break;
    }
    offset -= kChunkBytes;
  }
  tail.offset = static_cast<std::uint32_t>(offset);
  return tail.bytes > 0;
}

void Tails::release(Handle handle) {
  (void)consume(handle, tails_[handle].bytes);
  tails_.give_back(handle);
}

}  // namespace ringcast::shard
