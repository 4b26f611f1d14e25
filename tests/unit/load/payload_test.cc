#include "load/payload.h"

#include <string>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(Payload, GivesBackItsStamp) {
  const Stamp stamp{
      .run = 0xfedc, .lane = 7, .sequence = 4'000'000'000U, .sent_ns = 0x0123456789abcdefULL};
  const auto read = decode_data(encode_data(stamp, 120));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->run, stamp.run);
  EXPECT_EQ(read->lane, stamp.lane);
  EXPECT_EQ(read->sequence, stamp.sequence);
  EXPECT_EQ(read->sent_ns, stamp.sent_ns);
}

TEST(Payload, MakesFramesOfTheAskedSize) {
  for (const std::size_t bytes : {61U, 120U, 4096U}) {
    const std::string frame = "id: 1763685407123-0\ndata: " + encode_data({}, bytes) + "\n\n";
    EXPECT_EQ(frame.size(), bytes);
  }
}

TEST(Payload, RefusesOtherText) {
  const std::string good = encode_data({}, 61);
  EXPECT_TRUE(decode_data(good));
  EXPECT_FALSE(decode_data(good.substr(0, kStampBytes - 1)));
  EXPECT_FALSE(decode_data(""));
  for (std::size_t at = 0; at < kStampBytes; ++at) {
    std::string bad = good;
    bad[at] = 'g';
    EXPECT_FALSE(decode_data(bad)) << at;
  }
}

TEST(Payload, IsFoundInWhatIsPublished) {
  const Stamp stamp{.run = 1, .lane = 2, .sequence = 3, .sent_ns = 4};
  for (const std::string topic : {"", "load-5"}) {
    const std::string body = encode_body(stamp, 120, topic);
    EXPECT_EQ(body.find(R"("topic":"load-5")") != std::string::npos, !topic.empty());
    EXPECT_NE(body.find('"' + encode_data(stamp, 120) + '"'), std::string::npos);
    const auto decoded = find_stamp(body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->sequence, stamp.sequence);
    EXPECT_EQ(decoded->sent_ns, stamp.sent_ns);
  }
  EXPECT_FALSE(find_stamp(R"({"data":"something else"})"));
}

TEST(Payload, IsFoundInWhatServersMakeOfIt) {
  const Stamp stamp{.run = 1, .lane = 2, .sequence = 3, .sent_ns = 4};
  const std::string data = encode_data(stamp, 120);
  for (const std::string& text :
       {data, '"' + data + '"', R"({"user":"a@b","data":")" + data + R"("})"}) {
    const auto found = find_stamp(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->sequence, stamp.sequence);
  }
  EXPECT_FALSE(find_stamp(std::string(kStampSoughtBytes, ' ') + data));
  EXPECT_FALSE(find_stamp(data.substr(1)));
}

TEST(BodyTemplate, FillsInDataAndTopicAndKeepsOtherBraces) {
  const auto body = BodyTemplate::parse(R"({"d":"{json_data}","t":"{topic}","o":{},"{data})");
  ASSERT_TRUE(body.ok());
  EXPECT_FALSE(body.value().is_own());
  EXPECT_EQ(body.value().fill("@12", "load-1"), R"({"d":"@12","t":"load-1","o":{},"@12)");
  const auto bare = BodyTemplate::parse("{data}");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare.value().fill("@12", "load-1"), "@12");
}

TEST(BodyTemplate, WithoutDataIsRefused) {
  EXPECT_FALSE(BodyTemplate::parse(R"({"t":"{topic}"})").ok());
  EXPECT_TRUE(BodyTemplate{}.is_own());
}

}  // namespace
}  // namespace ringcast::load
