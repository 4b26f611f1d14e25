#include "ringcast/sse/frame.h"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sse_client.h"

namespace ringcast::sse {
namespace {

using test::ReceivedEvent;
using test::SseClient;

constexpr EventId kId{1526919030474, 55};

struct Encoded {
  std::string frame;
  FrameSize size;

  [[nodiscard]] std::string plain() const {
    const auto part = on_wire(std::as_bytes(std::span(frame)), size.chunk_head_bytes, Wire::plain);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
};

// Checks the size on the way: nothing may be written beyond it.
Encoded encode(std::optional<EventId> id, const EventFields& fields) {
  constexpr std::size_t kGuard = 32;
  const FrameSize measured = frame_size(id, fields);
  std::string out(measured.bytes + kGuard, '\x7e');
  const FrameSize written = encode_frame(id, fields, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(written.bytes, measured.bytes);
  EXPECT_EQ(written.chunk_head_bytes, measured.chunk_head_bytes);
  EXPECT_EQ(out.substr(measured.bytes), std::string(kGuard, '\x7e'));
  out.resize(measured.bytes);
  return {out, written};
}

std::string plain(std::optional<EventId> id, const EventFields& fields) {
  return encode(id, fields).plain();
}

std::string data_seen(std::string_view data) {
  const SseClient client(plain(kId, {.data = data}));
  EXPECT_EQ(client.events().size(), 1u);
  return client.events().size() == 1 ? client.events().front().data : "(no event)";
}

TEST(Frame, EveryFieldHasItsLine) {
  EXPECT_EQ(plain(kId, {.event = "install", .data = "hello", .retry_ms = 5000}),
            "id: 1526919030474-55\nevent: install\nretry: 5000\ndata: hello\n\n");
}

TEST(Frame, AbsentFieldsHaveNone) {
  EXPECT_EQ(plain(std::nullopt, {.data = "x"}), "data: x\n\n");
  EXPECT_EQ(plain(std::nullopt, {.event = "message", .data = "x"}), "data: x\n\n");
  EXPECT_EQ(plain(std::nullopt, {.event = "messages", .data = "x"}),
            "event: messages\ndata: x\n\n");
}

TEST(Frame, ChunkedFormIsOneChunk) {
  EXPECT_EQ(encode(std::nullopt, {.data = "x"}).frame, "9\r\ndata: x\n\n\r\n");
  EXPECT_EQ(encode(std::nullopt, {.data = "0123456789"}).frame, "12\r\ndata: 0123456789\n\n\r\n");
}

TEST(Frame, ChunkSizeIsMinimalAroundEveryDigit) {
  constexpr std::size_t kAround = 8;  // "data: " and the two line ends
  for (const std::size_t content :
       {15u, 16u, 17u, 255u, 256u, 257u, 4095u, 4096u, 65535u, 65536u, 1048575u, 1048576u}) {
    const std::string data(content - kAround, 'x');
    const Encoded encoded = encode(std::nullopt, {.data = data});
    const auto inside = test::dechunk(encoded.frame, encoded.size.chunk_head_bytes);
    ASSERT_TRUE(inside.has_value()) << content;
    EXPECT_EQ(inside->size(), content);
    EXPECT_EQ(*inside, encoded.plain());
    EXPECT_LE(encoded.size.chunk_head_bytes, kChunkHeadMax);
  }
}

TEST(Frame, EmptyDataIsOneEmptyLineAndIsDelivered) {
  EXPECT_EQ(data_seen(""), "");
  EXPECT_EQ(data_seen(std::string_view()), "");
  const SseClient client(plain(kId, {.event = "heartbeat"}));
  EXPECT_EQ(client.events(), (std::vector<ReceivedEvent>{{"heartbeat", "", to_string(kId)}}));
}

TEST(Frame, EachKindOfLineEndArrivesAsLf) {
  EXPECT_EQ(data_seen("a\nb"), "a\nb");
  EXPECT_EQ(data_seen("a\rb"), "a\nb");
  EXPECT_EQ(data_seen("a\r\nb"), "a\nb");
  EXPECT_EQ(data_seen("a\n\rb"), "a\n\nb");
  EXPECT_EQ(data_seen("a\r\r\n\n\rb"), "a\n\n\n\nb");
}

TEST(Frame, LineEndsAtTheEdgesAreKept) {
  EXPECT_EQ(data_seen("\n"), "\n");
  EXPECT_EQ(data_seen("\r"), "\n");
  EXPECT_EQ(data_seen("\r\n"), "\n");
  EXPECT_EQ(data_seen("a\n"), "a\n");
  EXPECT_EQ(data_seen("\na"), "\na");
  EXPECT_EQ(data_seen("\n\n\n"), "\n\n\n");
}

TEST(Frame, LeadingSpacesAndColonsAreKept) {
  EXPECT_EQ(data_seen("  indented"), "  indented");
  EXPECT_EQ(data_seen(" a\n  b\n\tc\n :d"), " a\n  b\n\tc\n :d");
  EXPECT_EQ(data_seen(":not a comment"), ":not a comment");
}

TEST(Frame, UnusualCharactersPassUnchanged) {
  using namespace std::string_view_literals;
  for (const std::string_view data :
       {"\xef\xbb\xbf"
        "after a byte order mark"sv,
        "a\xe2\x80\xa8"
        "b\xe2\x80\xa9"
        "c"sv,
        "a\0b"sv, "\0"sv, "\xc2\x85"sv, "\xf0\x9f\x98\x80"sv, "\x0b\x0c\x1c\x7f"sv}) {
    EXPECT_EQ(data_seen(data), data);
  }
}

TEST(Frame, DataCannotInjectAField) {
  const SseClient client(
      plain(kId, {.event = "note", .data = "x\r\revent: admin\r\nid: 9-9\n\nretry: 1\ndata: y"}));
  ASSERT_EQ(client.events().size(), 1u);
  EXPECT_EQ(
      client.events().front(),
      (ReceivedEvent{"note", "x\n\nevent: admin\nid: 9-9\n\nretry: 1\ndata: y", to_string(kId)}));
  EXPECT_FALSE(client.reconnection_ms().has_value());
}

TEST(Frame, LargestNumbersAreWrittenWhole) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const SseClient client(plain(
      EventId{kMax, kMax}, {.data = "x", .retry_ms = std::numeric_limits<std::uint32_t>::max()}));
  ASSERT_EQ(client.events().size(), 1u);
  EXPECT_EQ(client.events().front().last_event_id, "18446744073709551615-18446744073709551615");
  EXPECT_EQ(client.reconnection_ms(), 4294967295u);
}

// Blocks of the line-end counter end inside pairs of CR and LF at some of these lengths.
TEST(Frame, PairOfCrAndLfIsOneLineEndAtEveryOffset) {
  for (std::size_t offset = 0; offset < 600; ++offset) {
    const std::string data = std::string(offset, 'x') + "\r\n" + "y";
    ASSERT_EQ(data_seen(data), std::string(offset, 'x') + "\ny") << offset;
  }
}

TEST(Frame, DataOfNothingButLineEndsIsCountedExactly) {
  for (const std::string_view unit : {"\n", "\r", "\r\n"}) {
    std::string data;
    for (std::size_t i = 0; i < 1000; ++i) data += unit;
    EXPECT_EQ(data_seen(data), std::string(1000, '\n'));
  }
}

TEST(Frame, ClientSeesExactlyTheNormalisedDataOfAnyBytes) {
  std::mt19937 random(11);
  const std::string special = "\r\n\r\n\n\r: \0data:id";
  const auto byte = [&](int kind) {
    if (kind == 0) return static_cast<char>(random());
    if (kind == 1) return special[random() % special.size()];
    return static_cast<char>('a' + random() % 26);
  };
  for (int round = 0; round < 20'000; ++round) {
    const int mix = static_cast<int>(random() % 4);
    std::string data(random() % (round % 50 == 0 ? 2000 : 40), 'x');
    for (char& c : data) c = byte(mix == 3 ? static_cast<int>(random() % 3) : mix);
    const EventId id{random(), random() % 100};
    const EventFields fields{
        .event = round % 3 == 0 ? "tick" : "",
        .data = data,
        .retry_ms = round % 5 == 0 ? std::optional<std::uint32_t>(random()) : std::nullopt};
    const Encoded encoded = encode(id, fields);
    const auto inside = test::dechunk(encoded.frame, encoded.size.chunk_head_bytes);
    ASSERT_TRUE(inside.has_value());
    ASSERT_EQ(*inside, encoded.plain());
    const SseClient client(*inside);
    ASSERT_TRUE(client.between_events());
    ASSERT_EQ(client.events().size(), 1u);
    ASSERT_EQ(client.events().front(), (ReceivedEvent{round % 3 == 0 ? "tick" : "message",
                                                      test::normalised(data), to_string(id)}));
    ASSERT_EQ(client.reconnection_ms(), fields.retry_ms);
  }
}

TEST(FrameDeathTest, WritingIntoTooLittleRoomIsABug) {
  std::string out(10, ' ');
  EXPECT_DEATH(
      encode_frame(std::nullopt, {.data = "0123456789"}, std::as_writable_bytes(std::span(out))),
      "internal error");
}

}  // namespace
}  // namespace ringcast::sse
