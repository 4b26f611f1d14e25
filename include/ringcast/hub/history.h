#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"

namespace ringcast::hub {

/// Entries of the store that are looked at for one page, and bytes of frames in one at most. A page
/// takes one event in any case.
inline constexpr std::size_t kHistoryPageEvents = 128;
inline constexpr std::size_t kHistoryPageBytes = std::size_t{128} << 10;

/// An event of a page; topic and frame are parts of `HistoryPage::bytes`, the frame behind the
/// topic.
struct HistoryEvent {
  EventId id;
  std::uint64_t topic_hash;  ///< as in EventRecord
  std::uint32_t offset;
  std::uint32_t topic_bytes;
  std::uint32_t frame_bytes;
  std::uint8_t chunk_head_bytes;
};

/// Events of the store after a position, for one stream: of all topics, in the order of their IDs.
struct HistoryPage {
  /// How the position that was asked for stands to what the store holds.
  enum class Found : std::uint8_t {
    exact,   ///< nothing between it and the first event of the page is missing
    gap,     ///< it is older than what is kept, or unknown: the page begins with what there is
    beyond,  ///< it is newer than the newest event of the store: go on with what comes
  };

  Found found = Found::exact;
  EventId last;  ///< the position after this page; of `beyond`, the newest event
  /// The store holds nothing after `last`, and everything up to it has been delivered to the shards
  /// before this page.
  bool at_end = false;
  std::optional<EventId> oldest;  ///< of a `gap`: the first event that is kept
  std::vector<HistoryEvent> events;
  std::string bytes;

  [[nodiscard]] std::string_view topic(const HistoryEvent& event) const {
    return std::string_view(bytes).substr(event.offset, event.topic_bytes);
  }
  [[nodiscard]] std::string_view frame(const HistoryEvent& event) const {
    return std::string_view(bytes).substr(event.offset + event.topic_bytes, event.frame_bytes);
  }
};

}  // namespace ringcast::hub
