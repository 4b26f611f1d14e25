#include "world.h"

#include <cstdarg>
#include <cstdio>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/time.h"

namespace ringcast::sim {
namespace {

World* current_world = nullptr;

std::string format_text(const char* format, std::va_list arguments) {
  char text[1024];
  std::vsnprintf(text, sizeof text, format, arguments);
  return text;
}

}  // namespace

void Timeline::at(std::uint64_t when_ns, std::function<void()> what) {
  due_.push({when_ns < now_ns_ ? now_ns_ : when_ns, scheduled_++, std::move(what)});
}

std::uint64_t Timeline::next_due() const {
  return due_.empty() ? ~std::uint64_t{0} : due_.top().when_ns;
}

void Timeline::run_next() {
  now_ns_ = due_.top().when_ns;
  const std::function<void()> what = due_.top().what;
  due_.pop();
  what();
}

void Timeline::advance_to(std::uint64_t when_ns) {
  RC_ASSERT(when_ns >= now_ns_ && when_ns <= next_due());
  now_ns_ = when_ns;
}

World::World(std::uint64_t seed, Tracing tracing) : random(seed), tracing_(tracing) {
  RC_ASSERT(current_world == nullptr);
  current_world = this;
}

World::~World() {
  current_world = nullptr;
}

World& World::current() {
  RC_ASSERT(current_world != nullptr);
  return *current_world;
}

void World::fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const std::string text = format_text(format, arguments);
  va_end(arguments);
  trace("FAILURE %s", text.c_str());
  if (!failed()) {
    failure_ = text + " (at " + std::to_string(timeline.now() / 1000) + " us of simulated time)";
  }
}

void World::trace(const char* format, ...) {
  if (tracing_ == Tracing::off) return;
  std::va_list arguments;
  va_start(arguments, format);
  const std::string text = format_text(format, arguments);
  va_end(arguments);
  if (tracing_ == Tracing::digested) {
    // FNV-1a.
    constexpr std::uint64_t kPrime = 0x100'0000'01b3;
    for (const char c : text) {
      trace_digest_ = (trace_digest_ ^ static_cast<unsigned char>(c)) * kPrime;
    }
    trace_digest_ ^= timeline.now();
    return;
  }
  std::printf("%12.6f %s\n",
              static_cast<double>(timeline.now()) / static_cast<double>(kNsPerSecond),
              text.c_str());
}

std::uint64_t World::latency_ns() {
  constexpr std::uint64_t kUsualNs = 50'000;
  if (random.chance(nasty.late)) return random.skewed(nasty.late_ns);
  return random.chance(0.5) ? 0 : random.skewed(kUsualNs);
}

}  // namespace ringcast::sim
