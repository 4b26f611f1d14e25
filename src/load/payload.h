#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringcast::load {

/// What the data of a published event says about itself.
struct Stamp {
  std::uint16_t run = 0;       ///< tells this run's events from older ones in a server's history
  std::uint16_t lane = 0;      ///< the publishing connection
  std::uint32_t sequence = 0;  ///< counts the events of one lane from 0
  std::uint64_t sent_ns = 0;   ///< CLOCK_MONOTONIC; the intended time when there is a rate
};

/// The stamp as text, first in the data:  `@rrrrllllssssssssnnnnnnnnnnnnnnnn`  (hexadecimal
/// digits).
inline constexpr std::size_t kStampBytes = 33;

/// What surrounds the data in the frame  `id: <13 digits>-<1 digit>\ndata: …\n\n`.
inline constexpr std::size_t kFrameOverheadBytes = 28;

/// The data of an event whose frame, as kFrameOverheadBytes describes it, has `frame_bytes` bytes:
/// the stamp, then `x` to fill. Frames cannot be smaller than kFrameOverheadBytes + kStampBytes.
[[nodiscard]] std::string encode_data(const Stamp& stamp, std::size_t frame_bytes);

/// The stamp at the front of `data`; nothing when it is not one of ours.
[[nodiscard]] std::optional<Stamp> decode_data(std::string_view data);

/// What is published: a JSON object with the data, and the topic unless that is empty (it needs no
/// escaping).
[[nodiscard]] std::string encode_body(const Stamp& stamp, std::size_t frame_bytes,
                                      std::string_view topic);

/// The stamp in what encode_body made; nothing when it is something else.
[[nodiscard]] std::optional<Stamp> decode_body(std::string_view body);

}  // namespace ringcast::load
