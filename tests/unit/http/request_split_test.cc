#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "request_corpus.h"

namespace ringcast::http::test {
namespace {

struct Outcome {
  std::string seen;
  std::size_t taken = 0;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << outcome.seen << " after " << outcome.taken << " bytes";
}

/// Each piece is a buffer of its own that is gone afterwards, so that the parser must not look
/// back.
Outcome feed_in_pieces(RequestParser& parser, std::string_view bytes,
                       const std::vector<std::size_t>& sizes) {
  std::size_t taken = 0;
  std::size_t next = 0;
  while (taken < bytes.size()) {
    const std::string piece(bytes.substr(taken, sizes[next++ % sizes.size()]));
    const std::size_t used = parser.feed(piece);
    taken += used;
    if (used < piece.size()) break;
  }
  return {describe(parser), taken};
}

std::vector<Sample> all_samples() {
  std::vector<Sample> samples = good_samples();
  samples.insert(samples.end(), bad_samples().begin(), bad_samples().end());
  return samples;
}

Outcome in_one_piece(std::string_view bytes) {
  RequestParser parser(kSampleLimits);
  return feed_in_pieces(parser, bytes, {std::max<std::size_t>(bytes.size(), 1)});
}

TEST(RequestSplit, ByteAtATimeGivesTheSameAsOnePiece) {
  for (const Sample& sample : all_samples()) {
    RequestParser parser(kSampleLimits);
    EXPECT_EQ(feed_in_pieces(parser, sample.bytes, {1}), in_one_piece(sample.bytes)) << sample.name;
  }
}

TEST(RequestSplit, EachCutInTwoGivesTheSameAsOnePiece) {
  for (const Sample& sample : all_samples()) {
    const Outcome whole = in_one_piece(sample.bytes);
    for (std::size_t cut = 1; cut < std::min<std::size_t>(sample.bytes.size(), 500); ++cut) {
      RequestParser parser(kSampleLimits);
      ASSERT_EQ(feed_in_pieces(parser, sample.bytes, {cut, sample.bytes.size()}), whole)
          << sample.name << " cut at " << cut;
    }
  }
}

TEST(RequestSplit, RandomCutsOnAReusedParserGiveTheSameAsOnePiece) {
  std::mt19937 random(20240229);
  std::uniform_int_distribution<std::size_t> size(1, 40);
  std::uniform_int_distribution<std::size_t> keep(0, 2);
  RequestParser parser(kSampleLimits);
  const std::vector<Sample> samples = all_samples();
  for (int round = 0; round < 30; ++round) {
    for (const Sample& sample : samples) {
      std::vector<std::size_t> sizes(7);
      std::generate(sizes.begin(), sizes.end(), [&] { return size(random); });
      parser.reset(keep(random) * 512);
      ASSERT_EQ(feed_in_pieces(parser, sample.bytes, sizes), in_one_piece(sample.bytes))
          << sample.name;
    }
  }
}

/// Broken samples reach the refusals that nobody thought of.
TEST(RequestSplit, MutatedRequestsGiveTheSameHoweverCut) {
  constexpr std::string_view kSpice("\r\n\0 \t:;,0aZ\"\x16\x7f\xff", 15);
  std::mt19937 random(19991231);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  const std::vector<Sample> samples = all_samples();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = samples[below(samples.size())].bytes;
    for (std::size_t changes = 1 + below(3); changes > 0 && !bytes.empty(); --changes) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes[at] = kSpice[below(kSpice.size())];
          break;
        case 1:
          bytes.insert(at, 1, kSpice[below(kSpice.size())]);
          break;
        case 2:
          bytes.erase(at, 1 + below(4));
          break;
        default:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(30)));
      }
    }
    RequestParser parser(kSampleLimits);
    ASSERT_EQ(feed_in_pieces(parser, bytes, {1 + below(3), 1 + below(60)}), in_one_piece(bytes))
        << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace ringcast::http::test
