/// The frame encoder on any data: a client that follows the standard sees one event with the
/// normalised data, and the size is exact. The first byte chooses the other fields.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/assert.h"
#include "ringcast/sse/frame.h"

#include "../unit/sse/sse_client.h"

using namespace ringcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);

  const std::string_view event = (choice & 1) != 0 ? "tick" : "";
  std::optional<EventId> id;
  if ((choice & 2) != 0) id = EventId{std::uint64_t{1} << (choice >> 2), choice};
  std::optional<std::uint32_t> retry_ms;
  if ((choice & 4) != 0) retry_ms = choice * 16'000'000u;
  const sse::EventFields fields{.event = event, .data = text, .retry_ms = retry_ms};

  const sse::FrameSize measured = sse::frame_size(id, fields);
  // Exactly as long, so that a sanitizer sees a write behind it.
  std::vector<std::byte> frame(measured.bytes);
  const sse::FrameSize written = sse::encode_frame(id, fields, frame);
  RC_ASSERT(written.bytes == measured.bytes &&
            written.chunk_head_bytes == measured.chunk_head_bytes);

  const std::string_view wire(reinterpret_cast<const char*>(frame.data()), frame.size());
  const auto inside = test::dechunk(wire, written.chunk_head_bytes);
  RC_ASSERT(inside.has_value());
  const auto plain = sse::on_wire(frame, written.chunk_head_bytes, sse::Wire::plain);
  RC_ASSERT(reinterpret_cast<const char*>(plain.data()) == inside->data() &&
            plain.size() == inside->size());

  const test::SseClient client(*inside);
  RC_ASSERT(client.between_events() && client.events().size() == 1);
  const test::ReceivedEvent& got = client.events().front();
  RC_ASSERT(got.type == (event.empty() ? "message" : event));
  RC_ASSERT(got.data == test::normalised(text));
  RC_ASSERT(got.last_event_id == (id ? to_string(*id) : ""));
  RC_ASSERT(client.reconnection_ms().has_value() == retry_ms.has_value());
  RC_ASSERT(!retry_ms || client.reconnection_ms() == *retry_ms);
  return 0;
}
