#include "ringcast/page/assets.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::page {

// Written by embed.py from every_byte.bin.
const Asset* find_test_asset(std::string_view path);

namespace {

const std::filesystem::path kSources{RINGCAST_PAGE_SOURCES};

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The files of the page's folder that a browser gets, by the path they are served at.
std::vector<std::pair<std::string, std::filesystem::path>> served_files() {
  std::vector<std::pair<std::string, std::filesystem::path>> files;
  for (const auto& entry : std::filesystem::directory_iterator(kSources)) {
    const std::string name = entry.path().filename().string();
    const std::string suffix = entry.path().extension().string();
    if (suffix == ".py" || suffix == ".build" || suffix == ".json") continue;
    files.emplace_back(name == "live.html" ? "/" : "/" + name, entry.path());
  }
  return files;
}

std::vector<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

TEST(Assets, EveryFileOfThePageIsServedByteForByte) {
  const auto files = served_files();
  ASSERT_GE(files.size(), 5U);
  for (const auto& [path, file] : files) {
    const Asset* asset = find_asset(path);
    ASSERT_NE(asset, nullptr) << path;
    EXPECT_EQ(asset->path, path);
    EXPECT_EQ(asset->bytes, read(file)) << path;
  }
}

TEST(Assets, APathThatIsNotServedFindsNothing) {
  for (const char* path : {"", "/live.html", "live.css", "/LIVE.css", "/live.css?", "/../live.css",
                           "/embed.py", "/meson.build"}) {
    EXPECT_EQ(find_asset(path), nullptr) << path;
  }
}

TEST(Assets, ContentTypesAreThoseThatABrowserRunsAndApplies) {
  EXPECT_EQ(find_asset("/")->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(find_asset("/live.css")->content_type, "text/css; charset=utf-8");
  EXPECT_EQ(find_asset("/live.js")->content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(find_asset("/favicon.svg")->content_type, "image/svg+xml");
}

TEST(Assets, EachHasItsOwnStrongEntityTag) {
  std::set<std::string_view> tags;
  for (const auto& [path, file] : served_files()) {
    const std::string tag{find_asset(path)->etag};
    EXPECT_TRUE(std::regex_match(tag, std::regex("\"[0-9a-f]{32}\""))) << tag;
    EXPECT_TRUE(tags.insert(find_asset(path)->etag).second) << path;
  }
}

TEST(Assets, ThePageAsksForNothingThatIsNotServed) {
  const std::string html{find_asset("/")->bytes};
  std::vector<std::string> wanted =
      matches(html, std::regex(R"re(<(?:link|script|img)[^>]*(?:href|src)="([^"]*)")re"));
  ASSERT_GE(wanted.size(), 3U);
  for (const auto& [path, file] : served_files()) {
    for (const std::string& import :
         matches(std::string(find_asset(path)->bytes), std::regex(R"re(from "\.([^"]*)")re"))) {
      wanted.push_back(import);
    }
  }
  for (const std::string& path : wanted) EXPECT_NE(find_asset(path), nullptr) << path;
}

TEST(Assets, ThePolicyLeavesNothingInlineThatThePageNeeds) {
  EXPECT_EQ(kContentSecurityPolicy.find("unsafe"), std::string_view::npos);
  const std::string html{find_asset("/")->bytes};
  EXPECT_FALSE(
      std::regex_search(html, std::regex(R"re(<style|\sstyle=|\son[a-z]+=|javascript:)re")));
  EXPECT_TRUE(matches(html, std::regex("<script(?![^>]*src=)([^>]*)>")).empty());
}

TEST(Assets, NoScriptTurnsTextIntoMarkup) {
  for (const auto& [path, file] : served_files()) {
    for (const char* way : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                            "DOMParser", "srcdoc", "eval("}) {
      EXPECT_EQ(find_asset(path)->bytes.find(way), std::string_view::npos) << path << " " << way;
    }
  }
}

TEST(Embed, EveryByteValueSurvivesAboveTheLengthOfALiteral) {
  std::string expected;
  for (int index = 0; index < 256 * 320; ++index) expected.push_back(static_cast<char>(index));
  const Asset* asset = find_test_asset("/every_byte.bin");
  ASSERT_NE(asset, nullptr);
  ASSERT_GT(asset->bytes.size(), 65536U);
  EXPECT_TRUE(asset->bytes == expected);
  EXPECT_EQ(asset->content_type, "application/octet-stream");
}

}  // namespace
}  // namespace ringcast::page
