#include "ringcast/hub/redis_options.h"

#include <gtest/gtest.h>

namespace ringcast::hub {
namespace {

RedisAddress parsed(std::string_view url) {
  const Result<RedisAddress> address = parse_redis_url(url);
  EXPECT_TRUE(address.ok()) << url << ": " << address.error().message;
  return address.ok() ? address.value() : RedisAddress{};
}

std::string refusal(std::string_view url) {
  const Result<RedisAddress> address = parse_redis_url(url);
  EXPECT_FALSE(address.ok()) << url;
  return address.ok() ? "" : address.error().message;
}

TEST(RedisUrlTest, NamesAHostAndWhatIsLeftOutHasTheDefault) {
  EXPECT_EQ(parsed("redis://redis.example.com"), (RedisAddress{.host = "redis.example.com"}));
  EXPECT_EQ(parsed("redis://10.1.2.3:7000"), (RedisAddress{.host = "10.1.2.3", .port = 7000}));
  EXPECT_EQ(parsed("redis://localhost:7000/"), (RedisAddress{.host = "localhost", .port = 7000}));
  EXPECT_EQ(parsed("redis://localhost/15"), (RedisAddress{.host = "localhost", .database = 15}));
  EXPECT_EQ(parsed("REDIS://localhost"), (RedisAddress{.host = "localhost"}));
}

TEST(RedisUrlTest, AnIpv6AddressStandsInBrackets) {
  EXPECT_EQ(parsed("redis://[::1]:7000/2"),
            (RedisAddress{.host = "::1", .port = 7000, .database = 2}));
  EXPECT_EQ(parsed("redis://[fe80::1%eth0]"), (RedisAddress{.host = "fe80::1%eth0"}));
  EXPECT_NE(refusal("redis://::1:7000").find("brackets"), std::string::npos);
  for (const char* url : {"redis://[::1", "redis://[]", "redis://[localhost]", "redis://[1.2.3.4]",
                          "redis://[::1%]", "redis://[::1]7000"}) {
    refusal(url);
  }
}

TEST(RedisUrlTest, UserAndPasswordAreDecoded) {
  EXPECT_EQ(parsed("redis://:secret@h"), (RedisAddress{.host = "h", .password = "secret"}));
  EXPECT_EQ(parsed("redis://alice:secret@h"),
            (RedisAddress{.host = "h", .user = "alice", .password = "secret"}));
  EXPECT_EQ(parsed("redis://alice@h"), (RedisAddress{.host = "h", .user = "alice"}));
  EXPECT_EQ(parsed("redis://a%3Ab:p%40%2f%25+:x@h").user, "a:b");
  EXPECT_EQ(parsed("redis://a%3Ab:p%40%2f%25+:x@h").password, "p@/%+:x");
  EXPECT_EQ(parsed("redis://:p@ss@h").password, "p@ss");
}

TEST(RedisUrlTest, NamesTheSocketOfAServerOnThisMachine) {
  EXPECT_EQ(parsed("unix:///run/redis.sock"), (RedisAddress{.socket = "/run/redis.sock"}));
  EXPECT_EQ(parsed("unix:///run/a%20b@c?db=3"),
            (RedisAddress{.socket = "/run/a b@c", .database = 3}));
  EXPECT_EQ(parsed("unix://alice:p%40@/run/redis.sock"),
            (RedisAddress{.socket = "/run/redis.sock", .user = "alice", .password = "p@"}));
  for (const char* url : {"unix://", "unix:///", "unix://run/redis.sock", "unix:///s?database=1",
                          "unix:///s?db=", "unix:///s?db=1&x=2", "unix:///s%00t", "unix:///s%4"}) {
    refusal(url);
  }
  EXPECT_TRUE(parse_redis_url("unix:///" + std::string(106, 's')).ok());
  refusal("unix:///" + std::string(107, 's'));
}

TEST(RedisUrlTest, WhatIsNoAddressIsRefused) {
  for (const char* url : {"",
                          "localhost",
                          "localhost:6379",
                          "http://localhost",
                          "redis:",
                          "redis://",
                          "redis://:6379",
                          "redis://h:",
                          "redis://h:0",
                          "redis://h:65536",
                          "redis://h:+1",
                          "redis://h:6379x",
                          "redis://h/x",
                          "redis://h/-1",
                          "redis://h/2147483648",
                          "redis://h/1/2",
                          "redis://h?db=1",
                          "redis://h#1",
                          "redis://@h",
                          "redis://:@h",
                          "redis://a b@h",
                          "redis://h\n",
                          "redis://ho st",
                          "redis://h%41",
                          "redis://:%4@h",
                          "redis://:%zz@h"}) {
    refusal(url);
  }
  EXPECT_EQ(parsed("redis://h/2147483647").database, 2147483647u);
}

TEST(RedisUrlTest, TlsIsRefusedWithWhatToDoInstead) {
  EXPECT_NE(refusal("rediss://h").find("stunnel"), std::string::npos);
}

TEST(RedisUrlTest, NoErrorRepeatsAPassword) {
  for (const char* url :
       {"redis://:hunter2@", "redis://:hunter2@h:x", "redis://:hunter2%@h", "redis://:hun/ter2@h",
        "redis://:hunter2#@h", "redis://hunter2:6379x", "http://:hunter2@h", "redis://:hunter2 @h",
        "unix://:hunter2@x", "rediss://:hunter2@h"}) {
    const std::string message = refusal(url);
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
    EXPECT_EQ(message.find("ter2"), std::string::npos) << message;
  }
  EXPECT_NE(refusal("redis://:hun/ter2@h").find("%2F"), std::string::npos);
}

TEST(RedisUrlTest, ItsTextHasNeitherUserNorPassword) {
  EXPECT_EQ(to_string(parsed("redis://alice:secret@h:7000")), "h:7000");
  EXPECT_EQ(to_string(parsed("redis://127.0.0.1/2")), "127.0.0.1:6379, database 2");
  EXPECT_EQ(to_string(parsed("redis://[::1]")), "[::1]:6379");
  EXPECT_EQ(to_string(parsed("unix://:secret@/run/redis.sock?db=1")),
            "/run/redis.sock, database 1");
}

}  // namespace
}  // namespace ringcast::hub
