#include "ringcast/http/origin.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

using namespace std::string_literals;

std::string parsed(std::string_view text) {
  const auto origin = parse_origin(text);
  return origin ? origin->text : "(none)";
}

TEST(ParseOrigin, GivesTheFormThatABrowserSends) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://app.example.com", "https://app.example.com"},
      {"http://app.example.com:8080", "http://app.example.com:8080"},
      {"HTTPS://App.Example.COM", "https://app.example.com"},
      {"https://app.example.com:443", "https://app.example.com"},
      {"http://app.example.com:80", "http://app.example.com"},
      {"https://app.example.com:80", "https://app.example.com:80"},
      {"http://app.example.com:443", "http://app.example.com:443"},
      {"http://localhost:5173", "http://localhost:5173"},
      {"http://a_b-c", "http://a_b-c"},
      {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
      {"https://example.com.", "https://example.com."},
      {"http://192.0.2.7:65535", "http://192.0.2.7:65535"},
      {"http://1.example", "http://1.example"},
      {"http://4711a", "http://4711a"},
      {"http://[::1]:8080", "http://[::1]:8080"},
      {"http://[2001:DB8:0:0:0:0:0:7]", "http://[2001:db8::7]"},
      {"http://[2001:db8:0:0:1:0:0:1]", "http://[2001:db8::1:0:0:1]"},
      {"http://[2001:0:0:1:0:0:0:1]", "http://[2001:0:0:1::1]"},
      {"http://[2001:db8:0:1:1:1:1:1]", "http://[2001:db8:0:1:1:1:1:1]"},
      {"http://[0:0:0:0:0:0:0:0]:80", "http://[::]"},
      {"http://[1:2:3:4:5:6:0:0]", "http://[1:2:3:4:5:6::]"},
      {"http://[::ffff:192.0.2.7]", "http://[::ffff:c000:207]"},
      {"null", "null"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(parsed(text), expected);
    EXPECT_EQ(parsed(expected), expected) << "its own form is kept";
  }
}

TEST(ParseOrigin, GivesNothingForWhatNoBrowserSends) {
  const std::string cases[] = {
      "",
      "*",
      "NULL",
      "null ",
      "null, null",
      "app.example.com",
      "//app.example.com",
      "https:app.example.com",
      "https:/app.example.com",
      "https://",
      "https:// ",
      "https://:443",
      "https://app.example.com/",
      "https://app.example.com/path",
      "https://app.example.com?q",
      "https://app.example.com#f",
      "https://app.example.com\\",
      "https://user@app.example.com",
      "https://user:word@app.example.com",
      "https://app.example.com:",
      "https://app.example.com:0",
      "https://app.example.com:0443",
      "https://app.example.com:65536",
      "https://app.example.com:100000",
      "https://app.example.com:4294967739",
      "https://app.example.com:+1",
      "https://app.example.com:80:80",
      "https://app.example.com:x",
      "https://app.example.com https://b",
      "https://app.example.com, https://b",
      " https://app.example.com",
      "https://app.example.com ",
      "https://app.example.com\r\nX: y",
      "https://app.example.com\n",
      "https://app.example.com\0"s,
      "https://app\0.example.com"s,
      "https://\xc3\xbc.example",
      "https://%61.example",
      "https://*.example.org",
      "https://.example.com",
      "https://example..com",
      "https://example.com..",
      "https://.",
      "https://[::1",
      "https://::1",
      "https://[]",
      "https://[::1]x",
      "https://[::1]:",
      "https://[fe80::1%25eth0]",
      "https://[192.0.2.7]",
      "https://[::1\0]"s,
      "https://x[::1]",
      "https://127.1",
      "https://127.0.0.1.",
      "https://127.0.0.01",
      "https://0x7f.0.0.1",
      "https://a.0x7f",
      "https://a.0x",
      "https://2130706433",
      "https://256.0.0.1",
      "https://1.2.3.4.5",
      "ftp://app.example.com",
      "file://",
      "chrome-extension://abc",
      "httpss://app.example.com",
  };
  for (const std::string& text : cases) {
    EXPECT_EQ(parsed(text), "(none)") << testing::PrintToString(text);
  }
}

