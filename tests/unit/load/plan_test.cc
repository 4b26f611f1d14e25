#include "load/plan.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/source_addresses.h"
#include "load/url.h"

namespace ringcast::load {
namespace {

TEST(Plan, StalledStreamsAreAsManyAsAskedAndSpread) {
  Plan plan;
  plan.streams = 1'000;
  for (const std::uint32_t stalled : {0U, 1U, 7U, 500U, 1'000U}) {
    plan.stalled = stalled;
    std::uint32_t all = 0;
    std::uint32_t first_half = 0;
    for (std::uint32_t stream = 0; stream < plan.streams; ++stream) {
      if (!plan.is_stalled(stream)) continue;
      ++all;
      if (stream < plan.streams / 2) ++first_half;
    }
    EXPECT_EQ(all, stalled);
    EXPECT_NEAR(first_half, stalled / 2.0, 1.0);
  }
}

TEST(Plan, SlowStreamsAreOthersThanTheStalledOnes) {
  Plan plan;
  plan.streams = 1'000;
  plan.stalled = 37;
  plan.slow = 120;
  std::uint32_t stalled = 0;
  std::uint32_t slow = 0;
  std::uint32_t slow_in_first_half = 0;
  for (std::uint32_t stream = 0; stream < plan.streams; ++stream) {
    EXPECT_EQ(plan.is_late(stream), plan.is_stalled(stream) || plan.is_slow(stream));
    EXPECT_FALSE(plan.is_stalled(stream) && plan.is_slow(stream));
    if (plan.is_stalled(stream)) ++stalled;
    if (!plan.is_slow(stream)) continue;
    ++slow;
    if (stream < plan.streams / 2) ++slow_in_first_half;
  }
  EXPECT_EQ(stalled, 37U);
  EXPECT_EQ(slow, 120U);
  EXPECT_NEAR(slow_in_first_half, 60, 1);
}

TEST(Plan, SharesOfTheTopicsCountTheSequenceNumbers) {
  Plan plan;
  for (const std::uint32_t topics : {0U, 1U, 3U, 10U}) {
    plan.topics = topics;
    for (std::uint32_t published = 0; published < 25; ++published) {
      for (std::uint32_t topic = 0; topic < plan.topic_count(); ++topic) {
        std::uint32_t counted = 0;
        for (std::uint32_t n = 0; n < published; ++n)
          counted += n % plan.topic_count() == topic ? 1 : 0;
        EXPECT_EQ(plan.share_of(topic, published), counted);
      }
    }
  }
}

TEST(Plan, EventsGoRoundTheLanes) {
  Plan plan;
  for (plan.publishers = 1; plan.publishers <= 5; ++plan.publishers) {
    for (std::uint64_t count = 0; count < 12; ++count) {
      for (std::uint32_t lane = 0; lane < plan.publishers; ++lane) {
        std::uint64_t counted = 0;
        for (std::uint64_t k = 0; k < count; ++k) counted += k % plan.publishers == lane ? 1 : 0;
        EXPECT_EQ(plan.main_traffic().events_of_lane(lane, count), counted);
      }
    }
  }
}

TEST(Plan, StreamsGoRoundTheTokens) {
  Plan plan;
  plan.token_prefix = "Cookie: token=";
  EXPECT_EQ(plan.token_header(3), "");
  plan.tokens = {"a", "b"};
  EXPECT_EQ(plan.token_header(2), "Cookie: token=a\r\n");
  EXPECT_EQ(plan.token_header(3), "Cookie: token=b\r\n");
}

TEST(Plan, StreamsOfEachTopicGoRoundTheServers) {
  Plan plan;
  plan.events = {parse_url("http://127.0.0.1:1/").value(),
                 parse_url("http://127.0.0.1:2/").value()};
  for (const std::uint32_t topics : {0U, 1U, 2U, 3U}) {
    plan.topics = topics;
    std::map<std::pair<std::uint32_t, std::string>, int> streams;
    for (std::uint32_t stream = 0; stream < 24; ++stream) {
      ++streams[{plan.topic_of(stream), plan.events_of(stream).host}];
    }
    EXPECT_EQ(streams.size(), 2 * plan.topic_count());
    for (const auto& [place, count] : streams) EXPECT_EQ(count, streams.begin()->second);
  }
}

TEST(Plan, EventsFallIntoThirdsOfTheirLane) {
  Plan plan;
  plan.publishers = 2;
  plan.publications = 18;
  for (std::uint32_t lane = 0; lane < 2; ++lane) {
    for (std::uint32_t n = 0; n < 9; ++n) EXPECT_EQ(plan.third_of(lane, n), n / 3);
  }
}

TEST(Url, OfRedisIsHostAndPort) {
  const auto url = parse_redis_url("redis://127.0.0.1:7000");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url.value().host, "127.0.0.1:7000");
  const auto* address = reinterpret_cast<const sockaddr_in*>(&url.value().address);
  EXPECT_EQ(ntohs(address->sin_port), 7000);
  const auto bare = parse_redis_url("redis://127.0.0.1");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(&bare.value().address)->sin_port), 6379);
  EXPECT_FALSE(parse_redis_url("http://127.0.0.1").ok());
  EXPECT_FALSE(parse_redis_url("redis://127.0.0.1/2").ok());
}

