#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// What the floor reads and says: just enough of HTTP and SSE for ringcast-load.
namespace floor_bench {

struct Request {
  enum class Kind : std::uint8_t {
    incomplete,
    stream,   ///< GET of anything
    publish,  ///< anything else; `body` is whole
  };
  Kind kind = Kind::incomplete;
  std::string_view body{};
};

/// The first request in `bytes`. What stands behind it is never looked at.
[[nodiscard]] Request read_request(std::string_view bytes);

/// The next `<ms>-<sequence>`. Any thread.
[[nodiscard]] std::string next_id();

/// Head and first heartbeat, as the server sends them, for a stream that goes on after `id`.
[[nodiscard]] std::string stream_opening(std::string_view id);

/// The frame of an event as a chunk, from the body of a publication.
[[nodiscard]] std::string event_chunk(std::string_view id, std::string_view body);

[[nodiscard]] std::string publish_answer(std::string_view id);

}  // namespace floor_bench
