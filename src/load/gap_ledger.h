#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringcast::load {

/// Whether a stream was told of the events that it did not get: a `gap` event allows one jump in
/// each lane, with the first event of the lane that follows it. One bit for each stream and lane.
///
/// Threads: one. Never blocks.
class GapLedger {
 public:
  GapLedger(std::uint32_t streams, std::uint32_t lanes)
      : lanes_(lanes), told_(std::size_t{streams} * lanes, false) {}

  /// The stream received a `gap`.
  void tell(std::uint32_t stream) {
    for (std::uint32_t lane = 0; lane < lanes_; ++lane) told_[place(stream, lane)] = true;
  }
  /// An event of the lane arrived: whether it may jump over others.
  [[nodiscard]] bool take(std::uint32_t stream, std::uint32_t lane) {
    const bool told = told_[place(stream, lane)];
    told_[place(stream, lane)] = false;
    return told;
  }

 private:
  [[nodiscard]] std::size_t place(std::uint32_t stream, std::uint32_t lane) const {
    return std::size_t{stream} * lanes_ + lane;
  }

  std::uint32_t lanes_;
  std::vector<bool> told_;
};

}  // namespace ringcast::load
