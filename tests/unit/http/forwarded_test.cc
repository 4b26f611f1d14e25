#include "ringcast/http/forwarded.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

std::vector<IpNetwork> networks(std::initializer_list<const char*> texts) {
  std::vector<IpNetwork> result;
  for (const char* text : texts) result.push_back(parse_ip_network(text).value());
  return result;
}

std::string client(std::string_view peer, std::string_view forwarded_for,
                   const std::vector<IpNetwork>& trusted) {
  return to_string(client_address(parse_ip_address(peer).value(), forwarded_for, trusted));
}

TEST(ClientAddress, IsThePeerUnlessThatIsATrustedProxy) {
  EXPECT_EQ(client("203.0.113.9", "192.0.2.7", {}), "203.0.113.9");
  EXPECT_EQ(client("203.0.113.9", "192.0.2.7", networks({"10.0.0.0/8"})), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", "", networks({"10.0.0.0/8"})), "10.0.0.1");
}

TEST(ClientAddress, IsTheLastOneThatNoTrustedProxyHas) {
  const auto trusted = networks({"10.0.0.0/8", "2001:db8::/32"});
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.7", "192.0.2.7"},
      {"192.0.2.66, 192.0.2.7", "192.0.2.7"},
      {"192.0.2.66,192.0.2.7", "192.0.2.7"},
      {"192.0.2.66 \t,\t 192.0.2.7 ", "192.0.2.7"},
      {"192.0.2.7, 10.0.0.9", "192.0.2.7"},
      {"192.0.2.66, 192.0.2.7, 10.0.0.9, 2001:db8::9", "192.0.2.7"},
      {"10.1.1.1, 192.0.2.7, 10.0.0.9", "192.0.2.7"},
      {"2001:db9::7, 10.0.0.9", "2001:db9::7"},
      {"::ffff:192.0.2.7", "192.0.2.7"},
      {"192.0.2.7, ::ffff:10.0.0.9", "192.0.2.7"},
  };
  for (const auto& [forwarded, expected] : cases) {
    EXPECT_EQ(client("10.0.0.1", forwarded, trusted), expected) << forwarded;
    EXPECT_EQ(client("2001:db8::1", forwarded, trusted), expected) << forwarded;
  }
}

TEST(ClientAddress, IsTheFarthestProxyWhenAllAreTrusted) {
  const auto trusted = networks({"10.0.0.0/8"});
  EXPECT_EQ(client("10.0.0.1", "10.0.0.3, 10.0.0.2", trusted), "10.0.0.3");
}

TEST(ClientAddress, IsTheProxyThatPassedOnWhatIsNoAddress) {
  const auto trusted = networks({"10.0.0.0/8", "::/0"});
  for (const char* part : {"unknown", "_hidden", "192.0.2.7:4711", "[2001:db8::7]", "\"192.0.2.7\"",
                           "192.0.2", "localhost", "", " ", "::", "192.0.2.7 192.0.2.8", "*"}) {
    const std::string forwarded = "192.0.2.66, " + std::string(part) + ", 10.0.0.9";
    EXPECT_EQ(client("10.0.0.1", forwarded, trusted), "10.0.0.9") << part;
    EXPECT_EQ(client("10.0.0.1", "192.0.2.66," + std::string(part), trusted), "10.0.0.1") << part;
  }
  EXPECT_EQ(client("10.0.0.1", ",", trusted), "10.0.0.1");
}

/// Whatever a client writes in front, what the proxy added behind it decides.
TEST(ClientAddress, CannotBeChosenByTheClient) {
  const auto trusted = networks({"10.0.0.0/8"});
  constexpr std::string_view kPieces[] = {"192.0.2.66", "10.0.0.9", ",", ", ", " ", "::1",
                                          "unknown",    "\t",       ",", "::", "0"};
  std::mt19937 random(6454);
  for (int round = 0; round < 20'000; ++round) {
    std::string forged;
    for (std::size_t i = random() % 8; i > 0; --i) forged += kPieces[random() % std::size(kPieces)];
    ASSERT_EQ(client("10.0.0.1", forged + ", 203.0.113.9", trusted), "203.0.113.9") << forged;
    ASSERT_EQ(client("10.0.0.1", forged + ", 203.0.113.9, 10.0.0.2", trusted), "203.0.113.9")
        << forged;
    ASSERT_EQ(client("203.0.113.9", forged, trusted), "203.0.113.9") << forged;
  }
}

TEST(IsTrusted, IsNeverTheUnknownAddress) {
  const auto everybody = networks({"::/0"});
  EXPECT_TRUE(is_trusted(parse_ip_address("192.0.2.7").value(), everybody));
  EXPECT_FALSE(is_trusted(IpAddress{}, everybody));
  EXPECT_FALSE(is_trusted(parse_ip_address("192.0.2.7").value(), {}));
}

}  // namespace
}  // namespace ringcast::http
