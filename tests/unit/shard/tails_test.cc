#include "tails.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

constexpr std::size_t kChunk = 512;  // what one chunk counts for

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string random_text(std::mt19937& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

/// What one send would get.
std::string front(Tails& tails, Tails::Handle tail, std::size_t spans_max = Tails::kSpansMax) {
  std::array<iovec, 64> spans;
  std::size_t bytes = 0;
  const std::size_t count = tails.front(tail, std::span(spans).first(spans_max), bytes);
  EXPECT_LE(count, std::min(spans_max, Tails::kSpansMax));
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_GT(spans[i].iov_len, 0u) << "an empty span";
    text.append(static_cast<const char*>(spans[i].iov_base), spans[i].iov_len);
  }
  EXPECT_EQ(text.size(), bytes);
  return text;
}

TEST(Tails, BytesComeOutAsTheyWentIn) {
  Tails tails(64 * kChunk, 4);
  const std::string first = "rest of a frame";
  const std::string second(1000, 'x');
  const auto tail = tails.create(as_bytes(first));
  ASSERT_NE(tail, Tails::kNone);
  ASSERT_TRUE(tails.append(tail, as_bytes(second)));
  EXPECT_EQ(front(tails, tail), first + second);
  EXPECT_TRUE(tails.consume(tail, 5));
  EXPECT_EQ(front(tails, tail), (first + second).substr(5));
  EXPECT_FALSE(tails.consume(tail, first.size() + second.size() - 5));
  tails.release(tail);
  EXPECT_EQ(tails.bytes_used(), 0u);
}

TEST(Tails, FrontIsBoundedBySpansAndGoesOnBehindThem) {
  std::mt19937 random(3);
  Tails tails(64 * kChunk, 1);
  const std::string text = random_text(random, 20 * Tails::kChunkBytes + 7);
  const auto tail = tails.create(as_bytes(text));
  EXPECT_EQ(front(tails, tail), text.substr(0, Tails::kSpansMax * Tails::kChunkBytes));
  EXPECT_EQ(front(tails, tail, 2), text.substr(0, 2 * Tails::kChunkBytes));
  ASSERT_TRUE(tails.consume(tail, Tails::kSpansMax * Tails::kChunkBytes));
  EXPECT_EQ(front(tails, tail), text.substr(Tails::kSpansMax * Tails::kChunkBytes));
}

TEST(Tails, ChunksAreGivenBackAsTheyAreConsumed) {
  Tails tails(8 * kChunk, 1);
  const auto tail = tails.create(as_bytes(std::string(3 * Tails::kChunkBytes, 'x')));
  EXPECT_EQ(tails.bytes_used(), 3 * kChunk);
  EXPECT_TRUE(tails.consume(tail, Tails::kChunkBytes - 1));
  EXPECT_EQ(tails.bytes_used(), 3 * kChunk);
  EXPECT_TRUE(tails.consume(tail, 1));
  EXPECT_EQ(tails.bytes_used(), 2 * kChunk);
  EXPECT_FALSE(tails.consume(tail, 2 * Tails::kChunkBytes));
  EXPECT_EQ(tails.bytes_used(), 0u);
  ASSERT_TRUE(tails.append(tail, as_bytes("more"))) << "an empty tail can be written again";
  EXPECT_EQ(front(tails, tail), "more");
}

TEST(Tails, FullToTheLastByteAndNotOneMore) {
  constexpr std::size_t kChunks = 5;
  Tails tails(kChunks * kChunk, 4);
  const std::string all(kChunks * Tails::kChunkBytes, 'x');
  EXPECT_EQ(tails.create(as_bytes(all + "y")), Tails::kNone);
  EXPECT_EQ(tails.bytes_used(), 0u) << "a refused tail leaves nothing behind";

  const auto tail = tails.create(as_bytes(all.substr(1)));
  ASSERT_NE(tail, Tails::kNone);
  EXPECT_FALSE(tails.append(tail, as_bytes("yz")));
  EXPECT_EQ(front(tails, tail), all.substr(1)) << "a refused append changes nothing";
  EXPECT_TRUE(tails.append(tail, as_bytes("y"))) << "the last chunk had room for one";
  EXPECT_FALSE(tails.append(tail, as_bytes("z")));
  EXPECT_EQ(tails.create(as_bytes("z")), Tails::kNone);
  EXPECT_EQ(front(tails, tail), all.substr(1) + "y");
  tails.release(tail);
  EXPECT_NE(tails.create(as_bytes(all)), Tails::kNone) << "everything came back";
}

