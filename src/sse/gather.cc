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
  // chain yields its newest first. `distance`: index entries that the scan would look at instead. A
  // step along a chain costs about as much as a few of those, so it gives up early when they are
  // few.
  [[gnu::noinline]] bool collect(const BroadcastLog& log, Ordinal cursor,
                                 std::span<const TopicNews> topics, std::uint64_t distance) {
    const std::uint64_t events_max = std::min<std::uint64_t>(kChainMax, distance / 4);
    size_ = 0;
    for (const TopicNews& news : topics) {
      if (news.newest == kNoOrdinal) continue;
      Ordinal ordinal = news.newest;
      while (ordinal >= cursor) {  // cursor >= tail: no evicted entry is read
        if (size_ == events_max) return false;
        ordinals_[size_++] = ordinal;
        const std::uint64_t back = log.entry(ordinal).previous_distance;
        if (back == 0 || back > ordinal) break;
        ordinal -= back;
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
  if (distance > kNear) [[unlikely]] {
    Chains chains;
    if (chains.collect(log, cursor, topics, distance)) {
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

// Puts frames into spans. The length of the last span follows from positions and is written once it
// is known, so that a run of neighbours costs no memory access of its own.
class Collector {
 public:
  Collector(const BroadcastLog& log, Wire wire, std::size_t bytes_max, std::span<iovec> out)
      : log_(log),
        wire_(wire),
        bytes_max_(std::min<std::uint64_t>(bytes_max, std::numeric_limits<std::uint32_t>::max())),
        out_(out) {}

  // False when it does not fit any more.
  [[gnu::always_inline]] bool take(const LogEntry& entry) {
    const std::uint64_t size =
        wire_ == Wire::chunked ? entry.bytes : log_.bytes(entry, wire_).size();
    if (spans_ != 0 && bytes_ + size > bytes_max_) return false;
    // On the plain wire the chunk framing lies between neighbours: they never join.
    if (wire_ == Wire::plain || entry.position != end_ || spans_ == 0) {
      if (spans_ == out_.size()) return false;
      close();
      // sendmsg wants a pointer to what it will not change.
      out_[spans_++].iov_base = const_cast<std::byte*>(log_.bytes(entry, wire_).data());
      span_bytes_before_ = bytes_;
    }
    bytes_ += size;
    ++events_;
    end_ = entry.position + entry.bytes;
    return true;
  }

  Gathered finish(Ordinal next) {
    close();
    return {.spans = static_cast<std::uint32_t>(spans_),
            .bytes = static_cast<std::uint32_t>(bytes_),
            .events = events_,
            .next = next};
  }

 private:
  void close() {
    if (spans_ != 0) out_[spans_ - 1].iov_len = bytes_ - span_bytes_before_;
  }

  const BroadcastLog& log_;
  const Wire wire_;
  const std::uint64_t bytes_max_;
  const std::span<iovec> out_;
  std::uint64_t bytes_ = 0;
  std::uint64_t span_bytes_before_ = 0;  // the last span's share is what came after
  std::uint64_t end_ = 0;                // position where a neighbour of the last frame starts
  std::size_t spans_ = 0;
  std::uint32_t events_ = 0;
};

}  // namespace

Gathered gather(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics,
                Wire wire, const GatherLimits& limits, std::span<iovec> out) {
  RC_DEBUG_ASSERT(!out.empty() && limits.scan > 0);
  Collector collector(log, wire, limits.bytes, out);
  return collector.finish(visit(
      log, cursor, topics,
      limits.scan, [&](Ordinal, const LogEntry& entry) __attribute__((always_inline)) {
        return collector.take(entry);
      }));
}

Split split(const BroadcastLog& log, Ordinal cursor, std::span<const TopicNews> topics, Wire wire,
            std::size_t taken) {
  Split result{.next = cursor};
  if (taken == 0) return result;
  // No scan budget: gather has looked at all that lies before the last frame it took.
  visit(log, cursor, topics, std::numeric_limits<std::size_t>::max(),
        [&](Ordinal ordinal, const LogEntry& entry) {
          const std::span<const std::byte> frame = log.bytes(entry, wire);
          result.next = ordinal + 1;
          ++result.events;
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
