#include "ringcast/base/ip_address.h"

#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace ringcast {
namespace {

using namespace std::string_literals;

IpAddress address(std::string_view text) {
  const auto parsed = parse_ip_address(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed ? parsed.value() : IpAddress{};
}

IpNetwork network(std::string_view text) {
  const auto parsed = parse_ip_network(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << (parsed ? "" : parsed.error().message);
  return parsed ? parsed.value() : IpNetwork{};
}

TEST(IpAddress, IsWrittenAsRfc5952Wants) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.7", "192.0.2.7"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"2001:db8::7", "2001:db8::7"},
      {"2001:0DB8:0000:0000:0000:0000:0000:0007", "2001:db8::7"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"::1", "::1"},
      {"::ffff:192.0.2.7", "192.0.2.7"},
      {"::ffff:c000:207", "192.0.2.7"},
      {"64:ff9b::192.0.2.7", "64:ff9b::c000:207"},
  };
  for (const auto& [text, written] : cases) EXPECT_EQ(to_string(address(text)), written) << text;
}

TEST(IpAddress, RefusesWhatIsNotExactlyOne) {
  const std::string cases[] = {
      "",
      " ",
      "192.0.2",
      "192.0.2.256",
      "192.0.2.07",
      "0xc0.0.2.7",
      "3221225991",
      "192.0.2.7 ",
      " 192.0.2.7",
      "192.0.2.7:80",
      "192.0.2.7/32",
      "192.0.2.7\0"s,
      "::1\0"s + "::1",
      "[2001:db8::7]",
      "fe80::1%eth0",
      "2001:db8::7::1",
      "2001:db8:1:2:3:4:5",
      "2001:db8:1:2:3:4:5:6:7",
      "2001:db8::12345",
      "2001:db8::g",
      "localhost",
      "unknown",
      std::string(1000, '1'),
  };
  for (const std::string& text : cases) {
    const auto parsed = parse_ip_address(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().message,
              "must be an IP address, for example \"192.0.2.7\" or \"2001:db8::7\"");
  }
}

TEST(IpAddress, HasOneValueHoweverItArrived) {
  const IpAddress plain = address("192.0.2.7");
  EXPECT_TRUE(plain.is_v4());
  EXPECT_EQ(address("::ffff:192.0.2.7"), plain);
  EXPECT_FALSE(address("::192.0.2.7").is_v4());
  EXPECT_FALSE(address("2001:db8::7").is_v4());
  EXPECT_FALSE(IpAddress{}.is_v4());

  sockaddr_storage storage{};
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(4711);
  inet_pton(AF_INET, "192.0.2.7", &in.sin_addr);
  std::memcpy(&storage, &in, sizeof in);
  EXPECT_EQ(to_ip_address(storage), plain);

  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(4711);
  in6.sin6_scope_id = 3;
  inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr);
  std::memcpy(&storage, &in6, sizeof in6);
  EXPECT_EQ(to_ip_address(storage), plain);
  inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr);
  std::memcpy(&storage, &in6, sizeof in6);
  EXPECT_EQ(to_ip_address(storage), address("2001:db8::7"));
}

TEST(IpAddress, IsUnknownForOtherFamilies) {
  sockaddr_storage storage{};
  std::memset(&storage, 0x5a, sizeof storage);
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(to_ip_address(storage), IpAddress{});
}

TEST(IpAddress, IsLimitedByIpv4AddressAndByIpv6Network) {
  EXPECT_EQ(address("192.0.2.7").limited(), address("192.0.2.7"));
  EXPECT_NE(address("192.0.2.7").limited(), address("192.0.2.8").limited());
  EXPECT_EQ(address("2001:db8:1:2:3:4:5:6").limited(), address("2001:db8:1:2::"));
  EXPECT_NE(address("2001:db8:1:2::1").limited(), address("2001:db8:1:3::1").limited());
}

TEST(IpAddress, LoopbackIsNotLimitedTogetherWithTheUnknownAddress) {
  EXPECT_EQ(address("::1").limited(), address("::1"));
  EXPECT_EQ(IpAddress{}.limited(), IpAddress{});
}

