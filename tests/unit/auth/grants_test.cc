#include "ringcast/auth/grants.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::auth {
namespace {

bool covers(const std::string& pattern, std::string_view topic, std::string_view self = "alice") {
  const std::vector<std::string> patterns{pattern};
  return allows(patterns, topic, self);
}

std::string fault(std::string_view pattern) {
  const auto checked = check_pattern(pattern);
  return checked ? "" : checked.error().message;
}

TEST(Grants, StarCoversEveryTopicAndThePublicRoom) {
  EXPECT_TRUE(covers("*", ""));
  EXPECT_TRUE(covers("*", "orders"));
  EXPECT_TRUE(covers("*", "user/bob"));
  EXPECT_TRUE(covers("*", "*"));
}

TEST(Grants, EmptyPatternCoversThePublicRoomAlone) {
  EXPECT_TRUE(covers("", ""));
  EXPECT_FALSE(covers("", "orders"));
  EXPECT_FALSE(covers("orders", ""));
}

TEST(Grants, NameCoversThatTopicAlone) {
  EXPECT_TRUE(covers("orders", "orders"));
  EXPECT_FALSE(covers("orders", "orders/1"));
  EXPECT_FALSE(covers("orders", "order"));
  EXPECT_FALSE(covers("orders", "Orders"));
  EXPECT_FALSE(covers("orders", "my/orders"));
}

TEST(Grants, SlashStarCoversWhatGoesOnBehindTheSlash) {
  EXPECT_TRUE(covers("user/*", "user/bob"));
  EXPECT_TRUE(covers("user/*", "user/bob/devices"));
  EXPECT_TRUE(covers("/*", "/x"));
  EXPECT_FALSE(covers("user/*", "user/"));
  EXPECT_FALSE(covers("user/*", "user"));
  EXPECT_FALSE(covers("user/*", "users/bob"));
  EXPECT_FALSE(covers("user/*", ""));
  EXPECT_FALSE(covers("/*", "/"));
  EXPECT_FALSE(covers("/*", "x"));
}

TEST(Grants, SelfIsTheNameOfTheUser) {
  EXPECT_TRUE(covers("{self}", "alice"));
  EXPECT_TRUE(covers("orders/{self}", "orders/alice"));
  EXPECT_TRUE(covers("{self}/*", "alice/inbox"));
  EXPECT_TRUE(covers("a-{self}-z/*", "a-alice-z/1"));
  EXPECT_FALSE(covers("orders/{self}", "orders/bob"));
  EXPECT_FALSE(covers("orders/{self}", "orders/alice2"));
  EXPECT_FALSE(covers("orders/{self}", "orders/{self}"));
  EXPECT_FALSE(covers("{self}/*", "alice/"));
  EXPECT_FALSE(covers("{self}/*", "alicex/inbox"));
}

TEST(Grants, NameIsNeverReadAsAPattern) {
  EXPECT_FALSE(covers("{self}", "orders", "*"));
  EXPECT_FALSE(covers("{self}", "", "*"));
  EXPECT_TRUE(covers("{self}", "*", "*"));
  EXPECT_FALSE(covers("orders/{self}", "orders/1", "*"));
  EXPECT_FALSE(covers("{self}", "user/bob", "user/*"));
  EXPECT_FALSE(covers("orders/{self}", "orders/orders/", "{self}"));
  EXPECT_TRUE(covers("orders/{self}", "orders/{self}", "{self}"));
}

TEST(Grants, SelfOfNobodyCoversNothing) {
  EXPECT_FALSE(covers("{self}", "", ""));
  EXPECT_FALSE(covers("{self}/*", "/x", ""));
  EXPECT_FALSE(covers("orders/{self}", "orders/", ""));
}

TEST(Grants, OnePatternOfTheListIsEnough) {
  const std::vector<std::string> patterns{"orders", "user/*"};
  EXPECT_TRUE(allows(patterns, "orders", "alice"));
  EXPECT_TRUE(allows(patterns, "user/bob", "alice"));
  EXPECT_FALSE(allows(patterns, "stock", "alice"));
  EXPECT_FALSE(allows({}, "orders", "alice"));
  EXPECT_FALSE(allows({}, "", "alice"));
}

TEST(Grants, UncheckedPatternCoversNoMoreThanItsText) {
  EXPECT_FALSE(covers("a*", "ab"));
  EXPECT_TRUE(covers("a*", "a*"));
  EXPECT_FALSE(covers("*/b", "a/b"));
  EXPECT_FALSE(covers("**", "a"));
  EXPECT_FALSE(covers("{self}{self}", "alicealice"));
  EXPECT_FALSE(covers("{other}", "alice"));
}

TEST(Grants, CheckSaysWhatIsWrongWithAPattern) {
  for (const char* const good : {"*", "", "orders", "user/*", "/*", "{self}", "orders/{self}",
                                 "{self}/*", "a{self}b/*", "}", "żółw/*"}) {
    EXPECT_EQ(fault(good), "") << good;
  }
  const std::string star = "`*` may only stand alone, or at the end behind a `/`";
  for (const char* const bad : {"a*", "**", "*/", "*/*", "a/*/b", "a/**", "{self}*", " *", "* "}) {
    EXPECT_EQ(fault(bad), star) << bad;
  }
  EXPECT_EQ(fault("{self}/{self}"), "`{self}` may stand there only once");
  EXPECT_EQ(fault("{self}{"), "`{` may only stand in `{self}`");
  EXPECT_EQ(fault("{user}"), "`{` may only stand in `{self}`");
  EXPECT_EQ(fault("{{self}}"), "`{` may only stand in `{self}`");
  EXPECT_EQ(fault("a\nb"), "must not contain control characters");
  EXPECT_EQ(fault(std::string_view("a\0b", 3)), "must not contain control characters");
  EXPECT_EQ(fault("a\xc2\x85"), "must not contain control characters");
  EXPECT_EQ(fault("a\xff"), "not valid UTF-8");
  EXPECT_EQ(fault("a\xc2"), "not valid UTF-8");
  EXPECT_EQ(fault(std::string(256, 'a')), "");
  EXPECT_EQ(fault(std::string(257, 'a')), "longer than 256 bytes");
}

TEST(Grants, UserNameIsShortTextWithoutControlCharacters) {
  for (const char* const good : {"a", "alice", "Zażółć", "a b", "a/b", "*", "{self}", "\u00a0"}) {
    EXPECT_EQ(user_name_fault(good), "") << good;
  }
  EXPECT_EQ(user_name_fault(std::string(128, 'a')), "");
  EXPECT_EQ(user_name_fault(""), "must not be empty");
  EXPECT_EQ(user_name_fault(std::string(129, 'a')), "longer than 128 bytes");
  EXPECT_EQ(user_name_fault("a\x7f"), "must not contain control characters");
  EXPECT_EQ(user_name_fault("\u009f"), "must not contain control characters");
  EXPECT_EQ(user_name_fault("\t"), "must not contain control characters");
  EXPECT_EQ(user_name_fault("\xed\xa0\x80"), "not valid UTF-8");
}

TEST(Grants, OwnTopicIsUserSlashName) {
  EXPECT_TRUE(is_own_topic("user/alice", "alice"));
  EXPECT_TRUE(is_own_topic("user/a/b", "a/b"));
  EXPECT_FALSE(is_own_topic("user/alice2", "alice"));
  EXPECT_FALSE(is_own_topic("user/alic", "alice"));
  EXPECT_FALSE(is_own_topic("user/a/b", "a"));
  EXPECT_FALSE(is_own_topic("alice", "alice"));
  EXPECT_FALSE(is_own_topic("User/alice", "alice"));
  EXPECT_FALSE(is_own_topic("user/", ""));
}

// The model takes patterns and topics apart in its own way: a pattern is a row of characters to be
// met one by one, of which one may stand for any number of others.
bool model_is_pattern(std::string text) {
  if (text == "*") return true;
  if (text.ends_with("/*")) text.pop_back();
  if (const auto at = text.find("{self}"); at != std::string::npos) text.erase(at, 6);
  return text.find_first_of("{*") == std::string::npos;
}

constexpr int kAnything = -1;      // any number of characters
constexpr int kAnyCharacter = -2;  // one

bool model_meets(const std::vector<int>& row, std::size_t at, std::string_view topic) {
  if (at == row.size()) return topic.empty();
  if (row[at] == kAnything) {
    for (std::size_t taken = 0; taken <= topic.size(); ++taken) {
      if (model_meets(row, at + 1, topic.substr(taken))) return true;
    }
    return false;
  }
  return !topic.empty() && (row[at] == kAnyCharacter || row[at] == topic.front()) &&
         model_meets(row, at + 1, topic.substr(1));
}

bool model_covers(const std::string& pattern, std::string_view topic, std::string_view self) {
  std::vector<int> row;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*') {
      if (i > 0) row.push_back(kAnyCharacter);
      row.push_back(kAnything);
    } else if (pattern[i] == '{') {
      row.insert(row.end(), self.begin(), self.end());
      i = pattern.find('}', i);
    } else {
      row.push_back(pattern[i]);
    }
  }
  return model_meets(row, 0, topic);
}

TEST(Grants, RandomPatternsCoverWhatTheModelSays) {
  std::mt19937 random(20260);
  const auto text_of = [&random](std::initializer_list<const char*> pieces, unsigned most) {
    std::string text;
    for (auto n = random() % (most + 1); n > 0; --n)
      text += pieces.begin()[random() % pieces.size()];
    return text;
  };
  int patterns = 0;
  int covered = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::string pattern = text_of({"a", "b", "/", "*", "{self}", "/*", "{"}, 4);
    const std::string topic = text_of({"a", "b", "/", "*", "{self}"}, 4);
    const std::string self = "a" + text_of({"a", "b", "/", "*", "{self}"}, 2);
    ASSERT_EQ(check_pattern(pattern).ok(), model_is_pattern(pattern)) << pattern;
    if (!model_is_pattern(pattern)) continue;
    ++patterns;
    const bool wanted = model_covers(pattern, topic, self);
    covered += wanted ? 1 : 0;
    ASSERT_EQ(covers(pattern, topic, self), wanted)
        << '"' << pattern << "\" \"" << topic << "\" for \"" << self << '"';
  }
  EXPECT_GT(patterns, 5'000);
  EXPECT_GT(covered, 500);
}

}  // namespace
}  // namespace ringcast::auth
