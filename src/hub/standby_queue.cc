#include "standby_queue.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::hub {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.empty() || text.size() > 16 || (text.front() == '0' && text.size() > 1)) return {};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

std::size_t bytes_of(const StandbyQueue::Message& message) {
  return message.text.size() + StandbyQueue::kMessageOverheadBytes;
}

}  // namespace

std::optional<ChannelNumber> parse_channel_number(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return {};
  const auto epoch = parse_number(text.substr(0, colon));
  const auto number = parse_number(text.substr(colon + 1));
  if (!epoch || !number || *epoch == 0 || *number == 0) return {};
  return ChannelNumber{*epoch, *number};
}

std::uint64_t StandbyQueue::Segment::due_ns() const {
  if (frozen) return 0;
  return progress_ns + (open ? kOpenPatienceNs : kClosedPatienceNs);
}

StandbyQueue::Segment* StandbyQueue::find(std::uint64_t epoch) {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [&](const Segment& segment) { return segment.epoch == epoch; });
  return found == segments_.end() ? nullptr : &*found;
}

void StandbyQueue::pop_front(Segment& segment) {
  bytes_ -= bytes_of(segment.messages.front());
  segment.messages.pop_front();
  if (segment.sent > 0) --segment.sent;
  --size_;
}

void StandbyQueue::forget_empty() {
  std::erase_if(segments_,
                [](const Segment& segment) { return !segment.open && segment.messages.empty(); });
}

bool StandbyQueue::mark(std::uint64_t epoch, std::uint64_t now_ns) {
  if (find(epoch) != nullptr) return false;
  if (standing()) {
    segments_.back().open = false;
    segments_.back().progress_ns = now_ns;
  }
  forget_empty();
  Segment segment{.epoch = epoch, .progress_ns = now_ns};
  // The tail may be faster than the subscription.
  if (newest_settled_.epoch == epoch) segment.settled = newest_settled_.number;
  segments_.push_back(std::move(segment));
  return true;
}

std::size_t StandbyQueue::hear(Message message, std::uint64_t now_ns) {
  if (!standing()) return 0;
  Segment& open = segments_.back();
  const std::uint64_t number = open.next++;
  if (number <= open.settled) return 0;
  if (open.messages.empty()) open.progress_ns = now_ns;
  bytes_ += bytes_of(message);
  ++size_;
  open.messages.push_back(std::move(message));

  std::size_t dropped = 0;
  while (size_ > 1 && (size_ > limits_.messages_max || bytes_ > limits_.bytes_max)) {
    const auto oldest = std::find_if(segments_.begin(), segments_.end(),
                                     [](const Segment& each) { return !each.messages.empty(); });
    pop_front(*oldest);
    ++dropped;
  }
  if (dropped > 0) forget_empty();
  return dropped;
}

void StandbyQueue::freeze() {
  for (Segment& segment : segments_) {
    segment.open = false;
    segment.frozen = true;
  }
  forget_empty();
}

void StandbyQueue::settle(const ChannelNumber& up_to, std::uint64_t now_ns) {
  if (up_to.epoch > newest_settled_.epoch ||
      (up_to.epoch == newest_settled_.epoch && up_to.number > newest_settled_.number)) {
    newest_settled_ = up_to;
  }
  Segment* segment = find(up_to.epoch);
  if (segment == nullptr) return;
  segment->settled = std::max(segment->settled, up_to.number);
  bool progress = false;
  while (!segment->messages.empty() && segment->first() <= up_to.number) {
    pop_front(*segment);
    progress = true;
  }
  if (!progress) return;
  segment->progress_ns = now_ns;
  forget_empty();
}

std::optional<StandbyQueue::Slice> StandbyQueue::next(Role role, std::uint64_t now_ns,
                                                      const SliceLimits& limits) const {
  for (const Segment& segment : segments_) {
    if (segment.sent == segment.messages.size()) continue;
    // Later segments wait too: their messages are younger.
    if (role == Role::standby && segment.due_ns() > now_ns) return {};
    Slice slice{.epoch = segment.epoch,
                .first = segment.first() + segment.sent,
                .frozen = segment.frozen,
                .open = segment.open};
    std::size_t bytes = 0;
    for (std::size_t i = segment.sent; i < segment.messages.size(); ++i) {
      bytes += segment.messages[i].text.size();
      if (slice.count == limits.messages_max || (slice.count > 0 && bytes > limits.bytes_max))
        break;
      ++slice.count;
    }
    return slice;
  }
  return {};
}

std::optional<std::uint64_t> StandbyQueue::next_due_ns() const {
  for (const Segment& segment : segments_) {
    if (segment.sent < segment.messages.size()) return segment.due_ns();
  }
  return {};
}

StandbyQueue::Message& StandbyQueue::message(const Slice& slice, std::size_t index) {
  Segment* segment = find(slice.epoch);
  RC_ASSERT(segment != nullptr && slice.first >= segment->first() && index < slice.count);
  return segment->messages[slice.first - segment->first() + index];
}

void StandbyQueue::clear(Message& message) {
  bytes_ -= message.text.size();
  message.text = {};
  message.no_event = true;
}

void StandbyQueue::sent(const Slice& slice) {
  Segment* segment = find(slice.epoch);
  RC_ASSERT(segment != nullptr);
  segment->sent = static_cast<std::size_t>(slice.last() + 1 - segment->first());
  RC_ASSERT(segment->sent <= segment->messages.size());
}

void StandbyQueue::unsend() {
  for (Segment& segment : segments_) segment.sent = 0;
}

void StandbyQueue::thaw(std::uint64_t epoch) {
  if (Segment* segment = find(epoch); segment != nullptr) segment->frozen = false;
}

std::size_t StandbyQueue::drop(std::uint64_t epoch) {
  Segment* segment = find(epoch);
  if (segment == nullptr || segment->open) return 0;
  const std::size_t count = segment->messages.size();
  while (!segment->messages.empty()) pop_front(*segment);
  forget_empty();
  return count;
}

bool StandbyQueue::has_frozen() const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [](const Segment& segment) { return segment.frozen; });
}

}  // namespace ringcast::hub
