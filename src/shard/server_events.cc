#include "server_events.h"

#include <span>

#include "ringcast/base/bytes.h"

namespace ringcast::shard {

void append_event(std::string& out, sse::Wire wire, std::optional<EventId> id,
                  const sse::EventFields& fields) {
  const sse::FrameSize size = sse::frame_size(id, fields);
  std::string frame(size.bytes, '\0');
  sse::encode_frame(id, fields, std::as_writable_bytes(std::span(frame)));
  const auto bytes = sse::on_wire(std::as_bytes(std::span(frame)), size.chunk_head_bytes, wire);
  out += as_text(bytes);
}

std::string gap_data(std::optional<EventId> requested, std::optional<EventId> oldest,
                     std::optional<EventId> newest) {
  const auto value = [](std::optional<EventId> id) {
    return id ? '"' + to_string(*id) + '"' : "null";
  };
  return R"({"requested":)" + value(requested) + R"(,"oldest":)" + value(oldest) + R"(,"newest":)" +
         value(newest) + "}";
}

std::string reason_data(std::string_view reason) {
  return R"({"reason":")" + std::string(reason) + R"("})";
}

void append_end(std::string& out, sse::Wire wire) {
  if (wire == sse::Wire::chunked) out += sse::kLastChunk;
}

}  // namespace ringcast::shard
