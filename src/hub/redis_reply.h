#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"

struct redisReply;

namespace ringcast::hub {

/// The text of a string, a status or an error; else empty.
[[nodiscard]] std::string_view text_of(const redisReply* reply);
[[nodiscard]] bool is_error(const redisReply* reply);
[[nodiscard]] bool is_array(const redisReply* reply);

/// An entry as XRANGE shows it: its ID, then names and values of its fields in turn. Views into the
/// reply.
struct RawEntry {
  EventId id;
  std::vector<std::string_view> fields;
};
/// False when it has another shape. Uses the memory of `out`.
[[nodiscard]] bool read_raw_entry(const redisReply* reply, RawEntry& out);
/// Of all fields of a page, IDs not counted.
[[nodiscard]] std::size_t field_bytes(const redisReply* page);
/// Of the first entry of a page, or nothing.
[[nodiscard]] std::optional<EventId> first_id(const redisReply* page);

/// What XINFO STREAM says.
struct StreamState {
  bool exists = false;
  EventId last_generated{};
  std::optional<EventId> last_entry{};
  /// Entries that were taken away since the stream began; since Redis 7.
  std::optional<std::uint64_t> removed{};
};
/// Nothing when the reply is an error (but for "no such key"), or of another shape.
[[nodiscard]] std::optional<StreamState> read_stream_state(const redisReply* reply);

/// The ID that follows immediately.
[[nodiscard]] EventId next_id(EventId id);
[[nodiscard]] EventId id_before(EventId id);

}  // namespace ringcast::hub
