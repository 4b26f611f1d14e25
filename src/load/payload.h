#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"

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

/// The stamp in what a server made of the data: anywhere in its first kStampSoughtBytes, because
/// some put it between quotes or into a JSON object. Nothing when there is none.
inline constexpr std::size_t kStampSoughtBytes = 256;
[[nodiscard]] std::optional<Stamp> find_stamp(std::string_view text);

/// What a server that is not ours takes as an event. `{data}`, `{json_data}` and `{topic}` are
/// filled in, all else is as it stands, other braces too. The data needs no escaping in JSON, so
/// the first two are the same; the second says where it is.
class BodyTemplate {
 public:
  /// That of encode_body.
  BodyTemplate() = default;
  /// An error when there is no place for the data: nothing would say which event is which.
  [[nodiscard]] static Result<BodyTemplate> parse(std::string_view text);

  [[nodiscard]] bool is_own() const { return pieces_.empty(); }
  /// Not of the own one.
  [[nodiscard]] std::string fill(std::string_view data, std::string_view topic) const;

 private:
  struct Piece {
    enum class Kind : std::uint8_t { text, data, topic };
    Kind kind = Kind::text;
    std::string text;
  };
  std::vector<Piece> pieces_;
};

}  // namespace ringcast::load
