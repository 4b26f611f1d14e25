#include "load/run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "ringcast/base/time.h"

#include "load/channel_publisher.h"
#include "load/http_publisher.h"
#include "load/listener.h"
#include "load/reader.h"

namespace ringcast::load {
namespace {

constexpr auto kLook = std::chrono::milliseconds{20};
constexpr double kQuietSeconds = 10;
/// Between the last opened stream and the measuring: the server ends what belongs to opening.
constexpr double kSettleSeconds = 0.5;

double seconds_since(std::uint64_t ns) {
  return static_cast<double>(read_clock().mono_ns - ns) / static_cast<double>(kNsPerSecond);
}

std::unique_ptr<Publisher> make_publisher(const Plan& plan, RunState& state) {
  if (plan.publish_redis.host.empty()) return std::make_unique<HttpPublisher>(plan, state);
  return std::make_unique<ChannelPublisher>(plan, state);
}

/// One run's phases, on the thread that asked for it.
class Runner {
 public:
  Runner(const Plan& plan, const RunOptions& options, const std::atomic<bool>& interrupted)
      : plan_(plan),
        options_(options),
        interrupted_(interrupted),
        publisher_(make_publisher(plan, state_)) {}

  Report run() {
    report_.streams = plan_.streams;
    report_.stalled = plan_.stalled;
    report_.frame_bytes = plan_.frame_bytes;
    if (options_.server_pid != 0) report_.server.emplace();
    for (const auto& each : options_.watched) report_.watched.push_back({.name = each.name});
    report_.kernel_empty = read_kernel();
    measure(&Report::Server::empty, true);
    auto sources = plan_.streams > 0 ? SourceAddresses::plan(plan_) : SourceAddresses{};
    if (!sources) {
      state_.fail(sources.error().message);
    } else {
      start_listener();
      start_readers(sources.value());
      open_streams() && hold() && begin_publishing() && storm() && publish() && await_others() &&
          resume();
      end_threads();
    }
    report_.failure = state_.reason();
    return report_;
  }

 private:
  [[nodiscard]] std::uint64_t total(Counter ReaderCounters::*counter) const {
    std::uint64_t sum = 0;
    for (const auto& reader : readers_) sum += (reader->counters().*counter).get();
    return sum;
  }

  [[nodiscard]] std::uint64_t heard(Counter ListenerCounters::*counter) const {
    return listener_ ? (listener_->counters().*counter).get() : 0;
  }

  void measure(ProcessUse Report::Server::*moment, bool memory) {
    if (!report_.server) return;
    const auto use = memory ? read_process(options_.server_pid) : read_cpu(options_.server_pid);
    if (use) {
      (*report_.server).*moment = use.value();
    } else {
      state_.fail(use.error().message);
    }
  }

  void watch(ThreadUse WatchedReport::*moment) {
    for (std::size_t i = 0; i < options_.watched.size(); ++i) {
      auto use = read_threads(options_.watched[i].pid);
      if (use) {
        report_.watched[i].*moment = std::move(use.value());
      } else {
        state_.fail("--watch " + options_.watched[i].name + ": " + use.error().message);
      }
    }
  }

  /// Waits for the others a moment. False when the run is to end.
  bool look(const char* phase) {
    std::this_thread::sleep_for(kLook);
    if (options_.progress && looks_++ % 10 == 0) show(phase);
    if (interrupted_.load()) state_.fail("interrupted");
    if (seconds_since(begin_ns_) > options_.timeout_seconds) {
      state_.fail(std::string{"--timeout has passed while "} + phase);
    }
    return !state_.failed();
  }

  void show(const char* phase) {
    std::fprintf(stderr, "\r\033[K%s: %llu of %u streams, %llu of %llu published, %llu deliveries",
                 phase, static_cast<unsigned long long>(total(&ReaderCounters::open)),
                 plan_.streams, static_cast<unsigned long long>(publisher_->acknowledged()),
                 static_cast<unsigned long long>(plan_.publications),
                 static_cast<unsigned long long>(total(&ReaderCounters::deliveries)));
  }

