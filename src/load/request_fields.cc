#include "load/request_fields.h"

#include <algorithm>
#include <array>
#include <fstream>

#include <strings.h>

namespace ringcast::load {
namespace {

/// These say where the request ends or whom it is for; the generator writes them itself.
constexpr std::array<std::string_view, 4> kOwnNames{"Host", "Content-Length", "Transfer-Encoding",
                                                    "Connection"};

bool is_name_character(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

bool is_visible(char c) {
  return c > 0x20 && c < 0x7f;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Result<void> check_token_prefix(std::string_view text) {
  if (text.size() > kHeaderBytesMax) {
    return Error{"longer than " + std::to_string(kHeaderBytesMax) + " bytes"};
  }
  const std::string_view name = text.substr(0, text.find(':'));
  if (name.empty() || name.size() == text.size() ||
      !std::all_of(name.begin(), name.end(), is_name_character)) {
    return Error{"not of the form `Name: value`"};
  }
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return Error{"a header cannot contain line ends or other control characters"};
  }
  for (const std::string_view own : kOwnNames) {
    if (same_name(name, own))
      return Error{std::string{own} + " is written by ringcast-load itself"};
  }
  return {};
}

Result<void> check_header(std::string_view text) {
  if (auto checked = check_token_prefix(text); !checked) return checked;
  if (text.find_first_not_of(" \t", text.find(':') + 1) == std::string_view::npos) {
    return Error{"the value is empty"};
  }
  return {};
}

Result<void> check_method(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_name_character)) return {};
  return Error{"not a method such as POST or PUT"};
}

Result<void> check_topic(std::string_view text) {
  const auto may_be = [](char c) {
    constexpr std::string_view kOthers = "-._~/";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), may_be)) return {};
  return Error{"only letters, digits and -._~/ can be in it"};
}

Result<std::vector<std::string>> read_tokens(const std::string& path) {
  std::ifstream file{path};
  if (!file) return Error{path + ": cannot be read"};
  std::vector<std::string> tokens;
  std::string line;
  while (std::getline(file, line)) {
    const std::string where = path + ": line " + std::to_string(tokens.size() + 1) + ": ";
    if (tokens.size() == kTokensMax) return Error{where + "too many tokens"};
    if (line.empty() || line.size() > kHeaderBytesMax ||
        !std::all_of(line.begin(), line.end(), is_visible)) {
      return Error{where + "not a token of 1 to " + std::to_string(kHeaderBytesMax) +
                   " visible ASCII characters"};
    }
    tokens.push_back(line);
  }
  if (file.bad() || tokens.empty()) return Error{path + ": no token could be read"};
  return tokens;
}

}  // namespace ringcast::load
