#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"

namespace ringcast::auth {

/// What a user may do with topics. Each entry is a pattern:
///
///   `*`         every topic, and the public room
///   ``          (empty) the public room: events without a topic
///   `orders`    this topic
///   `user/*`    every topic that begins with `user/` and goes on
///   `{self}`    the user's own name, as in `orders/{self}`; a name is never read as a pattern
///
/// Reading the public room and `user/<own name>` needs no grant.
struct Grants {
  std::vector<std::string> subscribe;
  std::vector<std::string> publish;

  friend bool operator==(const Grants&, const Grants&) = default;
};

inline constexpr std::size_t kPatternsMax = 256;  // of each list

/// Why the text is no pattern: a `*` that is not at the end and alone or behind a `/`, `{self}`
/// twice, another `{`, or what cannot be a topic (too long, control characters, not UTF-8).
[[nodiscard]] Result<void> check_pattern(std::string_view pattern);

/// Whether one of the patterns covers the topic, for the user named `self`. `topic` is empty for
/// the public room. No allocation.
[[nodiscard]] bool allows(std::span<const std::string> patterns, std::string_view topic,
                          std::string_view self);

/// A user's own topic is this and the name.
inline constexpr std::string_view kUserTopicPrefix = "user/";
inline constexpr std::size_t kUserNameBytesMax = 128;
/// Why the text cannot be a user's name: empty, longer than 128 bytes, control characters, not
/// UTF-8. Static text; empty for a good name.
[[nodiscard]] std::string_view user_name_fault(std::string_view name);

/// Whether the topic is the own topic of `user`.
[[nodiscard]] bool is_own_topic(std::string_view topic, std::string_view user);

}  // namespace ringcast::auth
