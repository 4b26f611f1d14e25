#pragma once

#include <cstdint>
#include <string_view>

#include "ringcast/base/result.h"

namespace ringcast::hub {

// What a field of an event may hold, the same by whichever way it comes.

/// Why `name` cannot be an event's name, or an empty text. UTF-8 is not looked at.
[[nodiscard]] std::string_view event_fault(std::string_view name);

/// Reads digits from 0 to kRetryMsMax; the error begins with the field.
[[nodiscard]] Result<std::uint32_t> parse_retry(std::string_view digits);

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace ringcast::hub
