#include "ringcast/auth/grants.h"

#include <simdjson.h>

namespace ringcast::auth {
namespace {

constexpr std::size_t kPatternBytesMax = 256;  // as long as a topic may be
constexpr std::string_view kSelf = "{self}";

// C0, DEL, and C1, which is two bytes. Of valid UTF-8.
bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

// Why the text can neither be nor begin a topic; empty when it can. The words are those that a
// publisher is told.
std::string_view text_fault(std::string_view text) {
  if (!simdjson::validate_utf8(text.data(), text.size())) return "not valid UTF-8";
  if (has_control_characters(text)) return "must not contain control characters";
  return {};
}

bool take(std::string_view& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.remove_prefix(front.size());
  return true;
}

// A pattern that was never checked covers no more than a checked one would: what is misplaced in it
// stands for itself.
bool covers(std::string_view pattern, std::string_view topic, std::string_view self) {
  if (pattern == "*") return true;
  const bool goes_on = pattern.ends_with("/*");
  if (goes_on) pattern.remove_suffix(1);

  const std::size_t at = pattern.find(kSelf);
  if (at == std::string_view::npos) {
    if (!take(topic, pattern)) return false;
  } else {
    // Nobody's `{self}` is nobody's topic, above all not the public room.
    if (self.empty()) return false;
    if (!take(topic, pattern.substr(0, at)) || !take(topic, self) ||
        !take(topic, pattern.substr(at + kSelf.size()))) {
      return false;
    }
  }
  return topic.empty() != goes_on;
}

}  // namespace

Result<void> check_pattern(std::string_view pattern) {
  static_assert(kPatternBytesMax == 256, "the message says so");
  if (pattern.size() > kPatternBytesMax) return Error{"longer than 256 bytes"};
  if (const auto fault = text_fault(pattern); !fault.empty()) return Error{std::string(fault)};

  const std::size_t star = pattern.find('*');
  if (star != std::string_view::npos && pattern != "*" &&
      (star + 1 != pattern.size() || !pattern.ends_with("/*"))) {
    return Error{"`*` may only stand alone, or at the end behind a `/`"};
  }
  std::string_view rest = pattern;
  const std::size_t first = rest.find('{');
  if (first == std::string_view::npos) return {};
  rest.remove_prefix(first);
  if (!take(rest, kSelf)) return Error{"`{` may only stand in `{self}`"};
  if (const std::size_t next = rest.find('{'); next != std::string_view::npos) {
    return Error{rest.substr(next).starts_with(kSelf) ? "`{self}` may stand there only once"
                                                      : "`{` may only stand in `{self}`"};
  }
  return {};
}

bool allows(std::span<const std::string> patterns, std::string_view topic, std::string_view self) {
  for (const std::string& pattern : patterns) {
    if (covers(pattern, topic, self)) return true;
  }
  return false;
}

std::string_view user_name_fault(std::string_view name) {
  static_assert(kUserNameBytesMax == 128, "the message says so");
  if (name.empty()) return "must not be empty";
  if (name.size() > kUserNameBytesMax) return "longer than 128 bytes";
  return text_fault(name);
}

bool is_own_topic(std::string_view topic, std::string_view user) {
  return !user.empty() && take(topic, kUserTopicPrefix) && topic == user;
}

}  // namespace ringcast::auth
