#include "redis_entry.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::hub {
namespace {

using namespace std::string_literals;

constexpr std::size_t kBytesMax = 100;

using Fields = std::vector<std::string_view>;

RedisEntry read(const Fields& fields) {
  const auto entry = read_entry(fields, kBytesMax);
  EXPECT_TRUE(entry.ok()) << (entry.ok() ? "" : entry.error().message);
  return entry ? entry.value() : RedisEntry{};
}

std::string fault(const Fields& fields) {
  const auto entry = read_entry(fields, kBytesMax);
  EXPECT_FALSE(entry.ok());
  return entry.ok() ? "(accepted)" : entry.error().message;
}

TEST(RedisEntryTest, AllFieldsAreRead) {
  const RedisEntry got = read({"event", "install", "data", "text\n", "topic", "orders", "retry",
                               "5000", "n", "the nonce", "c", "7:9"});
  EXPECT_EQ(got.kind, RedisEntry::Kind::event);
  EXPECT_EQ(got.publication.event, "install");
  EXPECT_EQ(got.publication.data, "text\n");
  EXPECT_EQ(got.publication.topic, "orders");
  EXPECT_EQ(got.publication.retry_ms, 5000u);
  EXPECT_EQ(got.nonce, "the nonce");
  EXPECT_EQ(got.channel_number, "7:9");
}

TEST(RedisEntryTest, OnlyDataIsRequired) {
  const RedisEntry got = read({"data", ""});
  EXPECT_EQ(got.publication.event, "");
  EXPECT_EQ(got.publication.data, "");
  EXPECT_EQ(got.publication.topic, "");
  EXPECT_FALSE(got.publication.retry_ms.has_value());
  EXPECT_EQ(got.nonce, "");
  EXPECT_EQ(got.channel_number, "");
  EXPECT_EQ(fault({"event", "x"}), "data: is missing");
  EXPECT_EQ(fault({}), "data: is missing");
  EXPECT_EQ(fault({"data"}), "data: is missing");
}

TEST(RedisEntryTest, FieldsOfOthersAreLeftAlone) {
  EXPECT_EQ(read({"trace", "1", "data", "x", "trace", "2"}).publication.data, "x");
}

TEST(RedisEntryTest, AFieldThatIsRepeatedIsRefused) {
  for (const char* field : {"data", "event", "topic", "retry", "n", "c", "sign-out"}) {
    EXPECT_EQ(fault({"data", "x", field, "1", field, "1"}), field + ": given more than once"s);
  }
}

TEST(RedisEntryTest, LimitsAreThoseOfAPublication) {
  const std::string most(kBytesMax, 'x');
  EXPECT_EQ(read({"data", most}).publication.data, most);
  EXPECT_EQ(fault({"data", most + "x"}), "data: longer than 100 bytes");
  EXPECT_EQ(fault({"data", "x\xff"}), "data: not valid UTF-8");

  const std::string name(256, 'e');
  EXPECT_EQ(read({"data", "x", "event", name}).publication.event, name);
  EXPECT_EQ(fault({"data", "x", "event", name + "e"}), "event: longer than 256 bytes");
  EXPECT_EQ(fault({"data", "x", "event", "a\nb"}), "event: must not contain a line end or NUL");
  EXPECT_EQ(fault({"data", "x", "event", "\xc3"}), "event: not valid UTF-8");

  EXPECT_EQ(read({"data", "x", "topic", name}).publication.topic, name);
  EXPECT_EQ(fault({"data", "x", "topic", name + "e"}), "topic: longer than 256 bytes");
  EXPECT_EQ(fault({"data", "x", "topic", ""}), "topic: must not be empty");
  EXPECT_EQ(fault({"data", "x", "topic", "a\x01"}), "topic: must not contain control characters");

  EXPECT_EQ(read({"data", "x", "retry", "86400000"}).publication.retry_ms, 86'400'000u);
  for (const char* retry : {"86400001", "-1", "", "1.5", "5s", " 5", "99999999999"}) {
    EXPECT_EQ(fault({"data", "x", "retry", retry}),
              "retry: must be an integer from 0 to 86400000 (milliseconds)")
        << retry;
  }
}

TEST(RedisEntryTest, WhatIsAppendedIsReadAgain) {
  const Publication all{
      .event = "install", .data = "text", .topic = "orders", .retry_ms = 4294967u};
  const Publication little{.event = "", .data = "text", .topic = "", .retry_ms = std::nullopt};
  for (const Publication& publication : {all, little}) {
    std::array<char, 10> retry_text;
    Fields fields{"before", "it"};
    append_fields(publication, retry_text, fields);
    const Publication got = read(fields).publication;
    EXPECT_EQ(got.event, publication.event);
    EXPECT_EQ(got.data, publication.data);
    EXPECT_EQ(got.topic, publication.topic);
    EXPECT_EQ(got.retry_ms, publication.retry_ms);
  }
  std::array<char, 10> retry_text;
  Fields fields;
  append_fields(little, retry_text, fields);
  EXPECT_EQ(fields, (Fields{"data", "text"}));
}

TEST(RedisEntryTest, SignOutsAreReadAgain) {
  const SignOut what{.session = 0xabc, .expires_ms = 1'700'000'000'000};
  const std::string text = sign_out_text(what);
  EXPECT_EQ(text, "0000000000000abc-18bcfe56800");
  const RedisEntry got = read({"sign-out", text, "topic", "user:7", "n", "the nonce"});
  EXPECT_EQ(got.kind, RedisEntry::Kind::sign_out);
  EXPECT_EQ(got.publication.topic, "user:7");
  EXPECT_EQ(got.sign_out.session, what.session);
  EXPECT_EQ(got.sign_out.expires_ms, what.expires_ms);
  EXPECT_EQ(got.nonce, "the nonce");

  EXPECT_EQ(fault({"sign-out", text}), "topic: is missing");
  for (const char* bad : {"", "-", "0000000000000abc", "0000000000000abc-", "abc-18bcfe56800",
                          "0000000000000abc-18bcfe5680g", "0000000000000abc-11111111111111111",
                          "-000000000000abc-1", "0000000000000abc--1"}) {
    EXPECT_EQ(fault({"sign-out", bad, "topic", "user:7"}),
              "sign-out: must be a session and its expiry, both hexadecimal")
        << bad;
  }
}

TEST(RedisEntryTest, MembersOfTheSetOfSignOutsAreReadAgain) {
  const std::string member = signed_out_member(0xdeadbeefcafef00d, "user:7 x");
  EXPECT_EQ(member, "deadbeefcafef00d user:7 x");
  const auto got = parse_signed_out_member(member);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->session, 0xdeadbeefcafef00d);
  EXPECT_EQ(got->topic, "user:7 x");
  for (const char* bad :
       {"", "deadbeefcafef00d", "deadbeefcafef00d ", "deadbeefcafef00x user", "deadbeef user:7"}) {
    EXPECT_FALSE(parse_signed_out_member(bad)) << bad;
  }
}

TEST(RedisEntryTest, NoncesAreReadAgain) {
  const Nonce nonce{.instance = 0x1234, .number = 0xffffffffffffffff};
  EXPECT_EQ(to_string(nonce), "0000000000001234-ffffffffffffffff");
  EXPECT_EQ(parse_nonce(to_string(nonce)), nonce);
  EXPECT_EQ(parse_nonce("0000000000001234-0"), (Nonce{0x1234, 0}));
  for (const char* bad : {"", "1234-5", "0000000000001234", "0000000000001234-",
                          "0000000000001234-12345678901234567", "hello"}) {
    EXPECT_FALSE(parse_nonce(bad)) << bad;
  }
}

}  // namespace
}  // namespace ringcast::hub
