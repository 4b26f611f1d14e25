#include <algorithm>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/config/config.h"

// The page is for people, and what they read there must be what the parser does.
namespace ringcast::config {
namespace {

struct Row {
  std::string section;
  std::string key;
  std::string default_value;
};

/// Every row `| `key` | type | `default` | …` below a heading `## [section]`; NAME in that stands
/// for any name, as `*` does in known_keys.
std::vector<Row> documented() {
  static const std::regex heading(R"(## \[([a-z._]+)(NAME)?\])");
  static const std::regex row(R"(\| `([a-z_]+)` \| [^|]+ \| `([^`]+)` \| .*\|)");
  std::ifstream page(CONFIGURATION_PAGE);
  EXPECT_TRUE(page.is_open()) << CONFIGURATION_PAGE;
  std::vector<Row> rows;
  std::string section;
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (std::regex_match(line, match, heading)) {
      section = match[1].str() + (match[2].matched ? "*" : "");
    } else if (line.starts_with("#")) {
      section.clear();
    } else if (line == "| Pattern | Covers |") {
      section.clear();
    } else if (!section.empty() && std::regex_match(line, match, row)) {
      rows.push_back({section, match[1], match[2]});
    } else if (!section.empty() && line.starts_with("| `")) {
      ADD_FAILURE() << "a row that the test cannot read: " << line;
    }
  }
  return rows;
}

TEST(Documentation, EachKeyThatIsAcceptedHasARow) {
  std::vector<std::string> names;
  for (const Row& row : documented()) names.push_back(row.section + "." + row.key);
  std::vector<std::string> known = known_keys();
  std::ranges::sort(names);
  std::ranges::sort(known);
  EXPECT_EQ(names, known);
}

TEST(Documentation, EachRowIsAcceptedWithItsDefault) {
  for (const Row& row : documented()) {
    Config expected = defaults();
    std::string section = row.section;
    if (const std::size_t star = section.find('*'); star != std::string::npos) {
      section.replace(star, 1, "\"*\"");
      expected.auth.grants["*"];  // a section without a key is one, too
    }
    const std::string toml = "[" + section + "]\n" + row.key + " = " + row.default_value + "\n";
    const auto config = parse(toml, "page");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(config.value(), expected) << toml;
  }
}

TEST(Documentation, TheExampleIsAcceptedAndItsOtherValuesAreTheDefaults) {
  std::ifstream page(CONFIGURATION_PAGE);
  std::string example;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "```toml") {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      example += line + "\n";
    }
  }
  const auto config = parse(example, "page");
  ASSERT_TRUE(config.ok()) << config.error().message;
  Config expected = defaults();
  expected.auth.keys.secret_file = "jwt.secret";
  expected.auth.users_file = "users.htpasswd";
  expected.auth.grants["alice"] = {{"*"}, {"orders", "user/*"}};
  expected.cors.allow_origins = {"https://app.example.com", "https://*.example.org"};
  EXPECT_EQ(config.value(), expected);
}

TEST(Documentation, WhatTakesEffectAtOnceIsWhatNeedsNoRestart) {
  // One row of the table for [limits] names all keys of that kind.
  std::ifstream page(CONFIGURATION_PAGE);
  std::vector<std::string> shown;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `limits.")) continue;
    static const std::regex name("`(?:limits\\.)?([a-z_]+)`");
    for (std::sregex_iterator it(line.begin(), line.end(), name), end; it != end; ++it) {
      shown.push_back((*it)[1]);
    }
  }
  const Config config = defaults();
  std::vector<std::string> reloaded;
  for (const Row& row : documented()) {
    if (row.section != "limits") continue;
    // A value that differs from the default, whatever the default is.
    const bool text = row.default_value.starts_with('"');
    const std::string other = row.key == "refusal" ? "\"retry\"" : text ? "\"32KiB\"" : "7";
    const auto fresh = parse("limits." + row.key + " = " + other, "page");
    ASSERT_TRUE(fresh.ok()) << fresh.error().message;
    ASSERT_FALSE(fresh.value() == config) << row.key;
    if (restart_keys(config, fresh.value()).empty()) reloaded.push_back(row.key);
  }
  EXPECT_EQ(shown, reloaded);
}

TEST(Documentation, TheErrorsShownAreThoseOfTheParser) {
  std::ifstream page(CONFIGURATION_PAGE);
  std::string shown;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("ringcast.toml:")) shown += (shown.empty() ? "" : "\n") + line;
  }
  const auto refused = parse(
      "[server]\nshards = 300\npin = \"yes\"\ndrain_second = 5\n[stream]\nslow_consumer = "
      "\"drop\"\n",
      "ringcast.toml");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(shown, refused.error().message);
}

}  // namespace
}  // namespace ringcast::config
