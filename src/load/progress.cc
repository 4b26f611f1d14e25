#include "load/progress.h"

#include <cmath>
#include <cstdio>

#include "ringcast/base/time.h"

#include "load/text.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kRateNs = 2 * kNsPerSecond;

}  // namespace

std::string Progress::line(const Step& step, std::uint64_t now_ns) {
  if (phase_ != step.phase) {
    phase_ = step.phase;
    samples_.clear();
  }
  samples_.push_back({.at_ns = now_ns, .done = step.done});
  // The oldest sample is kept two seconds old, or a little older.
  while (samples_.size() > 2 && samples_[1].at_ns + kRateNs <= now_ns) samples_.pop_front();

  const bool waits = std::string_view{step.unit} == "s";
  if (waits && step.total == 0) return phase_;
  std::string out = phase_ + ": " + grouped(step.done);
  if (step.total > 0) out += " of " + grouped(step.total);
  out += std::string{" "} + step.unit;
  const Sample& oldest = samples_.front();
  if (now_ns == oldest.at_ns || step.done <= oldest.done) return out;
  const double seconds = static_cast<double>(now_ns - oldest.at_ns) / 1e9;
  const double rate = static_cast<double>(step.done - oldest.done) / seconds;
  char text[64];
  if (!waits) {
    std::snprintf(text, sizeof text, ", %.0f a second", rate);
    out += text;
  }
  if (step.total > step.done) {
    std::snprintf(text, sizeof text, ", %.0f s left",
                  std::ceil(static_cast<double>(step.total - step.done) / rate));
    out += text;
  }
  return out;
}

}  // namespace ringcast::load
