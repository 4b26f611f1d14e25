#include "base64url.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace {

using namespace ringcast::auth;

std::optional<std::string> decode(std::string_view text) {
  std::array<unsigned char, 256> out{};
  const auto size = decode_base64url(text, out);
  if (!size) return std::nullopt;
  EXPECT_LE(*size, base64url_bytes(text.size()));
  return std::string(reinterpret_cast<const char*>(out.data()), *size);
}

std::string encode(std::string_view bytes) {
  std::string text;
  append_base64url(text, bytes);
  return text;
}

// RFC 4648 section 10, without the padding.
TEST(Base64url, SpellsTheExamplesOfItsStandard) {
  const std::array<std::pair<std::string_view, std::string_view>, 7> examples = {{
      {"", ""},
      {"f", "Zg"},
      {"fo", "Zm8"},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg"},
      {"fooba", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy"},
  }};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(encode(bytes), text);
    EXPECT_EQ(decode(text), bytes);
  }
  EXPECT_EQ(encode("\xfb\xff\xfe"), "-__-");
  EXPECT_EQ(decode("-__-"), "\xfb\xff\xfe");
}

TEST(Base64url, TakesBackEveryByteAtEveryPlace) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t size = 1; size <= 5; ++size) {
      for (std::size_t at = 0; at < size; ++at) {
        std::string bytes(size, 'x');
        bytes[at] = static_cast<char>(byte);
        EXPECT_EQ(decode(encode(bytes)), bytes);
      }
    }
  }
}

TEST(Base64url, RefusesEveryByteThatIsNoDigitAtEveryPlace) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (kDigits.find(c) != std::string_view::npos) continue;
    for (const std::string_view good : {"AAAA", "AAA", "AA", "AAAAAAAA", "AAAAAAA"}) {
      for (std::size_t at = 0; at < good.size(); ++at) {
        std::string text(good);
        text[at] = c;
        EXPECT_FALSE(decode(text)) << byte << " at " << at;
      }
    }
  }
}

TEST(Base64url, RefusesPaddingAndALonelyDigit) {
  for (const std::string_view text : {"Zg==", "Zm8=", "Zm9v=", "=", "A", "AAAAA", "Zg=", "Zg\n"}) {
    EXPECT_FALSE(decode(text)) << text;
  }
}

// RFC 4648 section 3.5: else several texts would stand for the same bytes.
TEST(Base64url, AcceptsOneSpellingOfTheLastDigitOnly) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int of_two = 0;
  int of_three = 0;
  for (const char digit : kDigits) {
    of_two += decode(std::string("Z") + digit) ? 1 : 0;
    of_three += decode(std::string("Zm") + digit) ? 1 : 0;
  }
  EXPECT_EQ(of_two, 4);
  EXPECT_EQ(of_three, 16);
}

}  // namespace
