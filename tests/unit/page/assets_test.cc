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
constexpr const char* kPages[] = {"/", "/login.html"};

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
  EXPECT_EQ(find_asset("/login.html")->content_type, "text/html; charset=utf-8");
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

TEST(Assets, ThePagesAskForNothingThatIsNotServed) {
  std::vector<std::string> wanted;
  for (const char* page : kPages) {
    const std::string html{find_asset(page)->bytes};
    const auto of_page =
        matches(html, std::regex(R"re(<(?:link|script|img)[^>]*(?:href|src)="([^"]*)")re"));
    ASSERT_GE(of_page.size(), 4U) << page;
    wanted.insert(wanted.end(), of_page.begin(), of_page.end());
  }
  for (const auto& [path, file] : served_files()) {
    for (const std::string& import :
         matches(std::string(find_asset(path)->bytes), std::regex(R"re(from "\.([^"]*)")re"))) {
      wanted.push_back(import);
    }
  }
  for (const std::string& path : wanted) EXPECT_NE(find_asset(path), nullptr) << path;
}

TEST(Assets, ThePolicyLeavesNothingInlineThatThePagesNeed) {
  EXPECT_EQ(kContentSecurityPolicy.find("unsafe"), std::string_view::npos);
  for (const char* page : kPages) {
    const std::string html{find_asset(page)->bytes};
    EXPECT_FALSE(
        std::regex_search(html, std::regex(R"re(<style|\sstyle=|\son[a-z]+=|javascript:)re")))
        << page;
    EXPECT_TRUE(matches(html, std::regex("<script(?![^>]*src=)([^>]*)>")).empty()) << page;
  }
}

// The element's start tag, "" when it is not there.
std::string tag_with(const std::string& html, const std::string& attribute) {
  const auto found = matches(html, std::regex("(<[^<>]*\\s" + attribute + "[\\s>][^<>]*>?)"));
  return found.empty() ? "" : found.front();
}

TEST(Assets, TheSignInFormWorksWithoutAScriptAndWithPasswordManagers) {
  const std::string html{find_asset("/login.html")->bytes};
  const std::string form = tag_with(html, R"re(id="login-form")re");
  EXPECT_NE(form.find(R"(method="post")"), std::string::npos) << form;
  EXPECT_NE(form.find(R"(action="/login")"), std::string::npos) << form;
  const std::string name = tag_with(html, R"re(name="username")re");
  EXPECT_NE(name.find(R"(autocomplete="username")"), std::string::npos) << name;
  const std::string password = tag_with(html, R"re(name="password")re");
  EXPECT_NE(password.find(R"(type="password")"), std::string::npos) << password;
  EXPECT_NE(password.find(R"(autocomplete="current-password")"), std::string::npos) << password;
  // A browser sends "Origin: null" with such a form where the policy is no-referrer.
  EXPECT_NE(html.find(R"(<meta name="referrer" content="same-origin">)"), std::string::npos);
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
