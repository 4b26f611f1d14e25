#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "ringcast/base/result.h"

namespace ringcast::hub {

inline constexpr std::size_t kEventNameBytesMax = 256;
inline constexpr std::size_t kTopicBytesMax = 256;
inline constexpr std::uint32_t kRetryMsMax = 86'400'000;  ///< a day

/// What a publisher asks for, checked. Views live until the parser's next `parse`.
struct Publication {
  std::string_view event;  ///< empty: `message`
  std::string_view data;
  std::string_view topic;  ///< empty: the public room
  std::optional<std::uint32_t> retry_ms;
};

/// Reads `{"event":"install","data":…,"topic":"orders","retry":5000}`, the body of `POST /publish`
/// and of a message on the Redis channel. Only `data` is required: a string is delivered as it is,
/// any other JSON value as compact JSON (its own digits and order kept). The error's message begins
/// with the field: `event: must not contain a line end or NUL`; for what is not JSON at all it
/// begins with `body: `. Unknown and repeated fields are refused by name. Keeps its buffers. Not
/// thread-safe.
class PublicationParser {
 public:
  PublicationParser();
  PublicationParser(PublicationParser&&) noexcept;
  ~PublicationParser();
  [[nodiscard]] Result<Publication> parse(std::string_view json);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Why `name` cannot be a topic (to publish or to subscribe), or an empty text. UTF-8, 1 to
/// kTopicBytesMax bytes, no control characters.
[[nodiscard]] std::string_view topic_fault(std::string_view name);

}  // namespace ringcast::hub
