#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringcast::sim {

/// Everything random in a run comes from one of these, so that the seed replays it: xoshiro256**
/// (Blackman, Vigna 2018), its state filled by splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e37'79b9'7f4a'7c15;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
      word = mixed ^ (mixed >> 31);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// 0 to `n` - 1; `n` is not 0. The bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  /// Both ends included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
  }
  /// Up to `max`, mostly far below it: each binary order of magnitude is equally likely.
  std::uint64_t skewed(std::uint64_t max) {
    if (max == 0) return 0;
    return below(max >> below(static_cast<std::uint64_t>(std::bit_width(max)))) + 1;
  }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  std::uint64_t state_[4];
};

}  // namespace ringcast::sim
