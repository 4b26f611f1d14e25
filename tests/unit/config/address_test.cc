#include "ringcast/config/address.h"

#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace ringcast::config {
namespace {

TEST(Address, BothFamiliesAreReadAndWritten) {
  for (const char* text : {"127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8080",
                           "[::]:0", "[2001:db8::1]:443", "[::ffff:1.2.3.4]:1"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.error().message;
    EXPECT_EQ(to_string(address.value()), text);
  }
}

TEST(Address, IsComparedByWhatItMeans) {
  EXPECT_EQ(parse_address("[0:0:0:0:0:0:0:1]:1").value(), parse_address("[::1]:1").value());
  EXPECT_NE(parse_address("1.1.1.1:1").value(), parse_address("1.1.1.1:2").value());
  EXPECT_NE(parse_address("0.0.0.0:1").value(), parse_address("[::]:1").value());
}

TEST(Address, AnythingElseIsRefused) {
  for (const std::string text : {"",
                                 ":",
                                 ":80",
                                 "127.0.0.1",
                                 "127.0.0.1:",
                                 "127.0.0.1:-1",
                                 "127.0.0.1:65536",
                                 "127.0.0.1:+1",
                                 "127.0.0.1:80 ",
                                 " 127.0.0.1:80",
                                 "127.0.0.1:0x50",
                                 "127.1:80",
                                 "256.0.0.1:80",
                                 "localhost:80",
                                 "*:80",
                                 "::1:80",
                                 "[::1]",
                                 "[::1]80",
                                 "[::1:80",
                                 "::1]:80",
                                 "[]:80",
                                 "[:80",
                                 "[127.0.0.1]:80",
                                 "[::g]:80",
                                 "[fe80::1%lo]:80"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_TRUE(address.error().message.starts_with("must be ADDR:PORT")) << text;
  }
  EXPECT_FALSE(parse_address(std::string_view("127.0.0.1\0x:80", 14)).ok());
}

TEST(Address, BecomesASocketAddress) {
  const auto v4 = parse_address("1.2.3.4:258").value();
  const sockaddr_storage storage4 = to_sockaddr(v4);
  sockaddr_in in{};
  std::memcpy(&in, &storage4, sizeof in);
  EXPECT_EQ(in.sin_family, AF_INET);
  EXPECT_EQ(ntohs(in.sin_port), 258);
  EXPECT_EQ(ntohl(in.sin_addr.s_addr), 0x01020304u);
  EXPECT_EQ(to_length(v4), sizeof(sockaddr_in));

  const auto v6 = parse_address("[::1]:258").value();
  const sockaddr_storage storage6 = to_sockaddr(v6);
  sockaddr_in6 in6{};
  std::memcpy(&in6, &storage6, sizeof in6);
  EXPECT_EQ(in6.sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(in6.sin6_port), 258);
  EXPECT_EQ(std::memcmp(&in6.sin6_addr, &in6addr_loopback, sizeof in6addr_loopback), 0);
  EXPECT_EQ(to_length(v6), sizeof(sockaddr_in6));
}

}  // namespace
}  // namespace ringcast::config
