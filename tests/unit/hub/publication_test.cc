#include "ringcast/hub/publication.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "../../../bench/micro/allocation_counter.h"

namespace ringcast::hub {
namespace {

using namespace std::string_literals;

class PublicationTest : public ::testing::Test {
 protected:
  Publication read(std::string_view json) {
    auto result = parser_.parse(json);
    EXPECT_TRUE(result.ok()) << json << ": " << (result.ok() ? "" : result.error().message);
    return result.ok() ? result.value() : Publication{};
  }
  std::string data(std::string_view value) {
    return std::string(read("{\"data\":"s + std::string(value) + "}").data);
  }
  std::string fault(std::string_view json) {
    const auto result = parser_.parse(json);
    EXPECT_FALSE(result.ok()) << json;
    return result.ok() ? "(accepted)" : result.error().message;
  }
  std::string fault_beside_data(std::string_view field) {
    return fault("{\"data\":\"x\","s + std::string(field) + "}");
  }

  PublicationParser parser_;
};

TEST_F(PublicationTest, AllFieldsAreRead) {
  const Publication got =
      read(R"({"event":"install","data":"text","topic":"orders","retry":5000})");
  EXPECT_EQ(got.event, "install");
  EXPECT_EQ(got.data, "text");
  EXPECT_EQ(got.topic, "orders");
  EXPECT_EQ(got.retry_ms, 5000u);
}

TEST_F(PublicationTest, OnlyDataIsRequired) {
  const Publication got = read(R"({"data":"text"})");
  EXPECT_EQ(got.event, "");
  EXPECT_EQ(got.data, "text");
  EXPECT_EQ(got.topic, "");
  EXPECT_FALSE(got.retry_ms.has_value());
  EXPECT_EQ(fault("{}"), "data: is missing");
  EXPECT_EQ(fault(R"({"event":"x"})"), "data: is missing");
}

TEST_F(PublicationTest, OrderAndWhiteSpaceDoNotMatter) {
  const Publication got = read(" \t\r\n{ \"retry\" : 0 , \"data\" :\n\"x\" , \"event\":\"\" } \n");
  EXPECT_EQ(got.retry_ms, 0u);
  EXPECT_EQ(got.data, "x");
  EXPECT_EQ(got.event, "");
}

TEST_F(PublicationTest, StringsAreDeliveredWithoutTheirEscapes) {
  EXPECT_EQ(data(R"("")"), "");
  EXPECT_EQ(data(R"("a\nb\r\tc\"\\\/\b\f")"), "a\nb\r\tc\"\\/\b\f");
  EXPECT_EQ(data(R"("\u0000\u2028\ud83d\ude00é")"), "\0\xe2\x80\xa8\xf0\x9f\x98\x80\xc3\xa9"s);
  EXPECT_EQ(read(R"({"d\u0061ta":"x"})").data, "x") << "names may be escaped too";
}

TEST_F(PublicationTest, OtherValuesAreDeliveredAsCompactJsonWithTheirOwnDigits) {
  for (const char* value :
       {"0", "-0", "1.0", "1e5", "-12.50E-03", "123456789012345678901234567890", "1e999", "true",
        "false", "null", "[]", "{}", R"({"b":1.0,"a":[1,2.50,"x  y",null]})",
        R"(["\u00e9\/\"",{"":""}])", R"({"a":1,"a":2})"}) {
    EXPECT_EQ(data(value), value);
  }
  EXPECT_EQ(data(" 1.0 "), "1.0");
  EXPECT_EQ(data(" true\n"), "true");
  EXPECT_EQ(data(" [ 1 ,\n\t{ \"a b\" : [ ] } , \"  \" ] "), "[1,{\"a b\":[]},\"  \"]");
}

TEST_F(PublicationTest, FieldsAfterALargeValueAreRead) {
  std::string value = "[0";
  for (int i = 1; i < 5000; ++i) value += " , " + std::to_string(i);
  value += "]";
  const Publication got = read("{\"data\":" + value + " ,\"event\":\"after\"}");
  EXPECT_EQ(got.event, "after");
  EXPECT_TRUE(got.data.starts_with("[0,1,2,")) << got.data.substr(0, 20);
  EXPECT_TRUE(got.data.ends_with(",4999]"));
}

TEST_F(PublicationTest, EventIsAShortStringWithoutLineEnds) {
  EXPECT_EQ(fault_beside_data(R"("event":5)"), "event: must be a string");
  EXPECT_EQ(fault_beside_data(R"("event":null)"), "event: must be a string");
  for (const char* inside : {"\\n", "\\r", "\\u0000", "\\u000a"}) {
    EXPECT_EQ(fault_beside_data("\"event\":\"a"s + inside + "b\""),
              "event: must not contain a line end or NUL");
  }
  EXPECT_EQ(fault_beside_data("\"event\":\"" + std::string(kEventNameBytesMax + 1, 'e') + "\""),
            "event: longer than 256 bytes");
  EXPECT_EQ(
      read("{\"data\":1,\"event\":\"" + std::string(kEventNameBytesMax, 'e') + "\"}").event.size(),
      kEventNameBytesMax);
}

TEST_F(PublicationTest, TopicMustBeATopic) {
  EXPECT_EQ(fault_beside_data(R"("topic":["a"])"), "topic: must be a string");
  EXPECT_EQ(fault_beside_data(R"("topic":"")"), "topic: must not be empty");
  EXPECT_EQ(fault_beside_data(R"("topic":"a\tb")"), "topic: must not contain control characters");
  EXPECT_EQ(fault_beside_data("\"topic\":\"" + std::string(kTopicBytesMax + 1, 't') + "\""),
            "topic: longer than 256 bytes");
  EXPECT_EQ(read(R"({"data":1,"topic":"user/zoë x"})").topic, "user/zoë x");
}

TEST(TopicFault, NamesWhatIsWrong) {
  EXPECT_EQ(topic_fault("orders/eu-1"), "");
  EXPECT_EQ(topic_fault(std::string(kTopicBytesMax, 't')), "");
  EXPECT_EQ(topic_fault("\xc2\xa0"), "") << "the first character after the control characters";
  EXPECT_NE(topic_fault(""), "");
  EXPECT_NE(topic_fault(std::string(kTopicBytesMax + 1, 't')), "");
  for (const std::string_view bad : {"a\nb", "\x7f", "a\xc2\x80", "\xc2\x9f", "\x1f"}) {
    EXPECT_EQ(topic_fault(bad), "must not contain control characters");
  }
  EXPECT_EQ(topic_fault(std::string_view("a\0", 2)), "must not contain control characters");
  for (const std::string_view bad :
       {"\xff", "\xc2", "a\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80"}) {
    EXPECT_EQ(topic_fault(bad), "not valid UTF-8");
  }
}

TEST_F(PublicationTest, RetryIsAWholeNumberOfMillisecondsUpToADay) {
  EXPECT_EQ(read(R"({"data":1,"retry": 86400000 })").retry_ms, kRetryMsMax);
  for (const char* bad : {"-1", "-0", "1.5", "1.0", "1e3", "86400001", "4294967296",
                          "99999999999999999999999", "\"5\"", "null", "true", "[1]", "{}"}) {
    EXPECT_EQ(fault_beside_data("\"retry\":"s + bad),
              "retry: must be an integer from 0 to 86400000 (milliseconds)")
        << bad;
  }
  EXPECT_EQ(fault_beside_data("\"retry\":05"), "body: not valid JSON");
}

TEST_F(PublicationTest, RepeatedFieldsAreRefusedByName) {
  EXPECT_EQ(fault(R"({"data":"x","data":"x"})"), "data: given more than once");
  EXPECT_EQ(fault(R"({"data":"x","d\u0061ta":"x"})"), "data: given more than once");
  EXPECT_EQ(fault_beside_data(R"("event":"a","event":"a")"), "event: given more than once");
  EXPECT_EQ(fault_beside_data(R"("topic":"a","topic":"a")"), "topic: given more than once");
  EXPECT_EQ(fault_beside_data(R"("retry":1,"retry":1)"), "retry: given more than once");
}

TEST_F(PublicationTest, UnknownFieldsAreRefusedByNamesThatAreSafeToShow) {
  EXPECT_EQ(fault_beside_data(R"("evnt":"a")"), "evnt: unknown field");
  EXPECT_EQ(fault_beside_data(R"("Data":"a")"), "Data: unknown field");
  EXPECT_EQ(fault_beside_data(R"("":"a")"), "(empty name): unknown field");
  EXPECT_EQ(fault_beside_data(R"("a\r\n\u0000\u007f\u0085b":"a")"), "a?????b: unknown field");
  EXPECT_EQ(fault_beside_data("\"" + std::string(100, 'n') + "\":1"),
            std::string(64, 'n') + ": unknown field");
  EXPECT_EQ(fault_beside_data("\"" + std::string(63, 'n') + "é\":1"),
            std::string(63, 'n') + ": unknown field")
      << "no half characters";
}

TEST_F(PublicationTest, HalfASurrogatePairIsNotUnicode) {
  for (const char* half : {R"(\ud800)", R"(\udc00)", R"(\udbffx)", R"(\ud800\ud800)",
                           R"(\udfff\ud800)", R"(\ud83d\n)"}) {
    EXPECT_EQ(fault("{\"data\":\""s + half + "\"}"), "data: not valid Unicode") << half;
    EXPECT_EQ(fault("{\"data\":[{\"a\":\""s + half + "\"}]}"), "data: not valid Unicode") << half;
    EXPECT_EQ(fault("{\"data\":{\""s + half + "\":1}}"), "data: not valid Unicode") << half;
    EXPECT_EQ(fault_beside_data("\"event\":\""s + half + "\""), "event: not valid Unicode") << half;
    EXPECT_EQ(fault_beside_data("\"topic\":\""s + half + "\""), "topic: not valid Unicode") << half;
    EXPECT_EQ(fault_beside_data("\""s + half + "\":1"), "body: a field's name is not valid Unicode")
        << half;
  }
}

TEST_F(PublicationTest, BytesThatAreNotUtf8AreRefused) {
  for (const char* bad :
       {"\xff", "\xc2", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80", "\xe2\x80"}) {
    EXPECT_EQ(fault("{\"data\":\""s + bad + "\"}"), "body: not valid UTF-8");
    EXPECT_EQ(fault("{\"data\":[1],\""s + bad + "\":2}"), "body: not valid UTF-8");
  }
}

TEST_F(PublicationTest, WhatIsNotAnObjectIsRefused) {
  EXPECT_EQ(fault(""), "body: is empty");
  for (const char* json : {"[]", "\"x\"", "5", "null", "hello", "[{\"data\":1}]"}) {
    EXPECT_EQ(fault(json), "body: must be a JSON object") << json;
  }
  for (const char* json : {" ", "\n"}) EXPECT_TRUE(fault(json).starts_with("body: ")) << json;
}

TEST_F(PublicationTest, WhatIsNotJsonIsRefused) {
  for (const std::string& json : std::vector<std::string>{"{",
                                                          "}",
                                                          "{\"data\"",
                                                          "{\"data\":",
                                                          "{\"data\":\"x",
                                                          "{\"data\":\"x\"",
                                                          "{\"data\":\"x\"}}",
                                                          "{\"data\":\"x\"} {}",
                                                          "{\"data\":\"x\"}x",
                                                          "{\"data\":\"x\"},",
                                                          "{\"data\":\"x\",}",
                                                          "{,\"data\":\"x\"}",
                                                          "{\"data\" \"x\"}",
                                                          "{\"data\":\"x\" \"event\":\"y\"}",
                                                          "{data:1}",
                                                          "{'data':1}",
                                                          "{1:1}",
                                                          "{\"data\"}",
                                                          "{\"data\":}",
                                                          "{\"data\":[1 2]}",
                                                          "{\"data\":[1,]}",
                                                          "{\"data\":[,1]}",
                                                          "{\"data\":[1}",
                                                          "{\"data\":[}}",
                                                          "{\"data\":[1}]",
                                                          "{\"data\":{\"a\":1]}",
                                                          "{\"data\":{\"a\" 1}}",
                                                          "{\"data\":{\"a\":1,}}",
                                                          "{\"data\":{1:1}}",
                                                          "{\"data\":{\"a\"}}",
                                                          "{\"data\":tru}",
                                                          "{\"data\":True}",
                                                          "{\"data\":truex}",
                                                          "{\"data\":nul}",
                                                          "{\"data\":[nulls]}",
                                                          "{\"data\":NaN}",
                                                          "{\"data\":01}",
                                                          "{\"data\":+1}",
                                                          "{\"data\":1.}",
                                                          "{\"data\":.5}",
                                                          "{\"data\":1e}",
                                                          "{\"data\":-}",
                                                          "{\"data\":0x10}",
                                                          "{\"data\":[1e+]}",
                                                          "{\"data\":{\"a\":-a}}",
                                                          "{\"data\":\"\\x\"}",
                                                          "{\"data\":\"\\u12g4\"}",
                                                          "{\"data\":\"\\u12\"}",
                                                          "{\"data\":[\"\\'\"]}",
                                                          "{\"\\q\":1}",
                                                          "{\"data\":\"a\nb\"}",
                                                          "{\"data\":\"a\tb\"}",
                                                          "{\"data\":\"a\0b\"}"s,
                                                          "{\"data\":1}\0"s,
                                                          "\xef\xbb\xbf{\"data\":1}x",
                                                          "{\"data\":1/**/}",
                                                          "{\"data\":1 2}",
                                                          "{\"event\":\"\\q\",\"data\":1}"}) {
    EXPECT_TRUE(fault(json).starts_with("body: ")) << json << ": " << fault(json);
  }
}

TEST_F(PublicationTest, EveryTruncationIsRefused) {
  const std::string json =
      R"({"event":"e","data":{"a":[1,2.5,"x\u00e9",true,null]},"topic":"t","retry":10})";
  read(json);
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_TRUE(fault(std::string_view(json).substr(0, size)).starts_with("body: ")) << size;
  }
}

TEST_F(PublicationTest, DeepNestingIsRefusedBeforeTheStackEnds) {
  const auto nested = [](std::size_t depth, const char* open, const char* close) {
    std::string json = "{\"data\":";
    for (std::size_t i = 0; i < depth; ++i) json += open;
    json += "1";
    for (std::size_t i = 0; i < depth; ++i) json += close;
    return json + "}";
  };
  read(nested(64, "[", "]"));
  read(nested(64, "{\"a\":", "}"));
  EXPECT_EQ(fault(nested(65, "[", "]")), "body: nested too deeply");
  EXPECT_EQ(fault(nested(100'000, "[", "]")), "body: nested too deeply");
  EXPECT_EQ(fault(nested(100'000, "{\"a\":", "}")), "body: nested too deeply");
  EXPECT_TRUE(fault("{\"data\":" + std::string(100'000, '[')).starts_with("body: "));
}

TEST_F(PublicationTest, LargeMessagesAreReadAndSmallOnesAfterThem) {
  for (const std::size_t bytes : {4000u, 4096u, 5000u, 300'000u, 10u}) {
    const std::string text(bytes, 'x');
    EXPECT_EQ(data("\"" + text + "\""), text);
    EXPECT_EQ(data("[ \"" + text + "\" ]"), "[\"" + text + "\"]");
  }
}

TEST_F(PublicationTest, RefusalLeavesNothingBehind) {
  EXPECT_EQ(fault(R"({"event":"old","topic":"old","retry":1,"data":[tru]})"),
            "body: not valid JSON");
  const Publication got = read(R"({"data":"new"})");
  EXPECT_EQ(got.event, "");
  EXPECT_EQ(got.topic, "");
  EXPECT_FALSE(got.retry_ms.has_value());
}

TEST_F(PublicationTest, ParserMayBeMoved) {
  PublicationParser moved = std::move(parser_);
  EXPECT_EQ(moved.parse(R"({"data":"x"})").value().data, "x");
}

TEST_F(PublicationTest, SmallMessagesAreReadWithoutAllocation) {
  const std::string_view text =
      R"({"event":"install","data":"a line\nand another","topic":"orders","retry":5000})";
  const std::string_view object = R"({"data":{"a":[1,2,{"b":"c"}]},"event":"install"})";
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 100; ++i) {
    if (!parser_.parse(text).ok() || !parser_.parse(object).ok()) FAIL();
  }
  EXPECT_EQ(test::allocations(), before);
  const std::string large(100'000, ' ');
  EXPECT_TRUE(parser_.parse(large + std::string(text)).ok());
  EXPECT_GT(test::allocations(), before) << "the buffers grow for a large one";
}

// The reader asks only for parts of a document and checks them itself; the other half of the
// library reads whole documents, and must agree with it on what JSON is.
TEST_F(PublicationTest, NothingIsAcceptedThatAWholeDocumentParserRefuses) {
  const std::vector<std::string> seeds = {
      R"({"event":"e","data":{"a":[1,2.5,"x\u00e9",true,null],"b":{}},"topic":"t","retry":10})",
      R"({"data":[[[]],[{}],-0.5e+7,false,"\ud83d\ude00"]})",
      R"({ "data" : "text\n" , "event" : "x" })"};
  const std::string alphabet = "{}[]\",:\\u0019.eE+-tfn x\n\xc3\xa9";
  std::mt19937 random(33);
  simdjson::dom::parser whole;
  std::size_t accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string json = seeds[random() % seeds.size()];
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % json.size();
      switch (random() % 3) {
        case 0:
          json[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          json.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        default:
          json.erase(at, 1);
      }
    }
    const auto result = parser_.parse(json);
    const auto error = whole.parse(json).error();
    if (result.ok()) {
      ++accepted;
      // It refuses numbers that fit into no machine type; these are delivered as they are.
      ASSERT_TRUE(error == simdjson::SUCCESS || error == simdjson::NUMBER_ERROR) << json;
    } else if (result.error().message == "body: not valid JSON" ||
               result.error().message == "body: not valid UTF-8") {
      ASSERT_NE(error, simdjson::SUCCESS) << json;
    }
  }
  EXPECT_GT(accepted, 1000u);
}

}  // namespace
}  // namespace ringcast::hub