TEST(Url, WithAPasswordIsRefusedWithoutRepeatingIt) {
  const auto refused = parse_redis_url("redis://:secret@127.0.0.1");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
}

TEST(Url, IsTakenApart) {
  const auto url = parse_url("http://127.0.0.1:8081/events?a=b#part");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url.value().host, "127.0.0.1:8081");
  EXPECT_EQ(url.value().target, "/events?a=b");
  EXPECT_EQ(url.value().target_with("topic", "x"), "/events?a=b&topic=x");
  EXPECT_TRUE(url.value().is_ipv4_loopback());
  const auto bare = parse_url("http://[::1]");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare.value().target, "/");
  EXPECT_EQ(bare.value().target_with("topic", "x"), "/?topic=x");
  EXPECT_FALSE(bare.value().is_ipv4_loopback());
}

TEST(Url, OthersAreRefused) {
  EXPECT_FALSE(parse_url("ftp://127.0.0.1/").ok());
  EXPECT_FALSE(parse_url("https://").ok());
  EXPECT_FALSE(parse_url("http://").ok());
  EXPECT_FALSE(parse_url("http://127.0.0.1:/").ok());
  EXPECT_FALSE(parse_url("http://127.0.0.1:port/").ok());
}

TEST(SourceAddresses, TellBeforehandWhenPortsCannotSuffice) {
  Plan plan;
  plan.events = {parse_url("http://192.0.2.1/").value()};
  plan.streams = 1'000'000;
  const auto refused = SourceAddresses::plan(plan);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("ports would run out"), std::string::npos);
  plan.streams = 100;
  EXPECT_TRUE(SourceAddresses::plan(plan).ok());
  plan.streams = 1'000'000;
  plan.events = {parse_url("http://127.0.0.1/").value()};
  EXPECT_TRUE(SourceAddresses::plan(plan).ok());
}

/// The address that a socket for this stream is bound to.
std::uint32_t bound_address(const SourceAddresses& sources, std::uint32_t stream, bool again) {
  const auto descriptor = sources.make_socket(stream, again);
  EXPECT_TRUE(descriptor.ok());
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  getsockname(descriptor.value(), reinterpret_cast<sockaddr*>(&address), &bytes);
  close(descriptor.value());
  return ntohl(address.sin_addr.s_addr);
}

TEST(SourceAddresses, OfLoopbackAreOthersAfterAStorm) {
  Plan plan;
  plan.events = {parse_url("http://127.0.0.1/").value()};
  plan.streams = 200'000;
  const auto sources = SourceAddresses::plan(plan);
  ASSERT_TRUE(sources.ok());
  std::set<std::uint32_t> before;
  std::set<std::uint32_t> after;
  for (std::uint32_t stream = 0; stream < plan.streams; stream += 4'000) {
    before.insert(bound_address(sources.value(), stream, false));
    after.insert(bound_address(sources.value(), stream, true));
  }
  EXPECT_EQ(before.size(), after.size());
  EXPECT_GE(before.size(), plan.streams / ephemeral_ports());
  for (const std::uint32_t address : after) EXPECT_FALSE(before.contains(address));
}

}  // namespace
}  // namespace ringcast::load