TEST(IpNetwork, IsWrittenAsItWasRead) {
  for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.128/25", "192.0.2.7",
                           "2001:db8::/32", "::/0", "2001:db8::7", "fe80::/10", "2001:db8::/127"}) {
    EXPECT_EQ(to_string(network(text)), text);
  }
  EXPECT_EQ(to_string(network("10.0.0.1/32")), "10.0.0.1");
  EXPECT_EQ(to_string(network("2001:db8::7/128")), "2001:db8::7");
}

TEST(IpNetwork, KeepsIpv4InTheMappedForm) {
  EXPECT_EQ(network("10.0.0.0/8").prefix, 104);
  EXPECT_EQ(network("10.0.0.0/8"), network("::ffff:10.0.0.0/104"));
  EXPECT_EQ(network("0.0.0.0/0").prefix, 96);
  EXPECT_EQ(network("192.0.2.7").prefix, 128);
}

TEST(IpNetwork, RefusesAPrefixThatIsNone) {
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8 ",
        "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0.0/4294967304", "0.0.0.0/00"}) {
    const auto parsed = parse_ip_network(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().message, "the number behind the slash must be 0 to 32") << text;
  }
  const auto parsed = parse_ip_network("2001:db8::/129");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message, "the number behind the slash must be 0 to 128");
}

TEST(IpNetwork, RefusesBitsBehindThePrefixAndSaysWhatWasMeant) {
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.1/8", "10.0.0.0/8"},
      {"192.0.2.129/25", "192.0.2.128/25"},
      {"0.0.0.1/0", "0.0.0.0/0"},
      {"2001:db8::1/32", "2001:db8::/32"},
      {"2001:db8:8000::/32", "2001:db8::/32"},
      {"::1/0", "::/0"},
  };
  for (const auto& [text, meant] : cases) {
    const auto parsed = parse_ip_network(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().message,
              "bits behind the prefix must be zero: the network would be \""s + meant + "\"");
  }
}

TEST(IpNetwork, RefusesWhatHoldsNoAddress) {
  for (const char* text : {"", "/8", "10.0.0/8", "[2001:db8::]/32", "example.com", "*"}) {
    const auto parsed = parse_ip_network(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().message.find("10.0.0.0/8"), std::string::npos) << text;
  }
}

TEST(IpNetwork, ContainsItsFirstAndLastAddressAndNoNeighbour) {
  struct Case {
    const char *network, *first, *last, *before, *behind;
  };
  const Case cases[] = {
      {"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
      {"192.0.2.128/25", "192.0.2.128", "192.0.2.255", "192.0.2.127", "192.0.3.0"},
      {"192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.6", "192.0.2.8"},
      {"2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
       "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
      {"2001:db8::4/126", "2001:db8::4", "2001:db8::7", "2001:db8::3", "2001:db8::8"},
      {"0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::fffe:ffff:ffff", "::1:0:0:0"},
  };
  for (const Case& c : cases) {
    const IpNetwork block = network(c.network);
    EXPECT_TRUE(block.contains(address(c.first))) << c.network;
    EXPECT_TRUE(block.contains(address(c.last))) << c.network;
    EXPECT_FALSE(block.contains(address(c.before))) << c.network;
    EXPECT_FALSE(block.contains(address(c.behind))) << c.network;
  }
  EXPECT_TRUE(network("::/0").contains(address("192.0.2.7")));
}

/// Bit by bit, the slow way.
TEST(IpNetwork, ContainsWhatAgreesInEachBitOfThePrefix) {
  std::mt19937 random(5952);
  for (int round = 0; round < 20'000; ++round) {
    IpNetwork block;
    block.prefix = static_cast<std::uint8_t>(random() % 129);
    for (std::size_t bit = 0; bit < block.prefix; ++bit) {
      block.address.bytes[bit / 8] = static_cast<std::uint8_t>(block.address.bytes[bit / 8] |
                                                               ((random() & 1U) << (7 - bit % 8)));
    }
    IpAddress other = block.address;
    const std::size_t flipped = random() % 128;
    other.bytes[flipped / 8] =
        static_cast<std::uint8_t>(other.bytes[flipped / 8] ^ (0x80U >> flipped % 8));
    ASSERT_TRUE(block.contains(block.address));
    ASSERT_EQ(block.contains(other), flipped >= block.prefix) << to_string(block) << ' ' << flipped;
    ASSERT_EQ(network(to_string(block)), block) << to_string(block);
  }
}

}  // namespace
}  // namespace ringcast
