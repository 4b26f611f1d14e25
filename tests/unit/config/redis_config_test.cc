#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/config/command_line.h"
#include "ringcast/config/config.h"

#include "../temporary_folder.h"

// [redis].
namespace ringcast::config {
namespace {

Config sound(std::string_view toml) {
  const Result<Config> result = parse(toml, "f");
  if (result) return result.value();
  ADD_FAILURE() << toml << "\nis refused:\n" << result.error().message;
  return defaults();
}

std::string errors(std::string_view toml) {
  const Result<Config> result = parse(toml, "f");
  return result ? "accepted" : result.error().message;
}

TEST(RedisConfig, WithoutAUrlThereIsNone) {
  EXPECT_EQ(defaults().redis.url, "");
  EXPECT_EQ(sound("redis.url = \"\"").redis, hub::RedisOptions());
}

TEST(RedisConfig, AUrlThatMeansNothingIsRefusedWhereItStands) {
  for (const char* good : {"redis://h", "redis://:p@127.0.0.1:6380/3", "redis://u:p@[::1]:1",
                           "unix:///run/redis.sock"}) {
    EXPECT_EQ(sound("redis.url = \"" + std::string(good) + "\"").redis.url, good);
  }
  for (const char* wrong :
       {"h", "http://h", "rediss://h", "redis://", "redis://h:0x", "redis://h/x"}) {
    const std::string found = errors("[redis]\nurl = \"" + std::string(wrong) + "\"");
    EXPECT_TRUE(found.starts_with("f:2:7: redis.url: ")) << found;
  }
  EXPECT_EQ(errors("redis.url = 1"), "f:1:13: redis.url: expected a string, found an integer");
}

TEST(RedisConfig, AnErrorDoesNotRepeatThePassword) {
  for (const char* wrong : {"redis://u:hunter2@h:99999", "rediss://u:hunter2@h", "hunter2@h"}) {
    const std::string found = errors("redis.url = \"" + std::string(wrong) + "\"");
    EXPECT_TRUE(found.starts_with("f:1:13: redis.url: ")) << found;
    EXPECT_EQ(found.find("hunter2"), std::string::npos) << found;
  }
}

TEST(RedisConfig, APrintShowsTheUrlWithoutItsPassword) {
  const auto printed = [](const std::string& url) {
    Config config;
    config.redis.url = url;
    const std::string text = to_toml(config);
    const std::size_t begin = text.find("[redis]\nurl = ") + 14;
    return text.substr(begin, text.find("  #", begin) - begin);
  };
  EXPECT_EQ(printed("redis://u:p@h:1/2"), "\"redis://u:***@h:1/2\"");
  EXPECT_EQ(printed("redis://:p%40@h"), "\"redis://:***@h\"");
  EXPECT_EQ(printed("redis://:p@q@h"), "\"redis://:***@h\"");
  EXPECT_EQ(printed("redis://u@h"), "\"redis://u@h\"");
  EXPECT_EQ(printed("redis://h:1"), "\"redis://h:1\"");
  EXPECT_EQ(printed("unix://u:p@/run/a@b"), "\"unix://u:***@/run/a@b\"");
  EXPECT_EQ(printed("unix:///run/a@b:c.sock"), "\"unix:///run/a@b:c.sock\"");
  EXPECT_EQ(printed(""), "\"\"");
}

TEST(RedisConfig, AnotherPasswordAloneIsAChangeThatNeedsARestart) {
  const Config old = sound("redis.url = \"redis://:old@h\"");
  const Config fresh = sound("redis.url = \"redis://:new@h\"");
  EXPECT_EQ(restart_keys(old, fresh), (std::vector<std::string>{"redis.url"}));
}

TEST(RedisConfig, NamesAreReadable) {
  for (const std::string key : {"channel", "stream"}) {
    const std::string front = "redis." + key + " = ";
    EXPECT_EQ(errors(front + "\"größe {漢字} *\""), "accepted");
    EXPECT_EQ(errors(front + "\"" + std::string(256, 'x') + "\""), "accepted");
    for (const std::string& wrong : {std::string(), std::string(257, 'x'), std::string("a\\nb"),
                                     std::string("a\\u0000"), std::string("a\\u007f")}) {
      const std::string found = errors(front + "\"" + wrong + "\"");
      EXPECT_NE(found.find(": redis." + key + ": "), std::string::npos) << found;
    }
  }
}

TEST(RedisConfig, TheChannelIsNotTheOneThatInstancesSpeakOn) {
  const std::string reason =
      "redis.channel: must differ from \"ringcast:events:marks\", the channel on which instances "
      "speak to each other";
  EXPECT_EQ(errors("redis.channel = \"ringcast:events:marks\""), "f:1:17: " + reason);
  EXPECT_EQ(errors("redis.channel = \"x:marks\""), "accepted");
  EXPECT_NE(errors("[redis]\nchannel = \"x:marks\"\nstream = \"x\""), "accepted");
}

TEST(RedisConfig, TimesMayBeFractions) {
  EXPECT_EQ(sound("redis.publish_timeout_seconds = 0.1").redis.publish_timeout_ms, 100u);
  EXPECT_EQ(sound("redis.publish_timeout_seconds = 60").redis.publish_timeout_ms, 60'000u);
  EXPECT_EQ(sound("redis.start_timeout_seconds = 0").redis.start_timeout_ms, 0u);
  EXPECT_EQ(sound("redis.start_timeout_seconds = 600.0").redis.start_timeout_ms, 600'000u);
  for (const char* wrong : {"0", "0.099", "60.001", "-1", "nan", "inf", "9223372036854775807"}) {
    EXPECT_EQ(errors("redis.publish_timeout_seconds = " + std::string(wrong)),
              "f:1:33: redis.publish_timeout_seconds: must be 0.1 to 60 seconds");
  }
  for (const char* wrong : {"-0.001", "600.001", "-1", "nan"}) {
    EXPECT_EQ(errors("redis.start_timeout_seconds = " + std::string(wrong)),
              "f:1:31: redis.start_timeout_seconds: must be 0 to 600 seconds (0 = not at all)");
  }
  EXPECT_EQ(errors("redis.start_timeout_seconds = \"1\""),
            "f:1:31: redis.start_timeout_seconds: expected an integer or a float, found a string");
}

class RedisPasswordFile : public testing::Test {
 protected:
  [[nodiscard]] hub::RedisOptions options(const std::string& url) const {
    hub::RedisOptions options;
    options.url = url;
    options.password_file = folder_.path("p");
    return options;
  }
  [[nodiscard]] std::string url_with(const std::string& url, const std::string& file) const {
    folder_.write("p", file);
    const auto whole = hub::with_password(options(url));
    if (!whole) return whole.error().message;
    EXPECT_EQ(whole.value().password_file, "");
    return whole.value().url;
  }
  int check(const std::string& toml) {
    folder_.write("x.toml", toml);
    return run_check(folder_.path("x.toml"), out_, err_);
  }

  test::TemporaryFolder folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(RedisPasswordFile, ItsFirstLineIsThePasswordOfTheUrl) {
  const auto address = [this](const std::string& url, const std::string& file) {
    return hub::parse_redis_url(url_with(url, file)).value();
  };
  EXPECT_EQ(address("redis://h:1/2", "secret\nrest\n"),
            (hub::RedisAddress{.host = "h", .port = 1, .password = "secret", .database = 2}));
  EXPECT_EQ(address("redis://u:old@h", "new"),
            (hub::RedisAddress{.host = "h", .user = "u", .password = "new"}));
  const std::string odd = "a b/:@?#%[]\"'\xc3\xa4\x01";
  EXPECT_EQ(address("redis://:x@h", odd + "\r\n").password, odd);
  EXPECT_EQ(address("unix:///run/r.sock?db=3", "secret"),
            (hub::RedisAddress{.socket = "/run/r.sock", .password = "secret", .database = 3}));
}

TEST_F(RedisPasswordFile, WhatCannotBeAPasswordIsRefusedWithoutRepeatingIt) {
  const std::string path = "redis.password_file: " + folder_.path("p");
  EXPECT_EQ(url_with("redis://h", ""),
            path + ": the first line is empty; it is to be the password");
  EXPECT_EQ(url_with("redis://h", "\nsecret"),
            path + ": the first line is empty; it is to be the password");
  EXPECT_EQ(url_with("redis://h", std::string(4'097, 'x')),
            path + ": the first line has more than 4096 bytes");
  EXPECT_EQ(url_with("redis://h", std::string(4'096, 'x') + "\r\n"),
            "redis://:" + std::string(4'096, 'x') + "@h");
  EXPECT_EQ(url_with("redis://h", std::string("secret\0x", 8)), path + ": holds NUL");
  EXPECT_EQ(
      hub::with_password({.url = "redis://h", .password_file = folder_.path("none")})
          .error()
          .message,
      "redis.password_file: " + folder_.path("none") + ": No such file or directory (ENOENT)");
}

TEST_F(RedisPasswordFile, CheckReadsItFromTheFolderOfTheConfiguration) {
  const std::string toml = "[redis]\nurl = \"redis://h\"\npassword_file = \"p\"\n";
  EXPECT_EQ(check(toml), kUsageExitCode);
  EXPECT_EQ(err_.str(), folder_.path("x.toml") + ": redis.password_file: " + folder_.path("p") +
                            ": No such file or directory (ENOENT)\n");
  EXPECT_EQ(out_.str(), "");
  folder_.write("p", "hunter2\n");
  EXPECT_EQ(check(toml), 0);
  EXPECT_NE(out_.str().find("password_file = \"" + folder_.path("p") + "\""), std::string::npos);
  EXPECT_EQ(out_.str().find("hunter2"), std::string::npos);
}

TEST_F(RedisPasswordFile, IsNotReadWithoutAUrl) {
  EXPECT_EQ(check("redis.password_file = \"p\""), 0) << err_.str();
}

}  // namespace
}  // namespace ringcast::config
