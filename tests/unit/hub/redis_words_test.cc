#include "redis_words.h"

#include <gtest/gtest.h>

namespace ringcast::hub {
namespace {

const RedisAddress kAddress{
    .host = "10.0.0.1", .port = 7000, .user = "alice", .password = "hunter2", .database = 3};

bool says(std::string_view error, std::string_view words) {
  return describe_redis_error(error, kAddress).find(words) != std::string::npos;
}

TEST(RedisWordsTest, ErrorsAreToldApartByWhatHelps) {
  EXPECT_EQ(classify_redis_error("ERR wrong number of arguments"), RedisFault::refused);
  EXPECT_EQ(classify_redis_error("WRONGTYPE Operation against a key"), RedisFault::refused);
  EXPECT_EQ(classify_redis_error("BUSYKEY Target key name already exists."), RedisFault::refused);
  EXPECT_EQ(classify_redis_error(""), RedisFault::refused);
  for (const char* error :
       {"LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script.",
        "TRYAGAIN Multiple keys request", "MASTERDOWN Link with MASTER is down", "CLUSTERDOWN The",
        "OOM command not allowed when used memory > 'maxmemory'.", "OOM",
        "MISCONF Redis is configured to save RDB snapshots", "NOREPLICAS Not enough good replicas",
        "ERR max number of clients reached"}) {
    EXPECT_EQ(classify_redis_error(error), RedisFault::transient) << error;
  }
  for (const char* error :
       {"READONLY You can't write against a read only replica.", "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381", "UNBLOCKED force unblock from blocking operation"}) {
    EXPECT_EQ(classify_redis_error(error), RedisFault::moved_on) << error;
  }
  for (const char* error :
       {"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair",
        "NOPERM this user has no permissions", "DENIED Redis is running in protected mode",
        "ERR AUTH <password> called without any password configured for the default user."}) {
    EXPECT_EQ(classify_redis_error(error), RedisFault::sign_in) << error;
  }
  EXPECT_EQ(classify_redis_error("NOSCRIPT No matching script."), RedisFault::no_script);
}

TEST(RedisWordsTest, AnErrorWithinAScriptIsTheErrorThatItRanInto) {
  constexpr std::string_view kWrapped =
      "ERR Error running script (call to f_0123): @user_script:5: @user_script: 5: -OOM command "
      "not allowed when used memory > 'maxmemory'.";
  EXPECT_EQ(classify_redis_error(kWrapped), RedisFault::transient);
  EXPECT_TRUE(says(kWrapped, "maxmemory"));
  EXPECT_EQ(classify_redis_error("ERR Error running script"), RedisFault::refused);
}

TEST(RedisWordsTest, APermissionIsNamedWithTheRuleThatGrantsIt) {
  EXPECT_TRUE(says("NOPERM this user has no permissions to run the 'xadd' command",
                   "ACL SETUSER alice +xadd"));
  EXPECT_TRUE(
      says("NOPERM this user has no permissions to run the 'client|kill' command", "+client|kill"));
  EXPECT_TRUE(
      says("NOPERM this user has no permissions to access one of the keys used as arguments",
           "ACL SETUSER alice ~"));
  EXPECT_TRUE(
      says("NOPERM this user has no permissions to access one of the channels used as "
           "arguments",
           "ACL SETUSER alice &"));
  RedisAddress nobody = kAddress;
  nobody.user.clear();
  EXPECT_NE(describe_redis_error("NOPERM 'xadd' command", nobody).find("SETUSER default "),
            std::string::npos);
}

TEST(RedisWordsTest, EachErrorNamesWhatToChange) {
  EXPECT_TRUE(says("NOAUTH Authentication required.", "redis.url"));
  EXPECT_TRUE(says("WRONGPASS invalid", "the user 'alice'"));
  EXPECT_TRUE(says("READONLY You can't write", "primary"));
  EXPECT_TRUE(says("LOADING Redis is loading", "Redis at 10.0.0.1:7000, database 3 is loading"));
  EXPECT_TRUE(says("ERR DB index is out of range", "Redis at 10.0.0.1:7000 has no database 3"));
  EXPECT_TRUE(says("WRONGTYPE Operation", "redis.stream"));
  EXPECT_TRUE(says("ERR unknown command 'XAUTOCLAIM'", "too old"));
  EXPECT_TRUE(says("ERR something else", "answered: ERR something else"));
}

TEST(RedisWordsTest, WhatRedisRepeatsOfThePasswordIsNotShown) {
  const std::string unknown = describe_redis_error(
      "ERR unknown command 'AUTH', with args beginning with: 'alice' 'hunt", kAddress);
  EXPECT_EQ(unknown.find("hunt"), std::string::npos) << unknown;
  const std::string odd = describe_redis_error("ERR hunter2 and hunter2", kAddress);
  EXPECT_EQ(odd.find("hunter2"), std::string::npos) << odd;
}

TEST(RedisWordsTest, WhatCameFromOutsideIsCutAndCleaned) {
  EXPECT_EQ(cleaned("plain text ~"), "plain text ~");
  EXPECT_EQ(cleaned("a\nb\x1b[31m\x7f\xff"), "a?b?[31m??");
  EXPECT_EQ(cleaned(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(cleaned(std::string(201, 'x')), std::string(200, 'x') + "...");
  EXPECT_TRUE(says("ERR line\r\nbreak", "line??break"));
  EXPECT_LT(describe_redis_error("ERR " + std::string(100'000, 'x'), kAddress).size(), 400u);
}

}  // namespace
}  // namespace ringcast::hub