  void start_listener() {
    if (plan_.subscribers == 0) return;
    listener_ = std::make_unique<Listener>(plan_, state_);
    threads_.emplace_back([this] { listener_->run(); });
  }

  void start_readers(const SourceAddresses& sources) {
    for (std::uint32_t i = 0; i < plan_.threads; ++i) {
      const auto first =
          static_cast<std::uint32_t>(std::uint64_t{plan_.streams} * i / plan_.threads);
      const auto end =
          static_cast<std::uint32_t>(std::uint64_t{plan_.streams} * (i + 1) / plan_.threads);
      readers_.push_back(std::make_unique<Reader>(plan_, sources, state_, first, end - first));
    }
    for (auto& reader : readers_) threads_.emplace_back([&reader] { reader->run(); });
  }

  bool open_streams() {
    const std::uint64_t begin_ns = read_clock().mono_ns;
    bool going_on = true;
    while (going_on && (total(&ReaderCounters::open) < plan_.streams ||
                        heard(&ListenerCounters::ready) < plan_.subscribers)) {
      going_on = look("opening");
    }
    report_.open_seconds = seconds_since(begin_ns);
    report_.open = total(&ReaderCounters::open);
    return going_on;
  }

  bool hold() {
    const std::uint64_t opened_ns = read_clock().mono_ns;
    while (seconds_since(opened_ns) < kSettleSeconds) {
      if (!look("opening")) return false;
    }
    measure(&Report::Server::idle_begin, true);
    watch(&WatchedReport::idle_begin);
    const std::uint64_t begin_ns = read_clock().mono_ns;
    while (seconds_since(begin_ns) < options_.hold_seconds) {
      if (!look("holding")) return false;
    }
    report_.hold_seconds = options_.hold_seconds > 0 ? seconds_since(begin_ns) : 0;
    watch(&WatchedReport::idle_end);
    measure(&Report::Server::idle_end, true);
    report_.kernel_open = read_kernel();
    return true;
  }

  bool begin_publishing() {
    if (plan_.publications == 0) return true;
    measure(&Report::Server::publish_begin, false);
    watch(&WatchedReport::publish_begin);
    measured_since_ns_ = read_clock().mono_ns;
    threads_.emplace_back([this] { publisher_->run(); });
    return !state_.failed();
  }

  /// Waits for what is published before the storm to arrive everywhere, so that each stream comes
  /// back with the newest ID and nothing is replayed.
  bool await_calm() {
    const std::uint64_t expected = deliveries_of_first(*plan_.storm_at);
    std::uint64_t arrived = 0;
    std::uint64_t quiet_since_ns = read_clock().mono_ns;
    while (publisher_->acknowledged() < *plan_.storm_at ||
           total(&ReaderCounters::deliveries) < expected) {
      if (!look("publishing")) return false;
      const std::uint64_t now_arrived = total(&ReaderCounters::deliveries);
      if (now_arrived != arrived || publisher_->acknowledged() < *plan_.storm_at) {
        quiet_since_ns = read_clock().mono_ns;
      }
      arrived = now_arrived;
      if (seconds_since(quiet_since_ns) > kQuietSeconds) {
        state_.fail("events did not arrive everywhere before the storm");
      }
    }
    return true;
  }

  bool storm() {
    if (!plan_.storm_at) return true;
    if (!await_calm()) return false;
    const std::uint64_t failed_before = total(&ReaderCounters::opens_failed);
    StormReport& storm = report_.storm.emplace();
    measure(&Report::Server::storm_begin, false);
    state_.begin_storm();
    bool going_on = true;
    while (going_on && total(&ReaderCounters::storm_returned) < plan_.streams) {
      going_on = look("storm");
    }
    const std::uint64_t back_ns = read_clock().mono_ns;
    while (going_on && seconds_since(back_ns) < kSettleSeconds) going_on = look("storm");
    measure(&Report::Server::storm_end, false);
    storm.closed = total(&ReaderCounters::storm_closed);
    storm.returned = total(&ReaderCounters::storm_returned);
    storm.opens_failed = total(&ReaderCounters::opens_failed) - failed_before;
    std::uint64_t began_ns = back_ns;
    std::uint64_t ended_ns = 0;
    for (const auto& reader : readers_) {
      began_ns = std::min(began_ns, reader->counters().storm_began_ns.get());
      ended_ns = std::max(ended_ns, reader->counters().storm_last_return_ns.get());
    }
    if (ended_ns > began_ns) storm.seconds = static_cast<double>(ended_ns - began_ns) / 1e9;
    state_.end_storm();
    return going_on;
  }

