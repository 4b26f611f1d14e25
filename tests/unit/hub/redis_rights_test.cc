#include "redis_rights.h"

#include <cctype>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/hub/redis_store.h"

#include "log_capture.h"
#include "redis_server.h"

// Against a real Redis, whose rules for users are what is tested.
namespace ringcast::hub {
namespace {

using test::RedisClient;
using test::RedisServer;

RedisOptions options(const std::string& url) {
  RedisOptions options;
  options.url = url;
  return options;
}

std::string failure(const RedisOptions& options) {
  const test::LogCapture log;
  const auto start = check_redis(options, {});
  return start ? "started" : start.error().message;
}

/// `redis://` with what stands before the host, and behind.
std::string url_of(const RedisServer& server, const std::string& credentials,
                   const std::string& behind = "") {
  return "redis://" + credentials + "127.0.0.1:" + std::to_string(server.port()) + behind;
}

class RedisRights : public testing::Test {
 protected:
  RedisRights() : redis_(server_) {}

  void allow(const std::string& rule) {
    std::istringstream words(rule);
    std::vector<std::string> command;
    for (std::string word; words >> word;) {
      command.push_back(word == ">PASSWORD" ? ">secret" : unquoted(word));
    }
    const auto reply = redis_(command);
    ASSERT_FALSE(reply.is_error()) << reply.text << ": " << rule;
  }
  /// As redis-cli takes an argument.
  static std::string unquoted(const std::string& word) {
    if (!word.starts_with('"')) return word;
    std::string out;
    for (std::size_t i = 1; i + 1 < word.size(); ++i) {
      if (word[i] == '\\') ++i;
      out += word[i];
    }
    return out;
  }
  [[nodiscard]] std::string rule() const {
    const RedisOptions options;
    return sufficient_rule(parse_redis_url(url()).value(), RedisKeys(options));
  }
  [[nodiscard]] std::string url() const { return url_of(server_, "bridge:secret@"); }

  RedisServer server_;
  RedisClient redis_;
};

TEST_F(RedisRights, TheRuleThatIsShownIsEnough) {
  allow(rule());
  EXPECT_EQ(failure(options(url())), "started");
  const std::string shown = failure(options(url_of(server_, "bridge:wrong@")));
  EXPECT_NE(shown, "started");
}

TEST(RedisRule, IsTheOneThatTheDocumentationShows) {
  const std::string rule = sufficient_rule({}, RedisKeys({}));
  std::ifstream page(REDIS_PAGE);
  ASSERT_TRUE(page.is_open()) << REDIS_PAGE;
  bool shown = false;
  for (std::string line; std::getline(page, line);) shown = shown || line == rule;
  EXPECT_TRUE(shown) << rule;
}

TEST_F(RedisRights, WithoutAnyTheErrorNamesAllAndTheWholeRule) {
  allow("ACL SETUSER bridge on >secret");
  const std::string found = failure(options(url()));
  EXPECT_NE(found.find("does not let the user \"bridge\" use"), std::string::npos) << found;
  EXPECT_NE(found.find(rule()), std::string::npos) << found;
  EXPECT_EQ(found.find("secret"), std::string::npos) << found;
}

TEST_F(RedisRights, EachCommandThatIsMissingIsNamed) {
  std::istringstream words(rule());
  int tried = 0;
  for (std::string word; words >> word;) {
    if (!word.starts_with("+")) continue;
    allow(rule() + " -" + word.substr(1, word.find('|') - 1));
    const std::string found = failure(options(url_of(server_, "bridge:secret@", "/1")));
    std::string name;
    for (const char c : word.substr(1)) {
      name += c == '|' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    EXPECT_NE(found.find(name), std::string::npos) << word << ": " << found;
    EXPECT_NE(found.find(rule()), std::string::npos) << word << ": " << found;
    EXPECT_EQ(found.find("the keys"), std::string::npos) << word << ": " << found;
    ++tried;
  }
  EXPECT_GT(tried, 20);
  allow(rule());
  EXPECT_EQ(failure(options(url_of(server_, "bridge:secret@", "/1"))), "started");
}

TEST_F(RedisRights, EachKeyAndChannelThatIsMissingIsNamed) {
  const auto missing_after = [&](const std::string& keys, const std::string& channels) {
    allow(rule() + " resetkeys " + keys + " resetchannels " + channels);
    return failure(options(url()));
  };
  const std::string all = "~ringcast:events ~ringcast:events:*";
  const std::string both = "&events &ringcast:events:marks";
  EXPECT_EQ(missing_after(all, both), "started");
  EXPECT_NE(missing_after("~ringcast:events:*", both).find("use the keys ringcast:events, "),
            std::string::npos);
  EXPECT_NE(missing_after("~ringcast:events", both).find("ringcast:events:relay, "),
            std::string::npos);
  EXPECT_NE(missing_after("%R~ringcast:events* ", both).find("the keys ringcast:events"),
            std::string::npos);
  EXPECT_NE(missing_after(all, "&events").find("use the channels ringcast:events:marks. "),
            std::string::npos);
  EXPECT_NE(missing_after(all, "&ringcast:events:marks").find("use the channels events. "),
            std::string::npos);
}

TEST_F(RedisRights, NamesWithSignsOfPatternsAreMeantLiterally) {
  RedisOptions odd = options(url());
  odd.stream = "s[a]*?";
  odd.channel = "c*";
  const std::string its = sufficient_rule(parse_redis_url(url()).value(), RedisKeys(odd));
  allow(its);
  EXPECT_EQ(failure(odd), "started") << its;
  odd.stream = "sa]*?";
  EXPECT_NE(failure(odd), "started") << its;
  odd.stream = "s[a]*?";
  odd.channel = "cc";
  EXPECT_NE(failure(odd), "started") << its;
}

}  // namespace
}  // namespace ringcast::hub
