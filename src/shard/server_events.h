#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ringcast/base/event_id.h"
#include "ringcast/sse/frame.h"

namespace ringcast::shard {

/// Events that the server itself sends, appended to `out` as a stream on `wire` needs them.
void append_event(std::string& out, sse::Wire wire, std::optional<EventId> id,
                  const sse::EventFields& fields);

/// `{"requested":ID or null,"oldest":ID or null,"newest":ID or null}`
[[nodiscard]] std::string gap_data(std::optional<EventId> requested, std::optional<EventId> oldest,
                                   std::optional<EventId> newest);

/// `{"reason":"…"}`; the reason is ours.
[[nodiscard]] std::string reason_data(std::string_view reason);

/// The end of a stream's body: the last chunk on the chunked wire.
void append_end(std::string& out, sse::Wire wire);

}  // namespace ringcast::shard
