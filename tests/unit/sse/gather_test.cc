#include "ringcast/sse/gather.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::sse {
namespace {

constexpr std::size_t kNoLimit = ~std::size_t{0};

/// A log together with the plainest possible memory of what was appended to it.
class History {
 public:
  struct Event {
    TopicId topic;
    std::string frame;
    std::uint8_t head_bytes;
  };

  explicit History(const LogOptions& options)
      : log_(std::move(BroadcastLog::create(options)).value()) {}

  void append(TopicId topic, std::size_t content_bytes) {
    const std::string content(content_bytes, static_cast<char>('a' + events_.size() % 26));
    const EventFields fields{.data = content};
    const FrameSize size = frame_size(std::nullopt, fields);
    std::string frame(size.bytes, ' ');
    encode_frame(std::nullopt, fields, std::as_writable_bytes(std::span(frame)));
    while (!log_->has_room(frame.size())) log_->evict();
    const auto newest = newest_.find(topic);
    const Ordinal ordinal =
        log_->append(EventId{events_.size() + 1, 0}, topic, std::as_bytes(std::span(frame)),
                     size.chunk_head_bytes, newest == newest_.end() ? kNoOrdinal : newest->second);
    newest_[topic] = ordinal;
    events_.push_back({topic, frame, size.chunk_head_bytes});
  }

  [[nodiscard]] const BroadcastLog& log() const { return *log_; }

  [[nodiscard]] std::vector<TopicNews> news(const std::vector<TopicId>& topics) const {
    std::vector<TopicNews> news;
    for (const TopicId topic : topics) {
      const auto newest = newest_.find(topic);
      news.push_back({topic, newest == newest_.end() ? kNoOrdinal : newest->second});
    }
    return news;
  }

  /// The model: every ordinal from `cursor` on that belongs to one of `topics` (sorted).
  [[nodiscard]] std::vector<Ordinal> pending(Ordinal cursor,
                                             const std::vector<TopicId>& topics) const {
    std::vector<Ordinal> ordinals;
    for (Ordinal ordinal = cursor; ordinal < events_.size(); ++ordinal) {
      if (std::binary_search(topics.begin(), topics.end(), events_[ordinal].topic)) {
        ordinals.push_back(ordinal);
      }
    }
    return ordinals;
  }

  [[nodiscard]] std::string frame(Ordinal ordinal, Wire wire) const {
    const Event& event = events_[ordinal];
    if (wire == Wire::chunked) return event.frame;
    return event.frame.substr(event.head_bytes, event.frame.size() - event.head_bytes - 2);
  }

