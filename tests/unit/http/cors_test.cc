#include "ringcast/http/cors.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cors_reference.h"

namespace ringcast::http {
namespace {

using namespace std::string_literals;

std::string fault(std::string_view pattern) {
  const auto checked = check_origin_pattern(pattern);
  return checked ? "" : checked.error().message;
}

CorsPolicy policy(std::vector<std::string> patterns, bool credentials = false) {
  for (const std::string& pattern : patterns) EXPECT_EQ(fault(pattern), "") << pattern;
  return CorsPolicy(CorsOptions{.allow_origins = std::move(patterns),
                                .allow_credentials = credentials,
                                .max_age_seconds = 600});
}

bool allows(const CorsPolicy& rules, std::string_view text) {
  const auto origin = parse_origin(text);
  return origin && rules.allows(*origin);
}

std::string lines(const CorsPolicy& rules, std::string_view text) {
  const auto origin = parse_origin(text);
  std::string out;
  rules.append_lines(out, origin ? &*origin : nullptr);
  return out;
}

std::string preflight_lines(const CorsPolicy& rules, std::string_view text) {
  const auto origin = parse_origin(text);
  std::string out;
  rules.append_preflight_lines(out, origin ? &*origin : nullptr);
  return out;
}

constexpr std::string_view kVary = "Vary: Origin\r\n";
constexpr std::string_view kPreflightVary =
    "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n";

TEST(OriginPattern, TakesOriginsWildcardsNullAndTheStar) {
  for (const char* pattern :
       {"https://app.example.com", "http://localhost:5173", "HTTPS://App.Example.com:443",
        "http://192.0.2.7", "http://[::1]:3000", "https://xn--bcher-kva.example",
        "https://*.example.org", "https://*.example.org:8443", "http://*.localhost", "null", "*"}) {
    EXPECT_EQ(fault(pattern), "") << pattern;
  }
}

TEST(OriginPattern, SaysWhatIsWrong) {
  const std::string scheme = "must begin with https:// or http://, or be \"null\" or \"*\"";
  const std::string star =
      "* may only stand for whole labels in front of a domain, as in \"https://*.example.org\"";
  const std::string port_star =
      "* cannot stand for a port: list each, for example \"http://localhost:5173\"";
  const std::string slash =
      "must not end with a slash: an origin has no path, for example \"https://app.example.com\"";
  const std::string path =
      "must end behind host and port: an origin has no path, for example "
      "\"https://app.example.com\"";
  const std::string punycode =
      "a host with letters beyond a to z must be in punycode, as browsers send it, for example "
      "\"https://xn--bcher-kva.example\"";
  const std::string port = "the port must be 1 to 65535";
  const std::string letters = "a host holds nothing but letters, digits, \"-\", \"_\" and dots";
  const std::pair<std::string, std::string> cases[] = {
      {"", "must not be empty"},
      {"app.example.com", scheme},
      {"*.example.org", scheme},
      {"//app.example.com", scheme},
      {"ftp://app.example.com", scheme},
      {"*://app.example.com", scheme},
      {"NULL", scheme},
      {"https://", "the host is missing"},
      {"https://:8443", "the host is missing"},
      {"https://app.example.com/", slash},
      {"https://*.example.org/", slash},
      {"http://localhost:5173/", slash},
      {"https://app.example.com/path", path},
      {"https://app.example.com//", path},
      {"https://app.example.com/*", path},
      {"https://app.example.com?q", path},
      {"https://user@app.example.com", "must not hold a user name"},
      {"http://localhost:*", port_star},
      {"https://*.example.org:*", port_star},
      {"https://*", star},
      {"https://*:8443", star},
      {"https://**.example.org", star},
      {"https://*example.org", star},
      {"https://app*.example.org", star},
      {"https://app.*.org", star},
      {"https://*.*.example.org", star},
      {"https://*.", "the domain behind * is missing, as in \"https://*.example.org\""},
      {"https://*.:8443", "the domain behind * is missing, as in \"https://*.example.org\""},
      {"http://*.192.0.2.7", "* cannot stand in front of an IP address"},
      {"http://*.[::1]", "* cannot stand in front of an IP address"},
      {"http://*.0.2.7", "the host ends in a number but is no IPv4 address"},
      {"http://127.1", "the host ends in a number but is no IPv4 address"},
      {"https://\xc3\xbc.example", punycode},
      {"https://*.\xc3\xbc.example", punycode},
      {"https://app.example.com ", "must not contain spaces or control characters"},
      {"https://app.example.com\r\nX: y", "must not contain spaces or control characters"},
      {"https://a\0"s, "must not contain spaces or control characters"},
      {"https://" + std::string(293, 'a'), "must have at most 300 bytes"},
      {"https://app.example.com:", port},
      {"https://app.example.com:0", port},
      {"https://app.example.com:65536", port},
      {"https://*.example.org:99999", port},
      {"https://app.example.com:http", port},
      {"http://[::1]:0", port},
      {"http://::1", "an IPv6 address needs brackets, for example \"http://[::1]:8080\""},
      {"http://[::1", "what is in the brackets is no IPv6 address"},
      {"http://[::g]:80", "what is in the brackets is no IPv6 address"},
      {"https://app.example.com,https", letters},
      {"https://ex%61mple.com", letters},
      {"https://.example.com", "the host has an empty label"},
      {"https://example..com:8443", "the host has an empty label"},
      {"https://*..example.com", "the host has an empty label"},
  };
  for (const auto& [pattern, reason] : cases) {
    EXPECT_EQ(fault(pattern), reason) << testing::PrintToString(pattern);
  }
}

TEST(CorsPolicy, AllowsNobodyUnlessTold) {
  EXPECT_FALSE(allows(CorsPolicy(), "https://app.example.com"));
  EXPECT_FALSE(allows(CorsPolicy(), "null"));
  EXPECT_FALSE(allows(policy({}, true), "null"));
  EXPECT_EQ(lines(CorsPolicy(), "https://app.example.com"), kVary);
  EXPECT_EQ(preflight_lines(CorsPolicy(), "https://app.example.com"), kPreflightVary);
}

TEST(CorsPolicy, AnExactOriginAllowsItselfAlone) {
  const CorsPolicy rules = policy({"https://app.example.com", "http://localhost:5173"});
  EXPECT_TRUE(allows(rules, "https://app.example.com"));
  EXPECT_TRUE(allows(rules, "https://app.example.com:443"));
  EXPECT_TRUE(allows(rules, "HTTPS://APP.EXAMPLE.COM"));
  EXPECT_TRUE(allows(rules, "http://localhost:5173"));
  for (const char* other :
       {"http://app.example.com", "https://app.example.com:8443", "https://example.com",
        "https://a.app.example.com", "https://app.example.com.evil.org", "https://xapp.example.com",
        "https://app.example.co", "https://app.example.com.", "https://evil.org", "null",
        "http://localhost", "http://localhost:5174", "http://127.0.0.1:5173"}) {
    EXPECT_FALSE(allows(rules, other)) << other;
  }
}

TEST(CorsPolicy, AWildcardStandsForOneOrMoreLabelsInFront) {
  const CorsPolicy rules = policy({"https://*.example.org"});
  for (const char* origin :
       {"https://a.example.org", "https://a.b.example.org", "https://xn--bcher-kva.example.org",
        "https://a.example.org:443", "https://1.2.3.4.example.org", "HTTPS://A.EXAMPLE.ORG"}) {
    EXPECT_TRUE(allows(rules, origin)) << origin;
  }
  for (const char* origin :
       {"https://example.org", "https://evilexample.org", "https://.example.org",
        "http://a.example.org", "https://a.example.org:8443", "https://a.example.org.evil.com",
        "https://a.example.org.", "https://a.example.com", "https://evil.com:443", "null",
        "https://a..example.org", "https://evil.com/.example.org", "https://evil.com#.example.org",
        "https://evil.com:8443.example.org"}) {
    EXPECT_FALSE(allows(rules, origin)) << origin;
  }
}

TEST(CorsPolicy, ThePortOfAWildcardMustMatchExactly) {
  const CorsPolicy rules = policy({"https://*.example.org:8443"});
  EXPECT_TRUE(allows(rules, "https://a.example.org:8443"));
  for (const char* origin :
       {"https://a.example.org", "https://a.example.org:443", "https://a.example.org:84430",
        "https://a.example.org:18443", "https://example.org:8443", "http://a.example.org:8443"}) {
    EXPECT_FALSE(allows(rules, origin)) << origin;
  }
  EXPECT_TRUE(allows(policy({"https://*.example.org:443"}), "https://a.example.org"));
}

/// What a caller made by itself is no more trusted than what a client sent.
TEST(CorsPolicy, AWildcardTakesNothingButLabels) {
  const CorsPolicy rules = policy({"https://*.example.org"});
  for (const char* text :
       {"https://a\r\nX: y.example.org", "https://.example.org", "https://a..example.org",
        "https://.a.example.org", "https://a..b.example.org", "https://evil.com/.example.org",
        "https://u@.example.org"}) {
    EXPECT_FALSE(rules.allows(Origin{text})) << text;
  }
}

TEST(CorsPolicy, NullIsAllowedOnlyIfListed) {
  EXPECT_FALSE(allows(policy({"https://null", "https://*.example.org"}), "null"));
  EXPECT_TRUE(allows(policy({"null"}), "null"));
  EXPECT_FALSE(allows(policy({"null"}), "https://null"));
  EXPECT_EQ(lines(policy({"null"}), "null"),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: null\r\n"
            "Access-Control-Expose-Headers: Event-Id\r\n");
}

TEST(CorsPolicy, TheStarIsAnsweredWithItselfAndNeverWithCredentials) {
  const std::string expected =
      "Vary: Origin\r\nAccess-Control-Allow-Origin: *\r\n"
      "Access-Control-Expose-Headers: Event-Id\r\n";
  for (const bool credentials : {false, true}) {
    const CorsPolicy rules = policy({"https://app.example.com", "*"}, credentials);
    EXPECT_EQ(lines(rules, "https://app.example.com"), expected);
    EXPECT_EQ(lines(rules, "https://anybody.example"), expected);
    EXPECT_EQ(lines(rules, "null"), expected);
    EXPECT_EQ(lines(rules, "no origin"), kVary);
  }
}

TEST(CorsPolicy, AnswersWithTheFormThatABrowserCompares) {
  const CorsPolicy rules = policy({"HTTPS://App.Example.com:443", "https://*.example.org"}, true);
  EXPECT_EQ(lines(rules, "https://APP.example.com"),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://app.example.com\r\n"
            "Access-Control-Allow-Credentials: true\r\n"
            "Access-Control-Expose-Headers: Event-Id\r\n");
  EXPECT_EQ(lines(rules, "https://A.example.org:443"),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example.org\r\n"
            "Access-Control-Allow-Credentials: true\r\n"
            "Access-Control-Expose-Headers: Event-Id\r\n");
}

TEST(CorsPolicy, APreflightIsToldMethodsHeadersAndForHowLong) {
  const CorsPolicy rules = policy({"https://app.example.com"}, true);
  EXPECT_EQ(preflight_lines(rules, "https://app.example.com"),
            std::string(kPreflightVary) +
                "Access-Control-Allow-Origin: https://app.example.com\r\n"
                "Access-Control-Allow-Credentials: true\r\n"
                "Access-Control-Expose-Headers: Event-Id\r\n"
                "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
                "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Content-Type, "
                "Cache-Control\r\n"
                "Access-Control-Max-Age: 600\r\n");
}

TEST(CorsPolicy, AnOriginThatIsNotAllowedOrBrokenGetsVaryAlone) {
  const CorsPolicy rules = policy({"https://app.example.com"}, true);
  for (const char* text : {"https://evil.org", "null", "", "https://app.example.com\r\nX: y"}) {
    EXPECT_EQ(lines(rules, text), kVary) << text;
    EXPECT_EQ(preflight_lines(rules, text), kPreflightVary) << text;
  }
}

TEST(CorsPolicy, AppendsToWhatIsThere) {
  std::string out = "X-Request-Id: 1\r\n";
  CorsPolicy().append_lines(out, nullptr);
  EXPECT_EQ(out, "X-Request-Id: 1\r\nVary: Origin\r\n");
}

class NearAllowedOrigins : public testing::Test {
 protected:
  /// An origin that the pattern allows, changed in a few places.
  std::string near(const std::string& pattern) {
    static constexpr std::string_view kLabels[] = {"a", "a.b", "evil", "0", "x.0x1", "-", "_.z"};
    static constexpr std::string_view kChanges[] = {
        ".",    "..",       "-",       "a",           ":",
        ":443", ":80",      ":8443",   "evil",        ".example.org",
        "\r\n", "\r",       "\n",      "%",           "@",
        "/",    "https://", "http://", "example.org", "*",
        "null", "[::1]",    "#",       "\\",          " ",
        ",",    "\xc3\xbc", "A",       "0",           "\t"};
    std::string text = pattern == "*" ? "https://any.example" : pattern;
    if (const std::size_t star = text.find('*'); star != std::string::npos) {
      text.replace(star, 1, kLabels[below(std::size(kLabels))]);
    }
    for (std::size_t changes = below(4); changes > 0; --changes) {
      const std::size_t at = below(text.size() + 1);
      const std::string_view change = kChanges[below(std::size(kChanges))];
      switch (below(4)) {
        case 0:
          text.insert(at, change);
          break;
        case 1:
          text.erase(at, 1 + below(9));
          break;
        case 2:
          text += change;
          break;
        default:
          text.replace(at, std::min<std::size_t>(1 + below(3), text.size() - at), change);
      }
    }
    return text;
  }