TEST(Tails, SizeThatIsNoWholeChunkIsRoundedDown) {
  Tails tails(2 * kChunk + kChunk - 1, 4);
  EXPECT_EQ(tails.create(as_bytes(std::string(2 * Tails::kChunkBytes + 1, 'x'))), Tails::kNone);
  EXPECT_NE(tails.create(as_bytes(std::string(2 * Tails::kChunkBytes, 'x'))), Tails::kNone);
}

TEST(Tails, NumberOfTailsIsBounded) {
  Tails tails(64 * kChunk, 2);
  const auto first = tails.create(as_bytes("a"));
  ASSERT_NE(tails.create(as_bytes("b")), Tails::kNone);
  EXPECT_EQ(tails.create(as_bytes("c")), Tails::kNone);
  tails.release(first);
  EXPECT_NE(tails.create(as_bytes("c")), Tails::kNone);
}

TEST(Tails, ReleaseOfAnUnsentTailReturnsEveryChunk) {
  Tails tails(16 * kChunk, 2);
  for (int round = 0; round < 100; ++round) {
    const auto tail = tails.create(as_bytes(std::string(16 * Tails::kChunkBytes, 'x')));
    ASSERT_NE(tail, Tails::kNone) << "round " << round;
    (void)tails.consume(tail, static_cast<std::size_t>(round) * 50);
    tails.release(tail);
    ASSERT_EQ(tails.bytes_used(), 0u);
  }
}

TEST(Tails, RandomOperationsMatchStrings) {
  constexpr std::size_t kChunks = 40;
  constexpr std::size_t kTailsMax = 12;
  std::mt19937 random(99);
  Tails tails(kChunks * kChunk, kTailsMax);
  std::map<Tails::Handle, std::string> model;
  int refusals = 0;
  const auto size = [&random]() -> std::size_t {
    switch (random() % 5) {
      case 0:
        return 1 + random() % 4;
      case 1:
        return Tails::kChunkBytes - 1 + random() % 3;
      case 2:
        return 2 * Tails::kChunkBytes;
      default:
        return 1 + random() % 2500;
    }
  };
  for (int step = 0; step < 20'000; ++step) {
    auto at = model.begin();
    if (!model.empty()) std::advance(at, random() % model.size());
    const auto what = model.empty() ? 0 : random() % 10;
    if (what < 2) {
      const std::string text = random_text(random, size());
      const std::size_t chunks = (text.size() + Tails::kChunkBytes - 1) / Tails::kChunkBytes;
      const bool fits =
          model.size() < kTailsMax && tails.bytes_used() + chunks * kChunk <= kChunks * kChunk;
      const auto tail = tails.create(as_bytes(text));
      ASSERT_EQ(tail != Tails::kNone, fits) << "step " << step;
      if (fits) {
        ASSERT_TRUE(model.emplace(tail, text).second) << "handle given out twice";
      }
      refusals += !fits;
    } else if (what < 5) {
      const std::string text = random_text(random, size());
      const std::size_t used_before = tails.bytes_used();
      if (tails.append(at->first, as_bytes(text))) {
        at->second += text;
      } else {
        ++refusals;
        ASSERT_EQ(tails.bytes_used(), used_before);
        // There was really no room: at most what one chunk holds beside the free ones.
        ASSERT_GT(text.size(), (kChunks * kChunk - used_before) / kChunk * Tails::kChunkBytes);
      }
    } else if (what < 9) {
      const std::size_t bytes =
          random() % 3 == 0 ? at->second.size() : random() % (at->second.size() + 1);
      at->second.erase(0, bytes);
      ASSERT_EQ(tails.consume(at->first, bytes), !at->second.empty());
    } else {
      tails.release(at->first);
      model.erase(at);
    }
    for (const auto& [tail, text] : model) {
      const std::string seen = front(tails, tail);
      ASSERT_EQ(seen, text.substr(0, seen.size())) << "step " << step;
      // A first chunk may be consumed in part, so the spans cover that much less.
      ASSERT_GE(seen.size(), std::min(text.size(), (Tails::kSpansMax - 1) * Tails::kChunkBytes));
    }
  }
  EXPECT_GT(refusals, 100) << "the slab was never full: the test shows less than it says";
  while (!model.empty()) {
    tails.release(model.begin()->first);
    model.erase(model.begin());
  }
  EXPECT_EQ(tails.bytes_used(), 0u);
}

}  // namespace
}  // namespace ringcast::shard
