#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

namespace ringcast::load {

/// Which events of each lane each stream has received, exactly: 4 bytes for a stream and lane while
/// nothing goes wrong, and the list of its holes once something did.
///
/// Threads: one. Never blocks.
class SequenceTable {
 public:
  enum class Arrival : std::uint8_t {
    next,       ///< the one that was due
    ahead,      ///< first of its kind, and others before it are outstanding
    late,       ///< outstanding until now: newer ones came before it
    duplicate,  ///< was received before
  };

  SequenceTable(std::uint32_t streams, std::uint32_t lanes)
      : lanes_(lanes), due_(std::size_t{streams} * lanes, 0) {}

  /// `index` counts, from 0, the events of this lane that the stream is to receive.
  Arrival arrive(std::uint32_t stream, std::uint32_t lane, std::uint32_t index) {
    std::uint32_t& due = due_[place(stream, lane)];
    if (index == due) [[likely]] {
      ++due;
      return Arrival::next;
    }
    return arrive_unexpectedly(place(stream, lane), due, index);
  }

  /// One past the highest index that arrived.
  [[nodiscard]] std::uint32_t due(std::uint32_t stream, std::uint32_t lane) const {
    return due_[place(stream, lane)];
  }
  /// Events among the first `published` of the lane that have not arrived.
  [[nodiscard]] std::uint64_t missing(std::uint32_t stream, std::uint32_t lane,
                                      std::uint32_t published) const;

 private:
  /// Outstanding indices below `due`: first of a hole → one past its last.
  using Holes = std::map<std::uint32_t, std::uint32_t>;

  [[nodiscard]] std::size_t place(std::uint32_t stream, std::uint32_t lane) const {
    return std::size_t{stream} * lanes_ + lane;
  }
  Arrival arrive_unexpectedly(std::size_t place, std::uint32_t& due, std::uint32_t index);

  std::uint32_t lanes_;
  std::vector<std::uint32_t> due_;  ///< by place: one past the highest index that arrived
  std::unordered_map<std::size_t, Holes> holes_;
};

}  // namespace ringcast::load
