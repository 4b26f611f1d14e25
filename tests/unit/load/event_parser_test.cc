#include "load/event_parser.h"

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

using Phase = ParserState::Phase;

struct Seen {
  std::string type, id, data;
  bool has_data = false;
  bool operator==(const Seen&) const = default;
};

/// A stream and what it said so far.
struct Client {
  explicit Client(PartialPool& shared) : parser(shared) {}

  void feed(std::string_view bytes) {
    parser.feed(state, bytes, [this](const Event& event) {
      seen.push_back({std::string{event.type}, std::string{event.id}, std::string{event.data},
                      event.has_data});
    });
  }

  EventParser parser;
  ParserState state;
  std::vector<Seen> seen;
};

constexpr std::string_view kPlainHead =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
constexpr std::string_view kChunkedHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTRANSFER-ENCODING: chunked\r\n\r\n";

std::string chunk(std::string_view bytes) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string{bytes} + "\r\n";
}

std::vector<Seen> read_whole(const std::string& bytes) {
  PartialPool pool;
  Client client{pool};
  client.feed(bytes);
  return client.seen;
}

TEST(EventParser, ReadsFieldsAsTheStandardSays) {
  const std::string body =
      ": comment\nretry: 3000\nid: 5-0\nevent: heartbeat\ndata:\n\n"
      "data:  two blanks\ndata: second line\n\n"
      "id\ndata\n\n"
      "event: nothing\n\n"
      "unknown: field\ndata:x:y\n\n"
      "id: 7\n\n";
  const std::vector<Seen> expected{{"heartbeat", "5-0", "", true},
                                   {"", "", " two blanks", true},
                                   {"", "", "", true},
                                   {"", "", "x:y", true},
                                   {"", "7", "", false}};
  EXPECT_EQ(read_whole(std::string{kPlainHead} + body), expected);
}

TEST(EventParser, EveryLineEndIsALineEnd) {
  const std::vector<Seen> expected{{"", "1", "a", true}, {"", "2", "b", true}};
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    std::string body;
    for (const char* line : {"id: 1", "data: a", "", "id: 2", "data: b", ""}) body += line + end;
    EXPECT_EQ(read_whole(std::string{kPlainHead} + body), expected);
  }
}

/// Frames of every shape, with the events they stand for.
struct Script {
  std::string bytes;
  std::vector<Seen> expected;
};

Script make_script(std::mt19937& random, bool chunked) {
  Script script{std::string{chunked ? kChunkedHead : kPlainHead}, {}};
  const std::string ends[] = {"\n", "\r", "\r\n"};
  std::string body;
  const auto flush = [&] {
    if (body.empty()) return;
    script.bytes += chunked ? chunk(body) : body;
    body.clear();
  };
  for (int i = 0; i < 12; ++i) {
    const std::string& end = ends[random() % 3];
    Seen event{.has_data = true};
    if (random() % 4 == 0) body += ":" + std::string(random() % 700, 'c') + end;
    if (random() % 2 == 0) body += "id: " + (event.id = std::to_string(random())) + end;
    if (random() % 3 == 0) body += "event: " + (event.type = "type" + std::to_string(i)) + end;
    event.data = std::string(random() % 90, static_cast<char>('a' + i));
    body += "data: " + event.data + end;
    if (random() % 3 == 0) body += "data: more" + end;
    if (chunked && random() % 4 == 0) flush();  // a chunk may end anywhere
    body += end;
    if (random() % 2 == 0) flush();
    script.expected.push_back(event);
  }
  flush();
  if (chunked) script.bytes += "0\r\n\r\n";
  return script;
}

