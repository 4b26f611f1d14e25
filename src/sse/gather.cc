#include "ringcast/sse/gather.h"

#include <algorithm>
#include <array>
#include <limits>

#include "ringcast/base/assert.h"

namespace ringcast::sse {
namespace {

// Up to here the index is read forward at once: it is a few neighbouring cache lines.
constexpr std::uint64_t kNear = 64;
// Events that the chains may yield before they are given up for the forward scan; 2 KB of stack.
constexpr std::size_t kChainMax = 256;

// Is a topic among those of the stream? A 64-bit digest turns nearly all foreign topics away.
class TopicFilter {
 public:
  explicit TopicFilter(std::span<const TopicNews> topics) : topics_(topics) {
    for (const TopicNews& news : topics) digest_ |= bit(news.topic);
  }

  [[nodiscard]] bool operator()(TopicId topic) const {
    if ((digest_ & bit(topic)) == 0) return false;
    if (topics_.front().topic == topic) return true;
    const auto found =
        std::lower_bound(topics_.begin(), topics_.end(), topic,
                         [](const TopicNews& news, TopicId id) { return news.topic < id; });
    return found != topics_.end() && found->topic == topic;
  }

 private:
  static std::uint64_t bit(TopicId topic) {
    return std::uint64_t{1} << (static_cast<std::uint32_t>(topic) % 64);
  }

  std::span<const TopicNews> topics_;
  std::uint64_t digest_ = 0;
};

class Chains {
 public:
  // False when there are too many events; what was found so far is of no use then, because each
  // chain yields its newest first.
  bool collect(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics,
               std::size_t events_max) {
    size_ = 0;
    for (const TopicNews& news : topics) {
      if (news.newest == kNoOrdinal) continue;
      Ordinal ordinal = news.newest;
      while (ordinal >= cursor) {  // cursor >= tail: no evicted entry is read
        if (size_ == events_max) return false;
        ordinals_[size_++] = ordinal;
        const std::uint64_t distance = log.entry(ordinal).previous_distance;
        if (distance == 0 || distance > ordinal) break;
        ordinal -= distance;
      }
    }
    if (topics.size() == 1) {
      std::reverse(ordinals_.begin(), ordinals_.begin() + static_cast<std::ptrdiff_t>(size_));
    } else {
      std::sort(ordinals_.begin(), ordinals_.begin() + static_cast<std::ptrdiff_t>(size_));
    }
    return true;
  }

  [[nodiscard]] std::span<const Ordinal> ordinals() const { return {ordinals_.data(), size_}; }

 private:
  std::array<Ordinal, kChainMax> ordinals_;  // only the first size_ are ever read
  std::size_t size_ = 0;
};

// Calls `take(ordinal, entry)` for each pending event in order until it returns false, and returns
// the cursor after what was taken.
template <class Take>
Ordinal visit(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics,
              std::size_t scan_max, Take&& take) {
  RC_DEBUG_ASSERT(cursor >= log.tail() && cursor <= log.head());
  Ordinal end = 0;  // after the newest event of all topics; kNoOrdinal + 1 is 0
  for (const TopicNews& news : topics) end = std::max(end, news.newest + 1);
  if (end <= cursor) return log.head();
  RC_DEBUG_ASSERT(end <= log.head());

  const std::uint64_t distance = end - cursor;
  if (distance > kNear) {
    // A step along a chain costs about as much as a few steps of the scan, so it gives up early
    // when the scan would not take long either.
    Chains chains;
    if (chains.collect(
            log, cursor, topics,
            static_cast<std::size_t>(std::min<std::uint64_t>(kChainMax, distance / 4)))) {
      for (const Ordinal ordinal : chains.ordinals()) {
        if (!take(ordinal, log.entry(ordinal))) return ordinal;
      }
      return log.head();
    }
  }

  const Ordinal stop = distance > scan_max ? cursor + scan_max : end;
  if (topics.size() == 1) {
    const TopicId topic = topics.front().topic;
    for (; cursor < stop; ++cursor) {
      const LogEntry& entry = log.entry(cursor);
      if (entry.topic == topic && !take(cursor, entry)) return cursor;
    }
  } else {
    const TopicFilter wanted(topics);
    for (; cursor < stop; ++cursor) {
      const LogEntry& entry = log.entry(cursor);
      if (wanted(entry.topic) && !take(cursor, entry)) return cursor;
    }
  }
  return stop == end ? log.head() : stop;
}

}  // namespace

Gathered gather(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics,
                Wire wire, const GatherLimits& limits, std::span<iovec> out) {
  RC_DEBUG_ASSERT(!out.empty() && limits.scan > 0);
  const std::uint64_t bytes_max =
      std::min<std::uint64_t>(limits.bytes, std::numeric_limits<std::uint32_t>::max());
  std::uint64_t bytes = 0;
  std::size_t spans = 0;
  std::uint32_t events = 0;
  std::uint64_t joins_at = ~std::uint64_t{0};  // position where a neighbour of the last span starts

  const Ordinal next = visit(log, cursor, topics, limits.scan, [&](Ordinal, const LogEntry& entry) {
    const std::span<const std::byte> frame = log.bytes(entry, wire);
    if (spans != 0 && bytes + frame.size() > bytes_max) return false;
    if (entry.position == joins_at) {
      out[spans - 1].iov_len += frame.size();
    } else {
      if (spans == out.size()) return false;
      // sendmsg wants a pointer to what it will not change.
      out[spans++] = iovec{const_cast<std::byte*>(frame.data()), frame.size()};
    }
    bytes += frame.size();
    ++events;
    // On the plain wire the chunk framing lies between neighbours.
    if (wire == Wire::chunked) joins_at = entry.position + entry.bytes;
    return true;
  });
  return {static_cast<std::uint32_t>(spans), static_cast<std::uint32_t>(bytes), events, next};
}

Split split(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics, Wire wire,
            std::size_t taken) {
  Split result{cursor, {}};
  if (taken == 0) return result;
  // No scan budget: gather has looked at all that lies before the last frame it took.
  visit(log, cursor, topics, std::numeric_limits<std::size_t>::max(),
        [&](Ordinal ordinal, const LogEntry& entry) {
          const std::span<const std::byte> frame = log.bytes(entry, wire);
          result.next = ordinal + 1;
          if (taken < frame.size()) {
            result.rest = frame.subspan(taken);
            return false;
          }
          taken -= frame.size();
          return taken != 0;
        });
  return result;
}

}  // namespace ringcast::sse
