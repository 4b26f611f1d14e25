// Whole runs against servers that speak the standard's event stream in other words than ours.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "loopback_server.h"
#include "small_run.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kStreams = 4;
constexpr std::uint64_t kEvents = 6;

/// How a server of another kind speaks.
struct Dialect {
  std::string stream_head;
  /// The bytes of an event, framing included.
  std::function<std::string(std::size_t number, const std::string& data)> frame;
  std::string answer;  ///< to what is published
};

std::string chunk(const std::string& text) {
  char size[16];
  snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}

class OtherServer : public LoopbackServer {
 public:
  explicit OtherServer(Dialect dialect) : dialect_(std::move(dialect)) { begin(); }
  ~OtherServer() override { end(); }
  OtherServer(const OtherServer&) = delete;
  OtherServer& operator=(const OtherServer&) = delete;

  /// Valid while nothing is connected: what streams went on from, in the order of their coming, and
  /// what was published.
  std::vector<std::string> ids;
  std::vector<std::pair<std::string, std::string>> published;  ///< head and body

 private:
  /// The second word of the request.
  static std::string path(const std::string& head) {
    const std::size_t at = head.find(' ') + 1;
    return head.substr(at, head.find(' ', at) - at);
  }

  void on_stream(int connection, const std::string& request) override {
    ids.push_back(header(request, "Last-Event-ID"));
    if (ids.size() == kStreams + 1) streams_.clear();
    streams_[path(request)].push_back(connection);
    write(connection, dialect_.stream_head);
  }
  void on_event(const std::string&, const std::string&, const std::string&) override {}
  void on_publish(int connection, const std::string& head, const std::string& body) override {
    const std::size_t at = body.find('@');
    const std::string data = body.substr(at, body.find_last_of('x') + 1 - at);
    for (const int stream : streams_[path(head)]) {
      write(stream, dialect_.frame(published.size(), data));
    }
    published.emplace_back(head, body);
    write(connection, dialect_.answer);
  }

  Dialect dialect_;
  std::map<std::string, std::vector<int>> streams_;  ///< by path
};

Plan plan_for(const OtherServer& server) {
  Plan plan = small_plan(server.base(), kStreams);
  plan.events = {parse_url(server.base() + "/channel/{topic}").value()};
  plan.publish = plan.events.front();
  plan.publish_body = BodyTemplate::parse("{data}").value();
  plan.threads = 1;
  plan.streams_per_ring = 16;
  plan.connecting_max = 16;
  plan.publications = kEvents;
  return plan;
}

TEST(AnyServer, Http10UntilCloseWithLineEndsOfTwoBytesCommentsAndNoIds) {
  OtherServer server{
      {.stream_head = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream;charset=UTF-8\r\n\r\n",
       .frame =
           [](std::size_t, const std::string& data) {
             return ": ping\r\n\r\nevent:message\r\ndata:" + data + "\r\n\r\n";
           },
       .answer = "HTTP/1.0 201 Created\r\nContent-Length: 3\r\n\r\nyes"}};
  const Report report = run_quickly(plan_for(server));
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, kStreams * kEvents);
  EXPECT_EQ(report.other_events, 0U);
}

TEST(AnyServer, IdsOfAnyBytesAreGivenBackAsTheyCame) {
  const std::string id = "1763685407:[0],\xc3\xa4=\x01;" + std::string(200, '/');
  OtherServer server{{.stream_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                     "Transfer-Encoding: chunked\r\n\r\n",
                      .frame =
                          [&id](std::size_t number, const std::string& data) {
                            return chunk("data: \"" + data + "\"\nid:" + id +
                                         std::to_string(number) + "\n\n");
                          },
                      .answer = "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                chunk("ok") + "0\r\n\r\n"}};
  Plan plan = plan_for(server);
  plan.storm_at = 3;
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, kStreams * kEvents);
  ASSERT_EQ(server.ids.size(), 2 * kStreams);
  EXPECT_TRUE(std::all_of(server.ids.begin() + kStreams, server.ids.end(),
                          [&id](const std::string& each) { return each == id + "2"; }));
}

TEST(AnyServer, AnIdThatCannotBeKeptWholeFailsARunThatNeedsIt) {
  for (const bool needs_it : {true, false}) {
    OtherServer server{{.stream_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                        .frame =
                            [](std::size_t, const std::string& data) {
                              return "id: " + std::string(256, 'i') + "\ndata: " + data + "\n\n";
                            },
                        .answer = "HTTP/1.1 204 No Content\r\n\r\n"}};
    Plan plan = plan_for(server);
    plan.reconnect = needs_it;
    EXPECT_EQ(run_quickly(plan).good(), !needs_it);
  }
}

TEST(AnyServer, GetsWhatTheTemplateSaysWhereTheTopicIs) {
  OtherServer server{
      {.stream_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
       .frame = [](std::size_t, const std::string& data) { return "data:" + data + "\n\n"; },
       .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
  Plan plan = plan_for(server);
  plan.topics = 2;
  plan.publish_body = BodyTemplate::parse(R"({"text":"{json_data}","room":"{topic}"})").value();
  plan.publish_type = "application/vnd.other+json";
  plan.publish_method = "PUT";
  const Report report = run_quickly(plan);
  EXPECT_TRUE(report.good()) << report.text();
  EXPECT_EQ(report.deliveries, kStreams / 2 * kEvents);
  ASSERT_EQ(server.published.size(), kEvents);
  for (std::size_t i = 0; i < kEvents; ++i) {
    const std::string topic = "load-" + std::to_string(i % 2);
    const auto& [head, body] = server.published[i];
    EXPECT_TRUE(head.starts_with("PUT /channel/" + topic + " HTTP/1.1\r\n")) << head;
    EXPECT_NE(head.find("\r\nContent-Type: application/vnd.other+json\r\n"), std::string::npos);
    EXPECT_TRUE(body.starts_with(R"({"text":"@)")) << body;
    EXPECT_TRUE(body.ends_with("\",\"room\":\"" + topic + "\"}")) << body;
  }
}

}  // namespace
}  // namespace ringcast::load
