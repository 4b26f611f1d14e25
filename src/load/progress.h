#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace ringcast::load {

/// What a phase of a run says of itself: how much is done, how fast, and how long it will take yet.
///
/// Threads: one. Time is given: monotonic, in nanoseconds.
class Progress {
 public:
  struct Step {
    const char* phase = "";
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    const char* unit =
        "";  ///< "s": the phase only waits, and its rate says nothing; total 0: not for long
  };

  /// The line for this moment. The rate is that of the last two seconds of the phase.
  [[nodiscard]] std::string line(const Step& step, std::uint64_t now_ns);

 private:
  struct Sample {
    std::uint64_t at_ns;
    std::uint64_t done;
  };

  std::string phase_;
  std::deque<Sample> samples_;
};

}  // namespace ringcast::load