TEST(ParseOrigin, TakesUpTo300Bytes) {
  const std::string prefix = "https://";
  EXPECT_EQ(parsed(prefix + std::string(292, 'a')), prefix + std::string(292, 'a'));
  EXPECT_EQ(parsed(prefix + std::string(293, 'a')), "(none)");
  EXPECT_EQ(parsed(std::string(std::size_t{1} << 20, 'a')), "(none)");
}

TEST(ParseOrigin, LetsNothingThroughThatAHeaderCouldBeSplitWith) {
  constexpr std::string_view kPieces[] = {
      "https://", "http://", "a",      "B", "0",  "1.2.3.4", ".",    "-",  "_",    ":",   "80",
      "443",      "[::1]",   "[",      "]", "::", "\r\n",    "\n",   "\r", " ",    ",",   "\t",
      "null",     "*",       "%0d%0a", "/", "\\", "@",       "\xff", "x",  "9999", "0x1",
  };
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789.-_:/[]";
  std::mt19937 random(6454);
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text = round % 4 == 0 ? "" : "https://";
    for (std::size_t i = random() % 6; i > 0; --i) text += kPieces[random() % std::size(kPieces)];
    if (random() % 8 == 0 && !text.empty())
      text[random() % text.size()] = static_cast<char>(random());
    const auto origin = parse_origin(text);
    if (!origin) continue;
    ++accepted;
    ASSERT_EQ(origin->text.find_first_not_of(kAllowed), std::string::npos)
        << testing::PrintToString(text);
    ASSERT_EQ(parse_origin(origin->text), origin) << testing::PrintToString(text);
  }
  EXPECT_GT(accepted, 10'000);
}

TEST(SameOrigin, IsThatOfTheHostThatTheRequestNames) {
  struct Case {
    const char *origin, *host;
    bool plain, secure;
  };
  const Case cases[] = {
      {"http://push.example.com", "push.example.com", true, false},
      {"https://push.example.com", "push.example.com", true, true},
      {"https://push.example.com", "PUSH.example.com:443", true, true},
      {"https://push.example.com", "push.example.com:80", false, false},
      {"http://push.example.com", "push.example.com:80", true, false},
      {"http://push.example.com", "push.example.com:443", false, false},
      {"http://push.example.com:8080", "push.example.com:8080", true, false},
      {"https://push.example.com:8443", "push.example.com:8443", true, true},
      {"https://push.example.com:8443", "push.example.com", false, false},
      {"https://push.example.com", "push.example.com:8443", false, false},
      {"https://app.example.com", "push.example.com", false, false},
      {"https://example.com", "push.example.com", false, false},
      {"https://push.example.com", "example.com", false, false},
      {"https://push.example.com", "push.example.com.", false, false},
      {"http://[::1]:8080", "[::1]:8080", true, false},
      {"http://[::1]:8080", "[0:0::1]:8080", true, false},
      {"http://127.0.0.1:8080", "127.0.0.1:8080", true, false},
      {"http://127.0.0.1:8080", "localhost:8080", false, false},
      {"https://push.example.com", "", false, false},
      {"https://push.example.com", "push.example.com, x", false, false},
      {"https://push.example.com", "x@push.example.com", false, false},
      {"null", "", false, false},
      {"null", "null", false, false},
  };
  for (const Case& c : cases) {
    const auto origin = parse_origin(c.origin);
    ASSERT_TRUE(origin.has_value()) << c.origin;
    EXPECT_EQ(is_same_origin(*origin, c.host, false), c.plain) << c.origin << ' ' << c.host;
    EXPECT_EQ(is_same_origin(*origin, c.host, true), c.secure) << c.origin << ' ' << c.host;
  }
}

TEST(SameOrigin, IsFalseForAHostOfAnyLength) {
  const Origin origin{"https://push.example.com"};
  EXPECT_FALSE(is_same_origin(origin, std::string(std::size_t{1} << 20, 'a'), true));
}

}  // namespace
}  // namespace ringcast::http