 private:
  std::unique_ptr<BroadcastLog> log_;
  std::vector<Event> events_;
  std::map<TopicId, Ordinal> newest_;
};

std::string text_of(std::span<const iovec> spans) {
  std::string text;
  for (const iovec& span : spans)
    text.append(static_cast<const char*>(span.iov_base), span.iov_len);
  return text;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Case {
  Ordinal cursor;
  std::vector<TopicId> topics;
  Wire wire;
  GatherLimits limits;
  std::size_t spans_max;
};

/// Gathers once and checks all that is promised about one call. Returns the new cursor.
Ordinal check_once(const History& history, const Case& c, std::string* sent = nullptr) {
  std::array<iovec, 64> out;
  const std::vector<TopicNews> news = history.news(c.topics);
  const Gathered got =
      gather(history.log(), c.cursor, news, c.wire, c.limits, std::span(out).first(c.spans_max));
  const std::vector<Ordinal> pending = history.pending(c.cursor, c.topics);

  std::string expected;
  std::size_t spans = 0;
  std::size_t frames = 0;
  for (; frames < pending.size() && pending[frames] < got.next; ++frames) {
    const bool joined =
        frames > 0 && c.wire == Wire::chunked && pending[frames] == pending[frames - 1] + 1;
    if (!joined) ++spans;
    expected += history.frame(pending[frames], c.wire);
  }
  EXPECT_EQ(got.spans, spans);
  EXPECT_EQ(got.bytes, expected.size());
  EXPECT_EQ(got.events, frames);
  EXPECT_EQ(text_of(std::span(out).first(got.spans)), expected);
  EXPECT_LE(got.spans, c.spans_max);
  EXPECT_TRUE(got.bytes <= c.limits.bytes || frames == 1);

  if (frames == pending.size()) {
    // Only a scan that ran out of budget may end elsewhere than at the head.
    EXPECT_TRUE(got.next == history.log().head() || got.next - c.cursor == c.limits.scan);
  } else {
    const Ordinal first_left = pending[frames];
    const bool over_bytes =
        frames > 0 && got.bytes + history.frame(first_left, c.wire).size() > c.limits.bytes;
    const bool would_join =
        frames > 0 && c.wire == Wire::chunked && first_left == pending[frames - 1] + 1;
    const bool out_of_spans = got.spans == c.spans_max && !would_join;
    const bool out_of_scan = got.next - c.cursor == c.limits.scan;
    EXPECT_TRUE(over_bytes || out_of_spans || out_of_scan) << "stopped without a reason";
    if (!out_of_scan) {
      EXPECT_EQ(got.next, first_left);
    }
  }
  EXPECT_TRUE(got.next > c.cursor || c.cursor == history.log().head()) << "no progress";
  if (sent != nullptr) *sent += expected;
  return got.next;
}

/// Gathers until nothing is left: everything once, in order.
void check_to_the_end(const History& history, Case c) {
  std::string expected;
  for (const Ordinal ordinal : history.pending(c.cursor, c.topics))
    expected += history.frame(ordinal, c.wire);
  std::string sent;
  for (int calls = 0; c.cursor != history.log().head(); ++calls) {
    ASSERT_LT(calls, 100'000);
    ASSERT_FALSE(::testing::Test::HasFailure());
    c.cursor = check_once(history, c, &sent);
  }
  EXPECT_EQ(sent, expected);
}

/// Every number of bytes that a socket can take of one gather.
void check_splits(const History& history, const Case& c, std::size_t step) {
  std::array<iovec, 64> out;
  const std::vector<TopicNews> news = history.news(c.topics);
  const Gathered got =
      gather(history.log(), c.cursor, news, c.wire, c.limits, std::span(out).first(c.spans_max));
  const std::vector<Ordinal> pending = history.pending(c.cursor, c.topics);
  std::size_t frame = 0;  // the frame that byte `taken` belongs to
  std::size_t start = 0;  // where it starts
  for (std::size_t taken = 0; taken < got.bytes; taken += step) {
    while (taken >= start + history.frame(pending[frame], c.wire).size()) {
      start += history.frame(pending[frame++], c.wire).size();
    }
    const Split at = split(history.log(), c.cursor, news, c.wire, taken);
    if (taken == start) {
      ASSERT_TRUE(at.rest.empty());
      ASSERT_EQ(at.next, frame == 0 ? c.cursor : pending[frame - 1] + 1);
    } else {
      ASSERT_EQ(text_of(at.rest), history.frame(pending[frame], c.wire).substr(taken - start));
      ASSERT_EQ(at.next, pending[frame] + 1);
    }
  }
}

constexpr TopicId topic(std::uint64_t id) {
  return TopicId{static_cast<std::uint32_t>(id)};
}

TEST(Gather, NeighboursBecomeOneSpan) {
  History history({.bytes = 10'000, .events = 100});
  for (int i = 0; i < 3; ++i) history.append(kPublicTopic, 20);
  std::array<iovec, 4> out;
  const auto news = history.news({kPublicTopic});
  const Gathered got = gather(history.log(), 0, news, Wire::chunked, {}, out);
  EXPECT_EQ(got.spans, 1u);
  EXPECT_EQ(got.next, 3u);
  EXPECT_EQ(got.bytes, history.log().position(3));
}

TEST(Gather, PlainWireLeavesTheChunkFramingOut) {
  History history({.bytes = 10'000, .events = 100});
  for (int i = 0; i < 3; ++i) history.append(kPublicTopic, 2);
  std::array<iovec, 4> out;
  const auto news = history.news({kPublicTopic});
  const Gathered got = gather(history.log(), 0, news, Wire::plain, {}, out);
  EXPECT_EQ(got.spans, 3u);
  EXPECT_EQ(text_of(std::span(out).first(3)), "data: aa\n\ndata: bb\n\ndata: cc\n\n");
}

TEST(Gather, ForeignTopicsAreSkippedAndTheCursorMovesToTheHead) {
  History history({.bytes = 10'000, .events = 100});
  history.append(topic(1), 5);
  history.append(topic(2), 5);
  history.append(topic(1), 5);
  history.append(topic(3), 5);
  std::array<iovec, 4> out;
  const auto news = history.news({kPublicTopic, topic(1)});
  const Gathered got = gather(history.log(), 0, news, Wire::chunked, {}, out);
  EXPECT_EQ(got.spans, 2u);
  EXPECT_EQ(got.next, 4u);
}

TEST(Gather, NothingPendingMovesTheCursorToTheHead) {
  History history({.bytes = 100'000, .events = 1000});
  std::array<iovec, 4> out;
  EXPECT_EQ(gather(history.log(), 0, history.news({kPublicTopic}), Wire::chunked, {}, out).next,
            0u);
  for (int i = 0; i < 500; ++i) history.append(topic(9), 5);
  const auto news = history.news({kPublicTopic, topic(4)});
  const Gathered got = gather(history.log(), 0, news, Wire::chunked, {.scan = 1}, out);
  EXPECT_EQ(got.spans, 0u);
  EXPECT_EQ(got.next, 500u);
}

TEST(Gather, FrameLargerThanTheLimitIsStillTaken) {
  History history({.bytes = 10'000, .events = 100});
  history.append(kPublicTopic, 5000);
  history.append(kPublicTopic, 5);
  check_to_the_end(history, {0, {kPublicTopic}, Wire::chunked, {.bytes = 1}, 4});
}

TEST(Gather, FarBehindWithLittleNewsNeedsNoScan) {
  History history({.bytes = 1 << 20, .events = 10'000});
  for (std::uint64_t i = 0; i < 9000; ++i) history.append(topic(i % 3000 == 7 ? 1 : 2), 5);
  std::array<iovec, 8> out;
  const auto news = history.news({kPublicTopic, topic(1)});
  const Gathered got = gather(history.log(), 0, news, Wire::chunked, {.scan = 64}, out);
  EXPECT_EQ(got.spans, 3u);
  EXPECT_EQ(got.next, history.log().head());
}

TEST(Gather, FarBehindWithMuchNewsScansWithinItsBudget) {
  History history({.bytes = 1 << 20, .events = 10'000});
  for (std::uint64_t i = 0; i < 9000; ++i) history.append(topic(1 + i % 2), 5);
  std::array<iovec, 64> out;
  const auto news = history.news({kPublicTopic, topic(1)});
  const Gathered got = gather(history.log(), 0, news, Wire::chunked, {.scan = 100}, out);
  EXPECT_EQ(got.spans, 50u);
  EXPECT_EQ(got.next, 100u);
}

TEST(Gather, SpanMayRunAcrossTheEndOfTheRing) {
  History history({.bytes = 4096, .events = 1000});
  for (int i = 0; i < 1000; ++i) {
    history.append(kPublicTopic, static_cast<std::size_t>(50 + i % 37));
    std::array<iovec, 2> out;
    const auto news = history.news({kPublicTopic});
    const Gathered got = gather(history.log(), history.log().tail(), news, Wire::chunked, {}, out);
    ASSERT_EQ(got.spans, 1u);
    ASSERT_EQ(got.bytes, history.log().position(history.log().head()) -
                             history.log().position(history.log().tail()));
  }
}

TEST(Gather, EveryCursorOfASmallHistoryAgreesWithTheModel) {
  std::mt19937 random(21);
  for (int round = 0; round < 60; ++round) {
    History history({.bytes = 400 + random() % 3000, .events = 1 + random() % 60});
    const std::uint64_t topics = 1 + random() % 6;
    for (int i = static_cast<int>(random() % 300); i > 0; --i) {
      history.append(topic(random() % topics), random() % 60);
    }
    for (const std::vector<TopicId>& chosen :
         std::vector<std::vector<TopicId>>{{kPublicTopic},
                                           {kPublicTopic, topic(1)},
                                           {kPublicTopic, topic(2), topic(3), topic(5)},
                                           {topic(4)}}) {
      for (const Wire wire : {Wire::chunked, Wire::plain}) {
        for (Ordinal cursor = history.log().tail(); cursor <= history.log().head(); ++cursor) {
          for (const GatherLimits limits :
               {GatherLimits{},
                GatherLimits{.bytes = 1 + random() % 200, .scan = 1 + random() % 20}}) {
            const Case c{cursor, chosen, wire, limits, 1 + random() % 64};
            check_to_the_end(history, c);
            check_splits(history, c, 1);
            ASSERT_FALSE(HasFailure());
          }
        }
      }
    }
  }
}

TEST(Gather, LongHistoriesOfUnevenTopicsAgreeWithTheModel) {
  std::mt19937 random(22);
  for (int round = 0; round < 30; ++round) {
    History history({.bytes = 60'000 + random() % 100'000, .events = 500 + random() % 4000});
    // Topic k is about half as frequent as topic k-1, so that streams with every density occur.
    const auto any_topic = [&] {
      std::uint64_t id = 0;
      while (id < 80 && random() % (id < 8 ? 2 : 20) != 0) ++id;
      return topic(id);
    };
    for (int i = 0; i < 6000; ++i) history.append(any_topic(), random() % 30);
    for (int i = 0; i < 40; ++i) {
      std::vector<TopicId> chosen;
      for (std::uint64_t id = random() % 12; id < 90 && chosen.size() < 66;
           id += 1 + random() % (1 + random() % 12)) {
        chosen.push_back(topic(id));
      }
      const Ordinal kept = history.log().head() - history.log().tail();
      const Case c{history.log().tail() + random() % (kept + 1), chosen,
                   i % 2 == 0 ? Wire::chunked : Wire::plain,
                   i % 3 == 0
                       ? GatherLimits{}
                       : GatherLimits{.bytes = 100 + random() % 5000, .scan = 50 + random() % 500},
                   1 + random() % 64};
      check_to_the_end(history, c);
      check_splits(history, c, 1 + random() % 7);
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST(Gather, WithoutLimitsOneCallTakesAll) {
  History history({.bytes = 1 << 20, .events = 4000});
  for (std::uint64_t i = 0; i < 4000; ++i) history.append(topic(i % 100 < 50 ? 1 : 2), 5);
  std::array<iovec, 64> out;
  const auto news = history.news({kPublicTopic, topic(1), topic(2)});
  const Gathered got =
      gather(history.log(), 0, news, Wire::chunked, {.bytes = kNoLimit, .scan = kNoLimit}, out);
  EXPECT_EQ(got.spans, 1u);
  EXPECT_EQ(got.next, 4000u);
}

}  // namespace
}  // namespace ringcast::sse
