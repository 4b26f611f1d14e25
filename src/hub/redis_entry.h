#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
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

/// Fields and values in turn. The error begins with the field, as in PublicationParser, and repeats
/// nothing of what the entry holds. Unknown fields are left alone (entries may be shared with
/// others); a repeated one of ours is refused.
[[nodiscard]] Result<RedisEntry> read_entry(std::span<const std::string_view> fields,
                                            std::size_t event_bytes_max);

/// The value of the first field of that name, or an empty text: also of an entry that is no event.
[[nodiscard]] std::string_view find_field(std::span<const std::string_view> fields,
                                          std::string_view name);

/// Appends the fields of an event for XADD to `out`: `event`, `data`, `topic`, `retry`, those that
/// it has. `retry_text` keeps the digits that a view is given of.
void append_fields(const Publication& publication, std::array<char, 10>& retry_text,
                   std::vector<std::string_view>& out);

/// The value of the field `sign-out`: session (16 digits) and expiry, hexadecimal, `-` between.
[[nodiscard]] std::string sign_out_text(const SignOut& what);

/// A member of the sorted set of sign-outs, whose score is the expiry: session (16 hexadecimal
/// digits), a space, the user's own topic.
[[nodiscard]] std::string signed_out_member(std::uint64_t session, std::string_view topic);

struct SignedOutMember {
  std::uint64_t session;
  std::string_view topic;
};
[[nodiscard]] std::optional<SignedOutMember> parse_signed_out_member(std::string_view member);

/// The nonce of a publication: which instance appended it, and as its how-manieth. As text
/// `<instance, 16 hexadecimal digits>-<number, hexadecimal>`.
struct Nonce {
  std::uint64_t instance = 0;
  std::uint64_t number = 0;
  friend bool operator==(const Nonce&, const Nonce&) = default;
};
[[nodiscard]] std::string to_string(const Nonce& nonce);
[[nodiscard]] std::optional<Nonce> parse_nonce(std::string_view text);

}  // namespace ringcast::hub
