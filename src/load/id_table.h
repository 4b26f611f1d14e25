#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ringcast::load {

/// The last ID of each stream, whatever bytes it has. 4 bytes for a stream: an event has the same
/// ID on all streams, or on many, so each ID is kept once. A server that numbers each stream's
/// events for itself costs about 120 bytes more for a stream.
///
/// Threads: one. Never blocks; allocates when an ID is new.
class IdTable {
 public:
  /// All streams begin with `first`; empty = with none.
  explicit IdTable(std::uint32_t streams, std::string_view first = {});

  void set(std::uint32_t stream, std::string_view id);
  /// Empty = none. Valid until the stream's ID changes.
  [[nodiscard]] std::string_view of(std::uint32_t stream) const {
    return entries_[places_[stream]].text;
  }
  /// Different IDs that streams have.
  [[nodiscard]] std::size_t distinct() const { return by_text_.size(); }

 private:
  struct Entry {
    std::string text;
    std::uint32_t streams = 0;  ///< that have it; 0 = free
  };

  [[nodiscard]] std::uint32_t find_or_add(std::string_view id);

  std::vector<std::uint32_t> places_;  ///< in entries_, by stream
  std::deque<Entry> entries_;          ///< a deque: the map points to their texts
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::string_view, std::uint32_t> by_text_;
  std::uint32_t newest_ = 0;  ///< set last: the next stream nearly always gets the same
};

}  // namespace ringcast::load
