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
#include "load/progress.h"
#include "load/reader.h"

namespace ringcast::load {
namespace {

constexpr auto kLook = std::chrono::milliseconds{20};
/// A server that tells a stream its position at once has done so by then.
constexpr double kPositionSeconds = 0.5;
constexpr std::uint32_t kLooksBetweenLines = 10;
constexpr auto kDuplicates = std::chrono::milliseconds{100};
constexpr std::uint64_t kAllEvents = ~std::uint64_t{0};

double seconds_since(std::uint64_t ns) {
  return static_cast<double>(read_clock().mono_ns - ns) / static_cast<double>(kNsPerSecond);
}

std::unique_ptr<Publisher> make_publisher(const Plan& plan, const Traffic& traffic,
                                          RunState& state) {
  if (plan.publish_redis.host.empty()) {
    return std::make_unique<HttpPublisher>(plan, traffic, state);
  }
  return std::make_unique<ChannelPublisher>(plan, traffic, state);
}

/// One run's phases, on the thread that asked for it.
class Runner {
 public:
  Runner(const Plan& plan, const RunOptions& options, const std::atomic<bool>& interrupted)
      : plan_(plan), options_(options), interrupted_(interrupted) {
    publishers_.push_back(make_publisher(plan, plan.main_traffic(), state_));
    if (plan.is_mixed()) {
      publishers_.push_back(make_publisher(plan, plan.topic_traffic(), state_));
    }
  }

  Report run() {
    report_.streams = plan_.streams;
    report_.stalled = plan_.stalled;
    report_.frame_bytes = plan_.frame_bytes;
    if (!options_.server_pids.empty()) report_.server.emplace();
    for (const auto& each : options_.watched) report_.watched.push_back({.name = each.name});
    report_.kernel_empty = read_kernel();
    measure(&Report::Server::empty, true);
    auto sources = plan_.streams > 0 ? SourceAddresses::plan(plan_) : SourceAddresses{};
    if (!sources) {
      state_.fail(sources.error().message);
    } else {
      start_listener();
      start_readers(sources.value());
      if (plan_.replay > 0) {
        replay() && hold() && begin_measuring() && publish();
      } else {
        open_streams() && hold() && begin_measuring() && begin_publishing() && storm() &&
            publish() && await_others() && resume();
      }
      end_threads();
    }
    report_.failure = state_.reason();
    return report_;
  }

 private:
  enum class Readers : std::uint8_t { prompt, stalled, slow };

