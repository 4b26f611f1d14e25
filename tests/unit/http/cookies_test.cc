#include "ringcast/http/cookies.h"

#include <gtest/gtest.h>

namespace ringcast::http {
namespace {

using Found = std::optional<std::string_view>;

TEST(FindCookie, GivesTheValueOfTheName) {
  struct Case {
    std::string_view header;
    Found value;
  };
  const Case cases[] = {
      {"token=abc", "abc"},
      {"a=1; token=abc; b=2", "abc"},
      {"a=1;token=abc;b=2", "abc"},
      {"a=1;\t token \t=  abc  ; b=2", "abc"},
      {"token=a=b==", "a=b=="},
      {"token=", ""},
      {"token=\"abc\"", "abc"},
      {"token=\"\"", ""},
      {"token=\"", "\""},
      {"token=\"abc", "\"abc"},
      {"token=first; token=second", "first"},
      {"token=; token=second", ""},
      {"", std::nullopt},
      {";;; ;", std::nullopt},
      {"token", std::nullopt},
      {"token; token=abc", "abc"},
      {"Token=abc", std::nullopt},
      {"xtoken=abc", std::nullopt},
      {"tokenx=abc", std::nullopt},
      {"a=token=abc", std::nullopt},
      {"=token=abc", std::nullopt},
      {"a=\"; token=abc\"", "abc\""},
  };
  for (const Case& c : cases) EXPECT_EQ(find_cookie(c.header, "token"), c.value) << c.header;
}

TEST(FindCookie, PointsIntoTheHeader) {
  const std::string_view header = "a=1; token=abc";
  const Found value = find_cookie(header, "token");
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->data(), header.data() + header.find("abc"));
}

}  // namespace
}  // namespace ringcast::http
