#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringcast {

/// The ID of an event: `<unix milliseconds>-<sequence>`, the format of Redis streams, in every
/// mode. IDs compare numerically, part by part. 0-0 is before every event and is never given to
/// one.
struct EventId {
  std::uint64_t ms = 0;
  std::uint64_t sequence = 0;

  friend constexpr auto operator<=>(const EventId&, const EventId&) = default;
};

inline constexpr std::size_t kEventIdTextMax = 41;  ///< two 20-digit numbers and the dash

/// Reads exactly `digits-digits`, both within 64 bits; anything else is nothing.
[[nodiscard]] std::optional<EventId> parse_event_id(std::string_view text);

/// Writes the text form, without a terminator, and returns its length.
std::size_t format_event_id(EventId id, std::array<char, kEventIdTextMax>& out);

[[nodiscard]] std::string to_string(EventId id);

}  // namespace ringcast
