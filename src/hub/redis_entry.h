#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/base/result.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/hub/publication.h"

namespace ringcast::hub {

/// What an entry of the stream says. Views into the fields it was read from.
struct RedisEntry {
  enum class Kind : std::uint8_t { event, sign_out };
  Kind kind = Kind::event;
  Publication publication{};  ///< of an event, checked; of a sign-out only the topic
  SignOut sign_out{};
  std::string_view nonce{};           ///< field `n`, or empty
  std::string_view channel_number{};  ///< field `c`, or empty
};

/// Fields and values in turn. The error begins with the field, as in PublicationParser. Unknown
/// fields are left alone (entries may be shared with others); a repeated one is refused.
[[nodiscard]] Result<RedisEntry> read_entry(const std::vector<std::string_view>& fields,
                                            std::size_t event_bytes_max);

/// Appends the fields of an event for XADD to `out`: `event`, `data`, `topic`, `retry`, those that
/// it has. `retry_text` keeps the digits that a view is given of.
void append_fields(const Publication& publication, std::array<char, 10>& retry_text,
                   std::vector<std::string_view>& out);

}  // namespace ringcast::hub
