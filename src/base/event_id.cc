#include "ringcast/base/event_id.h"

#include <charconv>

namespace ringcast {
namespace {

// from_chars takes digits only (no sign, no space) for unsigned types, but reports where it
// stopped.
std::optional<std::uint64_t> parse_part(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<EventId> parse_event_id(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto ms = parse_part(text.substr(0, dash));
  const auto sequence = parse_part(text.substr(dash + 1));
  if (!ms || !sequence) return std::nullopt;
  return EventId{*ms, *sequence};
}

std::size_t format_event_id(EventId id, std::array<char, kEventIdTextMax>& out) {
  constexpr std::size_t kDigitsMax = 20;  // of 2^64 - 1
  char* at = std::to_chars(out.data(), out.data() + kDigitsMax, id.ms).ptr;
  *at++ = '-';
  at = std::to_chars(at, at + kDigitsMax, id.sequence).ptr;
  return static_cast<std::size_t>(at - out.data());
}

std::string to_string(EventId id) {
  std::array<char, kEventIdTextMax> text;
  return std::string(text.data(), format_event_id(id, text));
}

}  // namespace ringcast