TEST(EventParser, ReadsTheSameHoweverTheBytesAreSplit) {
  std::mt19937 random{3};
  PartialPool pool;
  for (int round = 0; round < 2'000; ++round) {
    const Script script = make_script(random, round % 2 == 0);
    Client client{pool};
    const std::size_t longest = 1 + random() % (round % 3 == 0 ? 4 : 200);
    for (std::size_t at = 0; at < script.bytes.size();) {
      const std::size_t bytes = std::min(1 + random() % longest, script.bytes.size() - at);
      // A copy of its own, so that a view kept beyond the call is an error that sanitizers see.
      const std::string piece = script.bytes.substr(at, bytes);
      client.feed(piece);
      at += bytes;
    }
    ASSERT_EQ(client.seen, script.expected) << "round " << round;
    EXPECT_EQ(client.state.phase, round % 2 == 0 ? Phase::ended : Phase::until_close);
    EXPECT_EQ(pool.in_use(), 0U);
  }
}

TEST(EventParser, StreamsThatShareAPoolDoNotMix) {
  PartialPool pool;
  Client one{pool};
  Client two{pool};
  const std::string first = std::string{kPlainHead} + "id: 1\ndata: one\n\n";
  const std::string second = std::string{kPlainHead} + "id: 2\ndata: two\n\n";
  for (std::size_t at = 0; at < first.size(); ++at) {
    one.feed(std::string_view{first}.substr(at, 1));
    two.feed(std::string_view{second}.substr(at, 1));
  }
  EXPECT_EQ(one.seen, (std::vector<Seen>{{"", "1", "one", true}}));
  EXPECT_EQ(two.seen, (std::vector<Seen>{{"", "2", "two", true}}));
}

TEST(EventParser, ALongLineCostsNoMemory) {
  PartialPool pool;
  Client client{pool};
  client.feed(kPlainHead);
  client.feed("data: begin");
  for (int i = 0; i < 1'000; ++i) client.feed(std::string(1'000, 'x'));
  EXPECT_LE(pool.at(client.state.partial).line.capacity(), 2 * kKeptBytes);
  client.feed("\n\n");
  ASSERT_EQ(client.seen.size(), 1U);
  EXPECT_EQ(client.seen[0].data.substr(0, kKeptBytes - 6),
            "begin" + std::string(kKeptBytes - 11, 'x'));
}

TEST(EventParser, AWholeFrameTakesNothingFromThePool) {
  PartialPool pool;
  Client client{pool};
  client.feed(kChunkedHead);
  client.feed(chunk("id: 1\ndata: x\n\n"));
  EXPECT_EQ(client.seen.size(), 1U);
  EXPECT_EQ(client.state.partial, ParserState::kNone);
}

TEST(EventParser, OtherStatusIsRefused) {
  PartialPool pool;
  Client client{pool};
  client.feed("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nid: 1\ndata: x\n\n");
  EXPECT_EQ(client.state.phase, Phase::refused);
  EXPECT_EQ(client.state.status, 503);
  EXPECT_TRUE(client.seen.empty());
}

TEST(EventParser, WhatIsAgainstTheRulesIsMalformed) {
  for (const std::string& bytes :
       {std::string{"SSH-2.0-OpenSSH\r\n\r\n"},
        std::string{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"},
        std::string{kChunkedHead} + "xyz\r\n", std::string{kChunkedHead} + "\r\n",
        std::string{kChunkedHead} + "123456789\r\n", std::string{kChunkedHead} + "1\r\n\nX",
        std::string(kHeadBytesMax + 1, 'h')}) {
    PartialPool pool;
    Client client{pool};
    client.feed(bytes);
    EXPECT_EQ(client.state.phase, Phase::malformed) << bytes;
  }
}

TEST(EventParser, ResetBeginsWithAHeadAgain) {
  PartialPool pool;
  Client client{pool};
  client.feed(kChunkedHead);
  client.feed("100\r\ndata: ha");
  client.parser.reset(client.state);
  EXPECT_EQ(pool.in_use(), 0U);
  client.feed(std::string{kPlainHead} + "data: new\n\n");
  EXPECT_EQ(client.seen, (std::vector<Seen>{{"", "", "new", true}}));
}

}  // namespace
}  // namespace ringcast::load
