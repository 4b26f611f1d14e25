#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ringcast/base/event_id.h"

namespace ringcast::sse {

/// How the bytes of a frame reach a stream. The log holds the chunked form; the plain form is a
/// part of it, so that one copy serves both.
enum class Wire : std::uint8_t {
  chunked,  ///< HTTP/1.1, RFC 9112 section 7.1
  plain,    ///< HTTP/1.0: the same without chunk head and tail
};

/// What an event says. Everything has been checked before (hub/publication.h): `event` has no line
/// end and no NUL, all of it is UTF-8.
struct EventFields {
  std::string_view event{};  ///< empty or "message": no `event:` line
  std::string_view data{};   ///< any number of lines, ended by LF, CR or CRLF
  std::optional<std::uint32_t> retry_ms{};
};

inline constexpr std::string_view kChunkTail = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::size_t kChunkHeadMax = 10;  ///< eight hexadecimal digits, CR, LF

/// A frame:  `<hex size>\r\n` `id: …\n` `event: …\n` `retry: …\n` `data: …\n`… `\n` `\r\n`
///           |-- chunk head --|------------- what the client parses ---------|-- tail --|
struct FrameSize {
  std::uint32_t bytes = 0;  ///< of the whole frame, chunk head and tail included
  std::uint8_t chunk_head_bytes = 0;
};

/// The exact size that `encode_frame` will write. One pass over `data`.
[[nodiscard]] FrameSize frame_size(std::optional<EventId> id, const EventFields& fields);

/// Writes the frame to the front of `out`, which has at least `frame_size` bytes. Each line end of
/// the data becomes a new `data:` line, so the client sees LF and no field can be injected; a space
/// after each colon keeps leading spaces. WHATWG HTML, section 9.2.
FrameSize encode_frame(std::optional<EventId> id, const EventFields& fields,
                       std::span<std::byte> out);

/// The part of a frame that goes out on `wire`.
[[nodiscard]] inline std::span<const std::byte> on_wire(std::span<const std::byte> frame,
                                                        std::uint8_t chunk_head_bytes, Wire wire) {
  if (wire == Wire::chunked) return frame;
  return frame.subspan(chunk_head_bytes, frame.size() - chunk_head_bytes - kChunkTail.size());
}

}  // namespace ringcast::sse
