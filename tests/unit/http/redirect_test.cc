#include "ringcast/http/redirect.h"

#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

constexpr std::string_view kOrigin = "https://events.example.com";

std::optional<std::string> moved(std::string_view path, std::string_view query = {}) {
  Request request;
  request.path = path;
  request.query = query;
  return moved_to(kOrigin, request);
}

TEST(MovedTo, KeepsPathAndQuery) {
  EXPECT_EQ(moved("/"), "https://events.example.com/");
  EXPECT_EQ(moved("/events", "topic=a%2Fb&last_event_id=1-0"),
            "https://events.example.com/events?topic=a%2Fb&last_event_id=1-0");
  EXPECT_EQ(moved("/a/b;c=1/@x:y", "q=?/"), "https://events.example.com/a/b;c=1/@x:y?q=?/");
}

TEST(MovedTo, NeverLeavesTheOrigin) {
  EXPECT_EQ(moved("//evil.example/x"), "https://events.example.com//evil.example/x");
  EXPECT_EQ(moved("/\\evil.example"), std::nullopt);
  EXPECT_EQ(moved("@evil.example/"), std::nullopt);
  EXPECT_EQ(moved(".evil.example/"), std::nullopt);
  EXPECT_EQ(moved("*"), std::nullopt);
  EXPECT_EQ(moved(""), std::nullopt);
}

TEST(MovedTo, IsOneLineOfWhatAnUriMayHold) {
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool allowed =
        std::isalnum(c) != 0 ||
        (c != 0 && std::string_view("-._~!$&'()*+,;=:@%/?").find(byte) != std::string_view::npos);
    if (c >= 128) {
      EXPECT_EQ(moved(std::string("/") + byte), std::nullopt) << c;
      continue;
    }
    EXPECT_EQ(moved(std::string("/") + byte).has_value(), allowed) << c;
    EXPECT_EQ(moved("/", std::string("a=") + byte).has_value(), allowed) << c;
  }
}

}  // namespace
}  // namespace ringcast::http
