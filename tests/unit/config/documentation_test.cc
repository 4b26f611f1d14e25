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

/// Every row `| `key` | type | `default` | …` below a heading `## [section]`.
std::vector<Row> documented() {
  static const std::regex heading(R"(## \[([a-z._]+)\])");
  static const std::regex row(R"(\| `([a-z_]+)` \| [^|]+ \| `([^`]+)` \| .*\|)");
  std::ifstream page(CONFIGURATION_PAGE);
  EXPECT_TRUE(page.is_open()) << CONFIGURATION_PAGE;
  std::vector<Row> rows;
  std::string section;
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (std::regex_match(line, match, heading)) {
      section = match[1];
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
    const std::string toml = "[" + row.section + "]\n" + row.key + " = " + row.default_value + "\n";
    const auto config = parse(toml, "page");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(config.value(), defaults()) << toml;
  }
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