  [[nodiscard]] Readers kind_of(std::uint32_t stream) const {
    if (!plan_.is_late(stream)) return Readers::prompt;
    return plan_.is_stalled(stream) ? Readers::stalled : Readers::slow;
  }

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
    ProcessUse& sum = (*report_.server).*moment;
    for (const pid_t pid : options_.server_pids) {
      const auto use = memory ? read_process(pid) : read_cpu(pid);
      if (!use) return state_.fail(use.error().message);
      sum += use.value();
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
  bool look(const Progress::Step& step) {
    std::this_thread::sleep_for(kLook);
    if (options_.progress && looks_++ % kLooksBetweenLines == 0) {
      std::fprintf(stderr, "\r\033[K%s", progress_.line(step, read_clock().mono_ns).c_str());
    }
    if (interrupted_.load()) state_.fail("interrupted");
    if (seconds_since(begin_ns_) > options_.timeout_seconds) {
      state_.fail(std::string{"--timeout has passed while "} + step.phase);
    }
    return !state_.failed();
  }

  /// Waits until `count()` is `step.total`. Fails the run with `stuck`, if that is given, when
  /// nothing of it happens for long. False when the run is to end.
  template <class Count>
  bool await(Progress::Step step, Count&& count, const char* stuck = nullptr) {
    std::uint64_t activity = 0;
    std::uint64_t quiet_since_ns = read_clock().mono_ns;
    while ((step.done = count()) < step.total) {
      if (!look(step)) return false;
      const std::uint64_t now_activity =
          step.done + acknowledged() + total(&ReaderCounters::deliveries) +
          total(&ReaderCounters::open) + total(&ReaderCounters::opens_failed);
      if (now_activity != activity) quiet_since_ns = read_clock().mono_ns;
      activity = now_activity;
      if (stuck != nullptr && seconds_since(quiet_since_ns) > options_.quiet_seconds)
        state_.fail(stuck);
    }
    return true;
  }

  bool await_seconds(const char* phase, double seconds) {
    const std::uint64_t since_ns = read_clock().mono_ns;
    while (seconds_since(since_ns) < seconds) {
      const Progress::Step step{.phase = phase,
                                .done = static_cast<std::uint64_t>(seconds_since(since_ns)),
                                .total = static_cast<std::uint64_t>(seconds),
                                .unit = "s"};
      if (!look(step)) return false;
    }
    return true;
  }
  bool settle() { return await_seconds("settling", options_.settle_seconds); }

  [[nodiscard]] std::uint64_t acknowledged() const {
    std::uint64_t sum = 0;
    for (const auto& publisher : publishers_) sum += publisher->acknowledged();
    return sum;
  }

  [[nodiscard]] bool all_published() const {
    return std::all_of(publishers_.begin(), publishers_.end(),
                       [](const auto& publisher) { return publisher->done(); });
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
    const bool going_on =
        await({.phase = "opening",
               .total = std::uint64_t{plan_.streams} + plan_.subscribers,
               .unit = "streams"},
              [this] { return total(&ReaderCounters::open) + heard(&ListenerCounters::ready); });
    report_.open_seconds = seconds_since(begin_ns);
    report_.open = total(&ReaderCounters::open);
    return going_on;
  }

  bool hold() {
    if (!settle()) return false;
    measure(&Report::Server::idle_begin, true);
    watch(&WatchedReport::idle_begin);
    const std::uint64_t begin_ns = read_clock().mono_ns;
    if (!await_seconds("holding", options_.hold_seconds)) return false;
    report_.hold_seconds = options_.hold_seconds > 0 ? seconds_since(begin_ns) : 0;
    watch(&WatchedReport::idle_end);
    measure(&Report::Server::idle_end, true);
    report_.kernel_open = read_kernel();
    return true;
  }

  bool begin_measuring() {
    if (plan_.publications == 0) return true;
    measure(&Report::Server::publish_begin, false);
    watch(&WatchedReport::publish_begin);
    report_.deliveries_before = total(&ReaderCounters::deliveries);
    measured_since_ns_ = read_clock().mono_ns;
    return !state_.failed();
  }

  bool begin_publishing() {
    if (plan_.publications == 0) return true;
    state_.allow(plan_.storm_at.value_or(kAllEvents));
    for (auto& publisher : publishers_) {
      threads_.emplace_back([&publisher] { publisher->run(); });
    }
    return !state_.failed();
  }

  /// Waits for what is published before the storm to arrive everywhere, so that each stream comes
  /// back with the newest ID.
  bool await_calm() {
    return await({.phase = "publishing", .total = *plan_.storm_at, .unit = "published"},
                 [this] { return acknowledged(); }) &&
           await(
               {.phase = "delivering",
                .total = deliveries_of_first(*plan_.storm_at),
                .unit = "deliveries"},
               [this] { return total(&ReaderCounters::deliveries); },
               "events did not arrive everywhere before the storm");
  }

  /// What the streams that come back, from `first` on, are to get of what they missed.
  [[nodiscard]] std::uint64_t missed_by_all_from(std::uint32_t first) const {
    std::vector<std::uint64_t> of_topic(plan_.topic_count());
    for (std::uint32_t topic = 0; topic < of_topic.size(); ++topic) {
      of_topic[topic] = plan_.missed_of(topic);
    }
    std::uint64_t sum = 0;
    for (std::uint32_t stream = first; stream < plan_.streams; ++stream) {
      sum += of_topic[plan_.topic_of(stream)];
    }
    return sum;
  }

  bool publish_missed(const char* phase) {
    state_.allow(plan_.missed().end);
    return await({.phase = phase, .total = plan_.missed().end, .unit = "published"},
                 [this] { return acknowledged(); }) &&
           settle();
  }

  /// From the first connection that was begun again to the last stream's return, in seconds.
  [[nodiscard]] double seconds_of_return() const {
    std::uint64_t began_ns = ~std::uint64_t{0};
    std::uint64_t ended_ns = 0;
    for (const auto& reader : readers_) {
      const std::uint64_t reader_began_ns = reader->counters().return_began_ns.get();
      if (reader_began_ns > 0) began_ns = std::min(began_ns, reader_began_ns);
      ended_ns = std::max(ended_ns, reader->counters().last_return_ns.get());
    }
    return ended_ns > began_ns ? static_cast<double>(ended_ns - began_ns) / 1e9 : 0;
  }

  [[nodiscard]] bool await_return(const char* phase, std::uint64_t streams) {
    return await(
               {.phase = phase, .total = streams, .unit = "streams back"},
               [this] { return total(&ReaderCounters::returned); },
               "streams did not come back with all that they had missed") &&
           settle();
  }

  bool storm() {
    if (!plan_.storm_at) return true;
    if (!await_calm()) return false;
    const std::uint64_t failed_before = total(&ReaderCounters::opens_failed);
    StormReport& storm = report_.storm.emplace();
    storm.missed = plan_.storm_missed;
    storm.missed_expected = missed_by_all_from(0);
    measure(&Report::Server::storm_begin, false);
    state_.begin_storm();
    bool going_on = true;
    if (plan_.storm_missed > 0) {
      going_on = await({.phase = "closing", .total = plan_.streams, .unit = "streams closed"},
                       [this] { return total(&ReaderCounters::storm_closed); }) &&
                 publish_missed("publishing what is missed");
      measure(&Report::Server::return_begin, false);
      state_.open_again();
    }
    going_on = going_on && await_return("storm", plan_.streams);
    measure(&Report::Server::storm_end, false);
    storm.closed = total(&ReaderCounters::storm_closed);
    storm.returned = total(&ReaderCounters::returned);
    storm.missed_arrived = total(&ReaderCounters::missed_arrived);
    storm.opens_failed = total(&ReaderCounters::opens_failed) - failed_before;
    storm.reopen_seconds = seconds_of_return();
    std::uint64_t began_ns = ~std::uint64_t{0};
    std::uint64_t ended_ns = 0;
    for (const auto& reader : readers_) {
      began_ns = std::min(began_ns, reader->counters().storm_began_ns.get());
      ended_ns = std::max(ended_ns, reader->counters().last_return_ns.get());
    }
    if (ended_ns > began_ns) storm.seconds = static_cast<double>(ended_ns - began_ns) / 1e9;
    state_.allow(kAllEvents);
    return going_on;
  }

  /// Waits until stream 0 is open and knows an ID, if need be that of an event that does not count.
  bool await_position() {
    const auto told = [this] { return std::uint64_t{state_.has_position()}; };
    const Progress::Step step{.phase = "looking for a position", .total = 1, .unit = "streams"};
    if (!await(step, [this] { return total(&ReaderCounters::open); })) return false;
    const std::uint64_t since_ns = read_clock().mono_ns;
    while (!state_.has_position() && seconds_since(since_ns) < kPositionSeconds) {
      if (!look(step)) return false;
    }
    if (!state_.has_position()) state_.want_lead();
    return await(step, told, "--replay: the server's events have no ID to go on from");
  }

  bool replay() {
    state_.allow(0);
    for (auto& publisher : publishers_) {
      threads_.emplace_back([&publisher] { publisher->run(); });
    }
    if (!await_position() || !publish_missed("publishing what is missed")) return false;
    ReplayReport& replay = report_.replay.emplace();
    replay.events = plan_.replay;
    replay.streams = plan_.streams - 1;
    replay.expected = missed_by_all_from(1);
    measure(&Report::Server::return_begin, false);
    state_.open_again();
    const bool going_on = await_return("replay", replay.streams);
    measure(&Report::Server::return_end, false);
    replay.returned = total(&ReaderCounters::returned);
    replay.arrived = total(&ReaderCounters::missed_arrived);
    replay.seconds = report_.open_seconds = seconds_of_return();
    report_.open = total(&ReaderCounters::open);
    return going_on;
  }

  bool publish() {
    if (plan_.publications == 0) {
      report_.kernel_end = read_kernel();
      return true;
    }
    state_.allow(kAllEvents);
    const std::uint64_t events = plan_.publications + plan_.topic_publications;
    bool going_on = true;
    while (going_on && !all_published()) {
      going_on = look(
          {.phase = "publishing", .done = acknowledged(), .total = events, .unit = "published"});
    }
    const std::uint64_t expected =
        all_published() ? deliveries_to(Readers::prompt) + acknowledged() * plan_.subscribers : 0;
    std::uint64_t arrived = everything_arrived();
    std::uint64_t quiet_since_ns = read_clock().mono_ns;
    while (going_on && arrived < expected &&
           seconds_since(quiet_since_ns) < options_.quiet_seconds) {
      going_on =
          look({.phase = "delivering", .done = arrived, .total = expected, .unit = "deliveries"});
      const std::uint64_t now_arrived = everything_arrived();
      if (now_arrived != arrived) quiet_since_ns = read_clock().mono_ns;
      arrived = now_arrived;
    }
    report_.measured_seconds = seconds_since(measured_since_ns_);
    measure(&Report::Server::publish_end, false);
    watch(&WatchedReport::publish_end);
    // A duplicate would come after the last one that is due.
    std::this_thread::sleep_for(kDuplicates);
    measure(&Report::Server::published, true);
    report_.kernel_end = read_kernel();
    return going_on;
  }

  /// On streams and at bare subscribers.
  [[nodiscard]] std::uint64_t everything_arrived() const {
    return total(&ReaderCounters::deliveries) + heard(&ListenerCounters::messages);
  }

  /// Waits for what somebody else publishes on the channel.
  bool await_others() {
    return await({.phase = "listening",
                  .total = plan_.others_messages * plan_.subscribers,
                  .unit = "messages of others"},
                 [this] { return heard(&ListenerCounters::others); });
  }

  /// Reads the stalled streams until each stands at the newest event.
  bool resume() {
    if (!plan_.resume_stalled) return true;
    StalledReport& stalled = report_.resumed.emplace();
    stalled.expected = deliveries_to(Readers::stalled);
    const std::uint64_t expected = stalled.expected + deliveries_to(Readers::slow);
    const std::uint64_t begin_ns = read_clock().mono_ns;
    std::uint64_t quiet_since_ns = begin_ns;
    std::uint64_t settled = 0;
    bool going_on = true;
    state_.resume();
    while (going_on && settled < expected &&
           seconds_since(quiet_since_ns) < options_.quiet_seconds) {
      going_on = look({.phase = "resuming", .done = settled, .total = expected, .unit = "events"});
      const std::uint64_t now_settled =
          total(&ReaderCounters::stalled_deliveries) + total(&ReaderCounters::stalled_skipped) +
          total(&ReaderCounters::stalled_unannounced) + total(&ReaderCounters::slow_deliveries) +
          total(&ReaderCounters::slow_skipped) + total(&ReaderCounters::slow_unannounced);
      if (now_settled != settled) quiet_since_ns = read_clock().mono_ns;
      settled = now_settled;
    }
    stalled.seconds = seconds_since(begin_ns);
    std::this_thread::sleep_for(kDuplicates);
    return going_on;
  }

  /// How many deliveries are due to these streams for what is acknowledged. Only once the
  /// publishers are done, or their threads have ended.
  [[nodiscard]] std::uint64_t deliveries_to(Readers readers) const {
    std::uint64_t sum = 0;
    for (const auto& publisher : publishers_) {
      sum += deliveries_of(publisher->traffic(), publisher->published(), readers);
    }
    return sum;
  }

  /// The same for the first `events` of the main traffic, on the streams that always read.
  [[nodiscard]] std::uint64_t deliveries_of_first(std::uint64_t events) const {
    const Traffic traffic = plan_.main_traffic();
    std::vector<std::uint64_t> published;
    for (std::uint32_t lane = 0; lane < traffic.lanes; ++lane) {
      published.push_back(traffic.events_of_lane(lane, events));
    }
    return deliveries_of(traffic, published, Readers::prompt);
  }

  /// `published` has the count for each lane of the traffic.
  [[nodiscard]] std::uint64_t deliveries_of(const Traffic& traffic,
                                            const std::vector<std::uint64_t>& published,
                                            Readers readers) const {
    std::uint64_t expected = 0;
    std::vector<std::uint64_t> of_topic(plan_.topic_count(), 0);
    for (std::uint32_t topic = 0; topic < plan_.topic_count(); ++topic) {
      for (std::uint32_t lane = 0; lane < traffic.lanes; ++lane) {
        of_topic[topic] += plan_.share_of_lane(traffic.first_lane + lane, topic, published[lane]);
      }
    }
    for (std::uint32_t stream = 0; stream < plan_.streams; ++stream) {
      if (kind_of(stream) == readers) expected += of_topic[plan_.topic_of(stream)];
    }
    return expected;
  }

  void end_threads() {
    const std::uint64_t dropped = total(&ReaderCounters::dropped);
    state_.stop();
    for (auto& thread : threads_) thread.join();
    report_.dropped = dropped;
    report_.expected = deliveries_to(Readers::prompt);
    report_.opens_failed = total(&ReaderCounters::opens_failed);
    report_.reconnects = total(&ReaderCounters::reconnects);
    report_.published = acknowledged();
    for (const auto& publisher : publishers_) {
      report_.deferred += publisher->deferred();
      report_.publisher_cpu_ns += publisher->cpu_ns();
    }
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
    if (plan_.slow > 0) {
      SlowReport& slow = report_.slow.emplace();
      slow.readers = plan_.slow;
      slow.bytes_per_second = plan_.slow_bytes_per_second;
      slow.expected = deliveries_to(Readers::slow);
      slow.deliveries = total(&ReaderCounters::slow_deliveries);
      slow.skipped = total(&ReaderCounters::slow_skipped);
      slow.unannounced = total(&ReaderCounters::slow_unannounced);
      slow.dropped = total(&ReaderCounters::slow_dropped);
      for (const auto& reader : readers_) slow.latency.merge(reader->slow_latency());
    }
    for (const auto& reader : readers_) {
      if (reader->tls() == nullptr) continue;
      if (!report_.tls) report_.tls.emplace();
      report_.tls->merge(reader->tls()->report());
    }
    const Publisher& main = *publishers_.front();
    report_.answer = main.latency();
    report_.receivers_min = main.receivers_min();
    report_.receivers_max = main.receivers_max();
    std::uint64_t last_arrival_ns = 0;
    for (const auto& reader : readers_) {
      report_.missing += reader->missing(main.traffic(), main.published());
      report_.latency.merge(reader->latency());
      report_.reader_cpu_ns += reader->cpu_ns();
      last_arrival_ns = std::max(last_arrival_ns, reader->counters().last_arrival_ns.get());
      if (report_.storm) report_.storm->back.merge(reader->return_latency());
      if (report_.replay) report_.replay->complete.merge(reader->return_latency());
    }
    const auto seconds_between = [](std::uint64_t from_ns, std::uint64_t to_ns) {
      return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e9 : 0;
    };
    const std::uint64_t started_ns = main.started_ns() + main.paused_ns();
    report_.publish_seconds = seconds_between(started_ns, main.finished_ns());
    report_.delivery_seconds = seconds_between(started_ns, last_arrival_ns);
    std::vector<std::uint64_t> published = main.published();
    if (plan_.is_mixed()) {
      const Publisher& topics = *publishers_.back();
      MixedReport& mixed = report_.mixed.emplace();
      mixed.published = topics.acknowledged();
      mixed.expected = deliveries_of(topics.traffic(), topics.published(), Readers::prompt);
      mixed.deliveries = total(&ReaderCounters::topic_deliveries);
      mixed.publish_seconds = seconds_between(topics.started_ns(), topics.finished_ns());
      mixed.answer = topics.latency();
      for (const auto& reader : readers_) {
        mixed.latency.merge(reader->topic_latency());
        mixed.missing += reader->missing(topics.traffic(), topics.published());
      }
      report_.missing += mixed.missing;
      const auto of_topics = topics.published();
      published.insert(published.end(), of_topics.begin(), of_topics.end());
    }
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
  std::vector<std::unique_ptr<Publisher>> publishers_;  ///< of each traffic
  std::unique_ptr<Listener> listener_;                  ///< none without bare subscribers
  std::vector<std::thread> threads_;
  Progress progress_;
  std::uint32_t looks_ = 0;
};

}  // namespace

Report run(const Plan& plan, const RunOptions& options, const std::atomic<bool>& interrupted) {
  return std::make_unique<Runner>(plan, options, interrupted)->run();
}

}  // namespace ringcast::load
