#pragma once

#include <cstdint>
#include <vector>

namespace ringcast::load {

/// Of streams that come back, or begin with what was published before: when each began to, and how
/// much of what it missed has not arrived. 8 bytes for each; none of it if `streams` is 0.
///
/// Threads: one.
class Returning {
 public:
  explicit Returning(std::uint32_t streams) : began_us_(streams, 0), left_(streams, 0) {}

  void expect(std::uint32_t stream, std::uint32_t events) { left_[stream] = events; }
  /// An event that the stream missed has arrived.
  void arrived(std::uint32_t stream) {
    if (left_[stream] > 0) --left_[stream];
  }
  [[nodiscard]] bool has_all(std::uint32_t stream) const { return left_[stream] == 0; }

  /// The stream's first attempt begins. Times are kept for 71 minutes.
  void begin(std::uint32_t stream, std::uint64_t now_ns) {
    if (base_ns_ == 0) base_ns_ = now_ns;
    if (began_us_[stream] == 0) began_us_[stream] = to_us(now_ns);
  }
  [[nodiscard]] std::uint64_t took_ns(std::uint32_t stream, std::uint64_t now_ns) const {
    return std::uint64_t{to_us(now_ns) - began_us_[stream]} * 1'000;
  }

 private:
  /// From 1, so that 0 says that nothing began.
  [[nodiscard]] std::uint32_t to_us(std::uint64_t now_ns) const {
    return static_cast<std::uint32_t>((now_ns - base_ns_) / 1'000) + 1;
  }

  std::uint64_t base_ns_ = 0;
  std::vector<std::uint32_t> began_us_;
  std::vector<std::uint32_t> left_;
};

}  // namespace ringcast::load