  bool publish() {
    if (plan_.publications == 0) {
      report_.kernel_end = read_kernel();
      return true;
    }
    bool going_on = true;
    while (going_on && !publisher_->done()) going_on = look("publishing");
    report_.expected = deliveries_to(false);
    const std::uint64_t expected = report_.expected + messages_to_hear();
    std::uint64_t arrived = everything_arrived();
    std::uint64_t quiet_since_ns = read_clock().mono_ns;
    while (going_on && arrived < expected && seconds_since(quiet_since_ns) < kQuietSeconds) {
      going_on = look("delivering");
      const std::uint64_t now_arrived = everything_arrived();
      if (now_arrived != arrived) quiet_since_ns = read_clock().mono_ns;
      arrived = now_arrived;
    }
    report_.measured_seconds = seconds_since(measured_since_ns_);
    measure(&Report::Server::publish_end, false);
    watch(&WatchedReport::publish_end);
    // A duplicate would come after the last one that is due.
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    measure(&Report::Server::published, true);
    report_.kernel_end = read_kernel();
    return going_on;
  }

  /// On streams and at bare subscribers.
  [[nodiscard]] std::uint64_t everything_arrived() const {
    return total(&ReaderCounters::deliveries) + heard(&ListenerCounters::messages);
  }

  [[nodiscard]] std::uint64_t messages_to_hear() const {
    return publisher_->done() ? publisher_->acknowledged() * plan_.subscribers : 0;
  }

  /// Waits for what somebody else publishes on the channel.
  bool await_others() {
    bool going_on = true;
    while (going_on &&
           heard(&ListenerCounters::others) < plan_.others_messages * plan_.subscribers) {
      going_on = look("listening");
    }
    return going_on;
  }

  /// Reads the stalled streams until each stands at the newest event.
  bool resume() {
    if (!plan_.resume_stalled) return true;
    StalledReport& stalled = report_.resumed.emplace();
    stalled.expected = deliveries_to(true);
    const std::uint64_t begin_ns = read_clock().mono_ns;
    std::uint64_t quiet_since_ns = begin_ns;
    std::uint64_t settled = 0;
    bool going_on = true;
    state_.resume();
    while (going_on && settled < stalled.expected &&
           seconds_since(quiet_since_ns) < kQuietSeconds) {
      going_on = look("resuming");
      const std::uint64_t now_settled = total(&ReaderCounters::stalled_deliveries) +
                                        total(&ReaderCounters::stalled_skipped) +
                                        total(&ReaderCounters::stalled_unannounced);
      if (now_settled != settled) quiet_since_ns = read_clock().mono_ns;
      settled = now_settled;
    }
    stalled.seconds = seconds_since(begin_ns);
    std::this_thread::sleep_for(std::chrono::milliseconds{100});  // for duplicates
    return going_on;
  }

  /// How many deliveries make the run complete, on the stalled streams or on the others. Only
  /// exact when the publisher is done.
  [[nodiscard]] std::uint64_t deliveries_to(bool stalled) const {
    return publisher_->done() ? deliveries_of(publisher_->published(), stalled) : 0;
  }

  /// The same for the first `events` of the plan, on the streams that always read.
  [[nodiscard]] std::uint64_t deliveries_of_first(std::uint64_t events) const {
    std::vector<std::uint64_t> published;
    for (std::uint32_t lane = 0; lane < plan_.publishers; ++lane) {
      published.push_back(plan_.events_of_lane(lane, events));
    }
    return deliveries_of(published, false);
  }

