#include "paced.h"

#include "ringcast/base/assert.h"
#include "ringcast/shard/options.h"

namespace ringcast::shard {

static_assert(1000 / 1 < 1024 && kStreamSendsPerSecondMax <= 1000,
              "an interval is at least a millisecond and shorter than the wheel");

PacedStreams::PacedStreams(std::uint32_t sends_per_second)
    : interval_ms_(sends_per_second == 0 ? 0 : (1000 + sends_per_second - 1) / sends_per_second),
      lists_(interval_ms_ == 0 ? 0 : kLists, StreamList(ListId::paced)) {}

void PacedStreams::add(StreamTable& table, uring::Slot slot) {
  const Stream& stream = table[slot];
  const std::uint32_t due_ms = stream.last_sent_ms + interval_ms_;
  // Differences, since the clock wraps.
  if (size_ == 0 || static_cast<std::int32_t>(due_ms - next_ms_) < 0) next_ms_ = due_ms;
  RC_ASSERT(due_ms - next_ms_ < kLists);
  list_of(stream).push_back(table, slot);
  ++size_;
}

void PacedStreams::remove(StreamTable& table, uring::Slot slot) {
  list_of(table[slot]).remove(table, slot);
  --size_;
}

std::uint32_t PacedStreams::due(std::uint32_t now_ms) {
  if (size_ == 0) return kNoSlot;
  for (; static_cast<std::int32_t>(now_ms - next_ms_) >= 0; ++next_ms_) {
    const StreamList& list = lists_[next_ms_ % kLists];
    if (!list.empty()) return uring::to_index(list.front());
  }
  return kNoSlot;
}

std::uint32_t PacedStreams::next_in_ms(std::uint32_t now_ms) const {
  RC_ASSERT(size_ > 0);
  std::uint32_t at_ms = next_ms_;
  while (lists_[at_ms % kLists].empty()) ++at_ms;
  return at_ms - now_ms;
}

}  // namespace ringcast::shard
