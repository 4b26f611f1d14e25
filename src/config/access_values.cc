#include "access_values.h"

#include <algorithm>

#include "ringcast/admin/log.h"
#include "ringcast/auth/grants.h"
#include "ringcast/http/cors.h"
#include "ringcast/http/origin.h"

namespace ringcast::config {
namespace {

constexpr std::size_t kClaimBytesMax = 256;
constexpr std::size_t kCookieNameBytesMax = 64;

Error there_twice(std::string_view text) {
  return Error{string_text(text) + " is there twice"};
}

/// Reads an array of strings, each of which `make` turns into the text that is stored.
template <class Make>
void read_texts(const Value& value, std::vector<std::string>& out, const Value::Count& count,
                Make make) {
  std::vector<std::string> texts;
  const bool good = value.read_each(count, [&](const std::string& written) -> Result<void> {
    Result<std::string> made = make(written);
    if (!made) return made.error();
    if (std::ranges::find(texts, made.value()) != texts.end()) return there_twice(made.value());
    texts.push_back(std::move(made).value());
    return {};
  });
  if (good) out = std::move(texts);
}

/// The pattern as a browser would write it, so that `HTTPS://A.example:443` and `https://a.example`
/// are seen to be one.
std::string canonical(const std::string& pattern) {
  constexpr std::string_view kWildcard = "*.";
  const std::size_t scheme_end = pattern.find("://");
  const std::size_t host = scheme_end == std::string::npos ? scheme_end : scheme_end + 3;
  const bool wildcard =
      host != std::string::npos && std::string_view(pattern).substr(host).starts_with(kWildcard);
  std::string plain = pattern;
  if (wildcard) plain.erase(host, kWildcard.size());  // what is left is an origin itself
  const auto origin = http::parse_origin(plain);
  if (!origin) return pattern;
  std::string out = origin->text;
  if (wildcard) out.insert(out.find("://") + 3, kWildcard);
  return out;
}

bool is_token_character(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";  // RFC 9110 section 5.6.2
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         kMarks.find(c) != std::string_view::npos;
}

std::string known_algorithms() {
  std::string names;
  for (std::size_t i = 0; i < auth::kAlgorithms; ++i) {
    if (i > 0) names += i + 1 == auth::kAlgorithms ? " or " : ", ";
    names += string_text(to_string(static_cast<auth::Algorithm>(i)));
  }
  return names;
}

/// On one line, or each element on its own where that would be too long to read.
template <class T, class ToText>
std::string array_text(const std::vector<T>& values, ToText to_text) {
  constexpr std::size_t kLineBytesMax = 80;
  std::string line;
  std::string lines;
  for (const T& value : values) {
    const std::string text = string_text(to_text(value));
    if (!line.empty()) line += ", ";
    line += text;
    lines += "\n  " + text + ",";
  }
  return "[" + (line.size() <= kLineBytesMax ? line : lines + "\n") + "]";
}

}  // namespace

void read_algorithms(const Value& value, auth::Algorithms& out) {
  auth::Algorithms algorithms;
  const Value::Count count{1, auth::kAlgorithms, "algorithms"};
  const bool good = value.read_each(count, [&](const std::string& name) -> Result<void> {
    const auto algorithm = auth::parse_algorithm(name);
    if (!algorithm) {
      return Error{"must be " + known_algorithms() + ", not \"" + admin::safe_text(name, 64) +
                   "\""};
    }
    if (contains(algorithms, *algorithm)) return there_twice(name);
    algorithms.push_back(*algorithm);
    return {};
  });
  if (good) out = std::move(algorithms);
}

void read_paths(const Value& value, std::vector<std::string>& out, std::size_t most) {
  read_texts(value, out, {0, most, "files"}, [](const std::string& path) -> Result<std::string> {
    if (path.empty()) return Error{"the name of a file is empty"};
    if (path.find('\0') != std::string::npos) return Error{"must not contain NUL"};
    return path;
  });
}

void read_networks(const Value& value, std::vector<IpNetwork>& out, std::size_t most) {
  std::vector<IpNetwork> networks;
  const Value::Count count{0, most, "addresses or networks"};
  const bool good = value.read_each(count, [&](const std::string& text) -> Result<void> {
    const Result<IpNetwork> network = parse_ip_network(text);
    if (!network) return network.error();
    if (std::ranges::find(networks, network.value()) != networks.end()) {
      return there_twice(to_string(network.value()));
    }
    networks.push_back(network.value());
    return {};
  });
  if (good) out = std::move(networks);
}

void read_own_origins(const Value& value, std::vector<std::string>& out, std::size_t most) {
  read_texts(value, out, {0, most, "origins"}, [](const std::string& text) -> Result<std::string> {
    const auto origin = http::parse_origin(text);
    if (origin && origin->text != "null") return origin->text;
    return Error{"must be an origin, as \"https://app.example.com\", without a path, not \"" +
                 admin::safe_text(text, 64) + "\""};
  });
}

void read_origin_patterns(const Value& value, std::vector<std::string>& out, std::size_t most) {
  read_texts(value, out, {0, most, "origins"}, [](const std::string& text) -> Result<std::string> {
    if (const Result<void> checked = http::check_origin_pattern(text); !checked) {
      return checked.error();
    }
    return canonical(text);
  });
}

void read_topic_patterns(const Value& value, std::vector<std::string>& out) {
  read_texts(value, out, {0, auth::kPatternsMax, "patterns"},
             [](const std::string& text) -> Result<std::string> {
               if (const Result<void> checked = auth::check_pattern(text); !checked) {
                 return checked.error();
               }
               return text;
             });
}

void read_cookie_name(const Value& value, std::string& out) {
  const std::string* const name = value.text();
  if (name == nullptr) return;
  if (name->empty() || name->size() > kCookieNameBytesMax ||
      !std::ranges::all_of(*name, is_token_character)) {
    return value.fail("must be 1 to " + std::to_string(kCookieNameBytesMax) +
                      " letters, digits and !#$%&'*+-.^_`|~");
  }
  out = *name;
}

void read_claim(const Value& value, std::string& out) {
  const std::string* const text = value.text();
  if (text == nullptr) return;
  if (text->size() > kClaimBytesMax) {
    return value.fail("must be at most " + std::to_string(kClaimBytesMax) + " bytes long");
  }
  out = *text;
}

std::string strings_text(const std::vector<std::string>& texts) {
  return array_text(texts, [](const std::string& text) { return text; });
}

std::string algorithms_text(const auth::Algorithms& algorithms) {
  return array_text(algorithms, [](auth::Algorithm algorithm) { return to_string(algorithm); });
}

std::string networks_text(const std::vector<IpNetwork>& networks) {
  return array_text(networks, [](const IpNetwork& network) { return to_string(network); });
}

}  // namespace ringcast::config