  std::size_t below(std::size_t bound) { return random_() % bound; }

 private:
  std::mt19937 random_{7239};
};

TEST_F(NearAllowedOrigins, AreAnsweredAsTheSimpleMatcherSays) {
  const std::vector<std::string> all = {
      "https://app.example.com",    "http://localhost:5173",        "https://*.example.org",
      "https://*.example.org:8443", "http://*.localhost",           "null",
      "http://[2001:db8::7]:3000",  "HTTPS://Shop.Example.com:443", "http://192.0.2.7"};
  int allowed = 0;
  int refused = 0;
  for (int round = 0; round < 200'000; ++round) {
    CorsOptions options;
    for (std::size_t i = below(4); i > 0; --i) {
      options.allow_origins.push_back(all[below(all.size())]);
    }
    if (below(20) == 0) options.allow_origins.emplace_back("*");
    options.allow_credentials = below(2) == 0;
    options.max_age_seconds = static_cast<std::uint32_t>(below(1000));
    const CorsPolicy rules(options);
    const std::string text = near(below(2) == 0 || options.allow_origins.empty()
                                      ? all[below(all.size())]
                                      : options.allow_origins[below(options.allow_origins.size())]);

    const auto origin = parse_origin(text);
    bool any = false;
    bool match = false;
    for (const std::string& pattern : options.allow_origins) {
      any = any || pattern == "*";
      match = match || (origin && test::reference_allows(pattern, origin->text));
    }
    ASSERT_EQ(origin && rules.allows(*origin), match) << text;
    const std::string_view answer = !match ? "" : any ? "*" : std::string_view(origin->text);
    const bool credentials = options.allow_credentials && !any;
    test::require_cors_lines(lines(rules, text), answer, credentials, false, 0);
    test::require_cors_lines(preflight_lines(rules, text), answer, credentials, true,
                             options.max_age_seconds);
    if (origin) ++(match ? allowed : refused);
  }
  EXPECT_GT(allowed, 10'000);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace ringcast::http
