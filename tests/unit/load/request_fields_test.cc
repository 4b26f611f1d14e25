#include "load/request_fields.h"

#include <cstdio>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(CheckHeader, TakesWhatARequestMayHave) {
  for (const char* text : {"Authorization: Bearer a.b.c", "Cookie: token=x", "X-Empty:x",
                           "x!#$%&'*+-.^_`|~9: a\tb", "Accept-Language: de, en;q=0.8"}) {
    EXPECT_TRUE(check_header(text).ok()) << text;
  }
}

TEST(CheckHeader, RefusesWhatWouldBeAnotherRequest) {
  for (const std::string& text :
       {std::string{"X: a\r\nY: b"}, std::string{"X: a\n"}, std::string{"X: a\rb"},
        std::string{"X: a\0b", 6}, std::string{"X: \x7f"}, std::string{"X\r\nY: b"},
        std::string{"no colon"}, std::string{": value"}, std::string{"two words: value"},
        std::string{"X:"}, std::string{"X: \t "}, std::string{}, std::string{"X\xc3\xa4: value"},
        std::string{"host: other"}, std::string{"Content-Length: 0"},
        std::string{"TRANSFER-ENCODING: chunked"}, std::string{"Connection: close"}}) {
    EXPECT_FALSE(check_header(text).ok()) << text;
  }
}

TEST(CheckHeader, BoundsTheLength) {
  const std::string name = "X: ";
  EXPECT_TRUE(check_header(name + std::string(kHeaderBytesMax - name.size(), 'x')).ok());
  EXPECT_FALSE(check_header(name + std::string(kHeaderBytesMax - name.size() + 1, 'x')).ok());
}

TEST(CheckTokenPrefix, NeedsANameAndNoValue) {
  EXPECT_TRUE(check_token_prefix("Authorization: Bearer ").ok());
  EXPECT_TRUE(check_token_prefix("X-Token: ").ok());
  EXPECT_FALSE(check_token_prefix("Bearer ").ok());
  EXPECT_FALSE(check_token_prefix("X-Token: \r\n").ok());
}

class ReadTokens : public ::testing::Test {
 protected:
  ~ReadTokens() override { std::remove(path_.c_str()); }

  Result<std::vector<std::string>> read(const std::string& text) {
    std::ofstream{path_, std::ios::binary} << text;
    return read_tokens(path_);
  }

  std::string path_ = ::testing::TempDir() + "ringcast-load-tokens-" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ReadTokens, TakesOneALine) {
  const auto tokens = read("a.b.c\nd.e.f\n");
  ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  EXPECT_EQ(tokens.value(), (std::vector<std::string>{"a.b.c", "d.e.f"}));
  EXPECT_EQ(read("a.b.c\nlast").value().size(), 2U);
  EXPECT_TRUE(read(std::string(kHeaderBytesMax, 'x')).ok());
}

TEST_F(ReadTokens, NamesTheLineThatIsNone) {
  for (const std::string& second :
       {std::string{"\n"}, std::string{"a b\n"}, std::string{"a\r\n"}, std::string{"\xc3\xa4\n"},
        std::string(kHeaderBytesMax + 1, 'x')}) {
    const auto tokens = read("first\n" + second);
    ASSERT_FALSE(tokens.ok()) << second.substr(0, 10);
    EXPECT_NE(tokens.error().message.find(path_ + ": line 2: "), std::string::npos)
        << tokens.error().message;
  }
}

TEST_F(ReadTokens, RefusesAFileWithoutAny) {
  EXPECT_FALSE(read("").ok());
  std::remove(path_.c_str());
  EXPECT_FALSE(read_tokens(path_).ok());
}

}  // namespace
}  // namespace ringcast::load