  [[nodiscard]] std::uint64_t deliveries_of(const std::vector<std::uint64_t>& published,
                                            bool stalled) const {
    std::uint64_t expected = 0;
    std::vector<std::uint64_t> of_topic(plan_.topic_count(), 0);
    for (std::uint32_t topic = 0; topic < plan_.topic_count(); ++topic) {
      for (const std::uint64_t lane : published) of_topic[topic] += plan_.share_of(topic, lane);
    }
    for (std::uint32_t stream = 0; stream < plan_.streams; ++stream) {
      if (plan_.is_stalled(stream) == stalled) expected += of_topic[plan_.topic_of(stream)];
    }
    return expected;
  }

  void end_threads() {
    const std::uint64_t dropped = total(&ReaderCounters::dropped);
    state_.stop();
    for (auto& thread : threads_) thread.join();
    report_.dropped = dropped;
    report_.opens_failed = total(&ReaderCounters::opens_failed);
    report_.reconnects = total(&ReaderCounters::reconnects);
    report_.published = publisher_->acknowledged();
    report_.deferred = publisher_->deferred();
    report_.deliveries = total(&ReaderCounters::deliveries);
    report_.duplicates = total(&ReaderCounters::duplicates);
    report_.late = total(&ReaderCounters::late);
    report_.misrouted = total(&ReaderCounters::misrouted);
    report_.other_events = total(&ReaderCounters::other_events);
    report_.gaps = total(&ReaderCounters::gaps);
    if (report_.resumed) {
      report_.resumed->deliveries = total(&ReaderCounters::stalled_deliveries);
      report_.resumed->skipped = total(&ReaderCounters::stalled_skipped);
      report_.resumed->unannounced = total(&ReaderCounters::stalled_unannounced);
      report_.resumed->dropped = total(&ReaderCounters::stalled_dropped);
    }
    for (const auto& reader : readers_) {
      if (reader->tls() == nullptr) continue;
      if (!report_.tls) report_.tls.emplace();
      report_.tls->merge(reader->tls()->report());
    }
    report_.answer = publisher_->latency();
    report_.receivers_min = publisher_->receivers_min();
    report_.receivers_max = publisher_->receivers_max();
    report_.publisher_cpu_ns = publisher_->cpu_ns();
    const std::vector<std::uint64_t> published = publisher_->published();
    std::uint64_t last_arrival_ns = 0;
    for (const auto& reader : readers_) {
      report_.missing += reader->missing(published);
      report_.latency.merge(reader->latency());
      report_.reader_cpu_ns += reader->cpu_ns();
      last_arrival_ns = std::max(last_arrival_ns, reader->counters().last_arrival_ns.get());
    }
    const auto seconds_between = [](std::uint64_t from_ns, std::uint64_t to_ns) {
      return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e9 : 0;
    };
    const std::uint64_t started_ns = publisher_->started_ns() + publisher_->paused_ns();
    report_.publish_seconds = seconds_between(started_ns, publisher_->finished_ns());
    report_.delivery_seconds = seconds_between(started_ns, last_arrival_ns);
    if (listener_) {
      const ListenerCounters& counters = listener_->counters();
      report_.heard = {.subscribers = plan_.subscribers,
                       .messages = counters.messages.get(),
                       .missing = listener_->missing(published),
                       .duplicates = counters.duplicates.get(),
                       .late = counters.late.get(),
                       .others = counters.others.get(),
                       .seconds = seconds_between(started_ns, counters.last_arrival_ns.get()),
                       .latency = listener_->latency()};
      report_.listener_cpu_ns = listener_->cpu_ns();
    }
    if (options_.progress) std::fputs("\r\033[K", stderr);
  }

  const Plan& plan_;
  const RunOptions& options_;
  const std::atomic<bool>& interrupted_;
  const std::uint64_t begin_ns_ = read_clock().mono_ns;
  std::uint64_t measured_since_ns_ = 0;
  RunState state_;
  Report report_;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Listener> listener_;  ///< none without bare subscribers
  std::vector<std::thread> threads_;
  std::uint32_t looks_ = 0;
};

}  // namespace

Report run(const Plan& plan, const RunOptions& options, const std::atomic<bool>& interrupted) {
  return std::make_unique<Runner>(plan, options, interrupted)->run();
}

}  // namespace ringcast::load
