#include "simulation.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

#include "ringcast/base/time.h"

#include "misfit.h"
#include "publisher.h"
#include "rules.h"
#include "server.h"
#include "stream_client.h"

namespace ringcast::sim {
namespace {

constexpr std::uint64_t kSettleNs = 8 * kNsPerSecond;
constexpr std::size_t kClientsMax = 30;
constexpr std::size_t kPublishersMax = 12;
constexpr std::size_t kMisfitsMax = 4;
// Of these seeds one; not drawn, so that it changes nothing in the others.
constexpr std::uint64_t kSeedsForTls = 8;

Nastiness draw_nastiness(Random& random) {
  if (random.chance(0.1)) return {};  // a kernel on its best behaviour
  const double level = random.chance(0.3) ? 1.0 : 0.3;
  return {.short_send = 0.1 * level,
          .refused_send = 0.1 * level,
          .failed_send = random.chance(0.2) ? 0.002 : 0,
          .no_buffers = 0.1 * level,
          .receive_ends = 0.1 * level,
          .accept_fails = 0.1 * level,
          .spurious_writable = 0.2 * level,
          .late = 0.1 * level,
          .late_ns = random.skewed(50 * kNsPerMs),
          .party_stalls = 0.04 * level,
          .party_stall_ns = random.skewed(50 * kNsPerMs)};
}

RemoteOptions draw_remote(Random& random) {
  return {.prefilled = random.chance(0.3) ? 0 : random.skewed(150),
          .keeps = random.chance(0.5) ? 1'000 : 5 + random.skewed(200),
          .page_entries = random.skewed(hub::kHistoryPageEvents),
          .reply_ns = kNsPerMs + random.skewed(30 * kNsPerMs),
          .tail_ns = random.skewed(30 * kNsPerMs),
          .stall_ns = random.skewed(2 * kNsPerSecond),
          .not_taken = random.chance(0.5) ? 0.1 : 0,
          .unknown = random.chance(0.5) ? 0.1 : 0,
          .others = random.skewed(300),
          .flood = random.chance(0.1),
          .pause_ns = 10 * kNsPerMs + random.skewed(5 * kNsPerSecond)};
}

// Small, so that the log wraps often; half of it must hold the largest frame.
void draw_history(Random& random, shard::ShardOptions& options) {
  const std::size_t frame_max = options.limits.event_bytes * shard::kFrameBytesFactor;
  options.history.bytes = 2 * frame_max + random.skewed(4 * frame_max);
}

void draw_tls(Random& random, Setup& setup) {
  setup.tls = true;
  setup.speak_tls = 0.75;
  if (random.chance(0.2)) {
    // So large that a frame is several records, and the streams fill the room for them.
    setup.shards = 1;
    setup.speak_tls = 1;
    setup.clients_at_once = kClientsMax - 5;
    setup.shard.limits.event_bytes = static_cast<std::uint32_t>(random.between(8'000, 24'000));
    draw_history(random, setup.shard);
  }
  setup.redirects = random.chance(0.2);
  if (setup.redirects) setup.speak_tls = 1;
  shard::TlsOptions& tls = setup.shard.tls;
  tls.handshake_seconds = static_cast<std::uint32_t>(random.between(2, 5));
  tls.handshakes_max = static_cast<std::uint32_t>(random.skewed(64));
  if (random.chance(0.25)) tls.records = shard::StreamRecords::openssl;
}

Setup draw_setup(std::uint64_t seed, Random& random) {
  Setup setup;
  setup.shards = random.between(1, 3);
  setup.actions = random.between(100, 400);
  setup.scarce_slots = random.chance(0.1);
  setup.late_high_water = random.chance(0.2);
  setup.unsteady_clock = random.chance(0.3);
  setup.publishes_in_flight = random.skewed(64);

  shard::ShardOptions& options = setup.shard;
  options.slots = setup.scarce_slots ? static_cast<std::uint32_t>(random.between(10, 16))
                                     : static_cast<std::uint32_t>(random.between(80, 160));
  options.streams_max = options.slots - 8;
  options.drain_ms = static_cast<std::uint32_t>(random.between(500, 5'000));
  options.stream.heartbeat_ms =
      random.chance(0.1) ? 0 : static_cast<std::uint32_t>(200 + random.skewed(15'000));
  options.stream.retry_ms = static_cast<std::uint32_t>(random.between(1, 5'000));
  options.stream.slow_consumer =
      random.chance(0.5) ? shard::SlowConsumer::skip : shard::SlowConsumer::disconnect;
  options.stream.replay_on_connect = random.chance(0.15);
  options.limits.event_bytes = static_cast<std::uint32_t>(random.between(200, 2'000));
  static constexpr shard::Refusal kRefusals[] = {shard::Refusal::automatic, shard::Refusal::status,
                                                 shard::Refusal::retry};
  options.limits.refusal = kRefusals[random.below(std::size(kRefusals))];
  if (random.chance(0.25)) {
    options.limits.stream_sends_per_second = static_cast<std::uint32_t>(random.between(10, 1'000));
  }
  options.limits.header_seconds = static_cast<std::uint32_t>(random.between(5, 10));
  draw_history(random, options);
  options.history.events = 2 + random.skewed(200);

  if (random.chance(0.25)) {
    setup.remote = draw_remote(random);
    options.older_history = true;
    options.history.events = 2 + random.skewed(60);
    if (random.chance(0.5)) options.history_places = random.between(1, 3);
    setup.all_read = random.chance(0.2);
    // In half of the runs there is room for all commands, so that none is refused for want of it.
    if (random.chance(0.5)) setup.publishes_in_flight = kInFlightMax;
  }

  setup.ring.slots = options.slots;
  setup.ring.submissions = 8u << random.below(6);
  setup.ring.receive_buffers = 4u << random.below(4);
  setup.ring.receive_buffer_bytes = static_cast<std::uint32_t>(64 + random.skewed(2'000));
  if (seed % kSeedsForTls == 0) draw_tls(random, setup);
  return setup;
}

class Simulation {
 public:
  Simulation(std::uint64_t seed, Tracing tracing);
  [[nodiscard]] Outcome run();

 private:
  void act();
  void act_under_tls();
  void open_client();
  void reopen(StreamClient& client);
  void publish(std::size_t count);
  Publisher* pick_publisher();
  StreamClient* pick_client(bool fair_too);
  void open_misfit();
  [[nodiscard]] Line draw_line(bool fair);
  [[nodiscard]] std::optional<TlsKind> draw_tls_kind();
  [[nodiscard]] int listener(std::size_t shard, bool tls) const {
    return tls ? server_.tls_listener(shard) : server_.listener(shard);
  }
  [[nodiscard]] std::optional<std::string> draw_position(const StreamClient& client);
  [[nodiscard]] std::uint64_t draw_pause_ns();
  void watch();
  void settle();
  void drain();
  void check_end();
  [[nodiscard]] std::map<std::string, std::uint64_t> sum_up();

  World world_;
  Network network_;
  Setup setup_;
  Server server_;
  Rules rules_;
  std::deque<StreamClient> clients_;
  std::deque<Publisher> publishers_;
  std::deque<Misfit> misfits_;
  std::size_t actions_left_;
  bool acting_ = true;
};

Simulation::Simulation(std::uint64_t seed, Tracing tracing)
    : world_(seed, tracing),
      network_(world_),
      setup_((world_.network = &network_, world_.nasty = draw_nastiness(world_.random),
              draw_setup(seed, world_.random))),
      server_(world_, network_, setup_),
      rules_{.world = world_,
             .model = server_.model(),
             .setup = setup_,
             .tls = server_.tls(),
             .kept = [this](std::size_t shard) { return server_.kept(shard); },
             .tails_full =
                 [this](std::size_t shard) { return server_.counters(shard).tails_full.get(); },
             .history_refused =
                 [this] {
                   return server_.remote() == nullptr ? 0 : server_.remote()->history_refused();
                 }},
      actions_left_(setup_.actions) {
  world_.trace(
      "%zu shards, %u slots, history of %zu events and %zu bytes, %s, heartbeat %u ms",
      setup_.shards, setup_.shard.slots, setup_.shard.history.events, setup_.shard.history.bytes,
      setup_.shard.stream.slow_consumer == shard::SlowConsumer::skip ? "skip" : "disconnect",
      setup_.shard.stream.heartbeat_ms);
}

// ── What happens ────────────────────────────────────────────────────────────────────────────────

Line Simulation::draw_line(bool fair) {
  Random& random = world_.random;
  Line line;
  line.piece_bytes_max = random.chance(0.2) ? 16 : 4096;
  line.piece_delay_ns_max = random.skewed(2 * kNsPerMs);
  line.fair = fair;
  line.read_delay_ns_max = random.skewed(kNsPerMs);
  if (fair) return line;
  line.window_bytes = 64 + random.skewed(32'768);
  line.read_bytes_max = 1 + random.skewed(16'384);
  if (random.chance(0.3)) line.read_delay_ns_max = random.skewed(500 * kNsPerMs);
  return line;
}

std::optional<std::string> Simulation::draw_position(const StreamClient& client) {
  Random& random = world_.random;
  const Model& model = server_.model();
  if (client.last_id() && random.chance(0.7)) return client.last_id();
  const std::size_t events = model.truth().size();
  switch (random.below(8)) {
    case 0:
      return std::nullopt;
    case 1:
      return "0-0";
    case 2: {
      static const std::vector<std::string> bad = {
          "abc", "1", "-", "1-", "-1", "1-2-3", "+1-1", "99999999999999999999-0", "1-1 x"};
      return random.pick(bad);
    }
    case 3:
      return to_string(EventId{model.before(events).ms + 100'000'000, 0});
    case 4: {
      const EventId id = model.before(random.between(0, events));
      return to_string(EventId{id.ms, id.sequence + 1'000'000});
    }
    case 5:
      return std::string(65 + random.below(100), '1') + "-1";
    default: {
      const std::size_t back = random.skewed(events + 1);
      return to_string(model.before(events > back ? events - back : 0));
    }
  }
}

void Simulation::open_client() {
  if (clients_.size() >= kClientsMax) return;
  Random& random = world_.random;
  StreamClient::Kind kind;
  kind.number = static_cast<std::uint32_t>(clients_.size());
  kind.line = draw_line(setup_.all_read || random.chance(0.5));
  kind.http10 = random.chance(0.2);
  kind.topics = static_cast<TopicMask>(random.below(1u << kTopics)) & ~1u;
  if (random.chance(0.2)) kind.topics = 0;
  kind.tls = draw_tls_kind();
  clients_.emplace_back(rules_, network_, kind);
  reopen(clients_.back());
}

void Simulation::reopen(StreamClient& client) {
  const std::size_t shard = world_.random.below(setup_.shards);
  client.open(listener(shard, client.kind().tls.has_value()), shard, draw_position(client));
}

std::optional<TlsKind> Simulation::draw_tls_kind() {
  if (!setup_.tls || !world_.random.chance(setup_.speak_tls)) return std::nullopt;
  return TlsSite::draw_kind(world_.random);
}

void Simulation::open_misfit() {
  if (misfits_.size() < kMisfitsMax) {
    misfits_.emplace_back(rules_, network_, static_cast<std::uint32_t>(misfits_.size()));
  }
  for (Misfit& misfit : misfits_) {
    if (misfit.connected()) continue;
    const std::size_t shard = world_.random.below(setup_.shards);
    misfit.open(server_.listener(shard), server_.tls_listener(shard), draw_line(true));
    return;
  }
}

Publisher* Simulation::pick_publisher() {
  Random& random = world_.random;
  if (publishers_.size() < kPublishersMax && (publishers_.empty() || random.chance(0.1))) {
    publishers_.emplace_back(rules_, network_, static_cast<std::uint32_t>(publishers_.size()),
                             draw_tls_kind());
  }
  Publisher& publisher = publishers_[random.below(publishers_.size())];
  if (!publisher.connected()) {
    publisher.open(listener(random.below(setup_.shards), publisher.secure()), draw_line(true));
  }
  return &publisher;
}

StreamClient* Simulation::pick_client(bool fair_too) {
  std::vector<StreamClient*> able;
  for (StreamClient& client : clients_) {
    if (client.connected() && (fair_too || !client.fair())) able.push_back(&client);
  }
  return able.empty() ? nullptr : world_.random.pick(able);
}

void Simulation::publish(std::size_t count) {
  Publisher* const publisher = pick_publisher();
  for (; count > 0; --count)
    publisher->publish(server_.model().invent(setup_.shard.limits.event_bytes));
}

std::uint64_t Simulation::draw_pause_ns() {
  Random& random = world_.random;
  if (random.chance(0.05)) return random.skewed(20 * kNsPerSecond);
  return random.skewed(random.chance(0.5) ? 100'000 : 20 * kNsPerMs);
}

void Simulation::act_under_tls() {
  Random& random = world_.random;
  const std::uint64_t what = random.below(100);
  if (what < 65) {
    std::vector<StreamClient*> able;
    for (StreamClient& client : clients_) {
      if (client.streaming() && client.kind().tls) able.push_back(&client);
    }
    if (!able.empty()) random.pick(able)->fidget();
  } else if (what < 80) {
    pick_publisher()->fidget();
  } else if (what < 97) {
    open_misfit();
  } else {
    server_.reload();
  }
}

void Simulation::act() {
  constexpr double kUnderTls = 0.2;
  if (!acting_) return;
  if (actions_left_-- == 0) {
    acting_ = false;
    return;
  }
  Random& random = world_.random;
  if (setup_.tls && random.chance(kUnderTls)) {
    act_under_tls();
    world_.timeline.after(draw_pause_ns(), [this] { act(); });
    return;
  }
  const std::uint64_t what = random.below(100);
  if (what < 15) {
    open_client();
  } else if (what < 25) {
    for (StreamClient& client : clients_) {
      if (!client.connected() && random.chance(0.5)) reopen(client);
    }
  } else if (what < 70) {
    publish(random.chance(0.2) ? random.skewed(40) : 1);
  } else if (what < 73) {
    pick_publisher()->ask();
  } else if (what < 76) {
    Publisher* const publisher = pick_publisher();
    switch (random.below(3)) {
      case 0:
        publisher->reset();
        break;
      case 1:
        publisher->half_close();
        break;
      default:
        if (publisher->idle()) publisher->dawdle();
    }
  } else if (what < 80) {
    // A healthy one may go too; it only may not be slow.
    if (StreamClient* const client = pick_client(true)) {
      if (random.chance(0.5)) {
        client->leave();
      } else {
        client->reset();
      }
      if (random.chance(0.5)) reopen(*client);
    }
  } else if (what < 82) {
    if (StreamClient* const client = pick_client(false)) client->vanish();
  } else if (what < 99) {
    if (StreamClient* const client = pick_client(false)) client->stall(random.chance(0.5));
  } else if (setup_.unsteady_clock) {
    server_.step_clock(static_cast<std::int64_t>(random.below(20'000)) - 10'000);
  }
  world_.timeline.after(draw_pause_ns(), [this] { act(); });
}

// While things happen, once in a while.
void Simulation::watch() {
  constexpr std::uint64_t kWatchNs = 50 * kNsPerMs;
  if (rules_.draining) return;
  for (StreamClient& client : clients_) client.check_heartbeats();
  for (Publisher& publisher : publishers_) publisher.check_deadline();
  for (Misfit& misfit : misfits_) misfit.check_deadline();
  world_.timeline.after(kWatchNs, [this] { watch(); });
}

void Simulation::settle() {
  world_.trace("-- everybody reads, nothing new happens");
  if (server_.remote() != nullptr) server_.remote()->calm();
  for (StreamClient& client : clients_) {
    if (client.connected()) client.hurry();
  }
  // What was asked for may still be on its way.
  const auto progress = [this] {
    std::uint64_t sum = server_.model().truth().size();
    for (std::size_t i = 0; i < setup_.shards; ++i)
      sum += server_.counters(i).events_appended.get();
    return sum + (server_.remote() == nullptr ? 0 : server_.remote()->pages());
  };
  // Who does not end his handshake may hold a place for it as long as that may take.
  const std::uint64_t handshakes_ns =
      setup_.tls ? misfits_.size() * setup_.shard.tls.handshake_seconds * kNsPerSecond : 0;
  if (setup_.tls) server_.run(world_.timeline.now() + handshakes_ns);
  std::uint64_t before = 0;
  do {
    before = progress();
    // Those who do not read may keep the places for older events as long as an answer may take.
    const std::uint64_t places_ns =
        setup_.remote ? setup_.shard.limits.body_seconds * kNsPerSecond : 0;
    server_.run(world_.timeline.now() + kSettleNs + places_ns);
    if (world_.failed()) return;
  } while (progress() != before);
  for (StreamClient& client : clients_) client.check_complete();
  for (Publisher& publisher : publishers_) publisher.check_answered();
  for (std::size_t i = 0; i < setup_.shards; ++i) {
    const std::uint64_t appended = server_.counters(i).events_appended.get();
    if (appended != server_.model().delivered().size()) {
      world_.fail("shard %zu has %llu of %zu events", i, static_cast<unsigned long long>(appended),
                  server_.model().delivered().size());
    }
  }
  if (!server_.model().all_delivered()) world_.fail("the hub has not delivered everything");
}

void Simulation::drain() {
  if (setup_.remote && world_.random.chance(0.7)) {
    // So that some are being served from history when it begins.
    for (StreamClient& client : clients_) {
      if (client.connected() && world_.random.chance(0.5)) client.leave();
      if (!client.connected()) reopen(client);
    }
    server_.run(world_.timeline.now() + world_.random.skewed(100 * kNsPerMs));
  }
  world_.trace("-- drain");
  rules_.draining = true;
  if (world_.random.chance(0.5)) publish(world_.random.skewed(20));
  server_.request_drain();
  constexpr std::uint64_t kSlackNs = 10 * kNsPerSecond;
  const std::uint64_t limit_ns =
      world_.timeline.now() + setup_.shard.drain_ms * kNsPerMs + kSlackNs + rules_.patience_ns();
  server_.run(limit_ns, [this] { return server_.finished(); });
  if (world_.failed()) return;
  if (!server_.finished()) {
    for (std::size_t i = 0; i < setup_.shards; ++i) {
      world_.fail("shard %zu does not finish its drain: %llu streams, %llu slots; %s", i,
                  static_cast<unsigned long long>(server_.counters(i).streams_open.get()),
                  static_cast<unsigned long long>(server_.counters(i).slots_used.get()),
                  server_.ring(i).leftovers().c_str());
    }
    return;
  }
  for (std::size_t i = 0; i < setup_.shards; ++i) {
    network_.close_listener(server_.listener(i));
    if (setup_.tls) network_.close_listener(server_.tls_listener(i));
  }
  for (StreamClient& client : clients_) {
    if (client.connected()) client.hurry();
  }
  server_.run(world_.timeline.now() + 2 * kNsPerSecond);
}

void Simulation::check_end() {
  for (StreamClient& client : clients_) client.check_ended();
  server_.model().check_publications();
  for (std::size_t i = 0; i < setup_.shards; ++i) {
    const shard::Counters& counters = server_.counters(i);
    const std::string left = server_.ring(i).leftovers();
    if (!left.empty()) world_.fail("shard %zu is finished, but %s", i, left.c_str());
    const std::pair<const char*, const Counter*> gauges[] = {
        {"streams_open", &counters.streams_open},
        {"streams_blocked", &counters.streams_blocked},
        {"streams_catching_up", &counters.streams_catching_up},
        {"connections_open", &counters.connections_open},
        {"slots_used", &counters.slots_used},
        {"tail_bytes", &counters.tail_bytes},
        {"handshakes_open", &counters.handshakes_open},
        {"streams_tls", &counters.streams_tls},
        {"streams_tls_openssl", &counters.streams_tls_openssl}};
    for (const auto& [name, gauge] : gauges) {
      if (gauge->get() != 0) {
        world_.fail("shard %zu is finished, but %s is %llu", i, name,
                    static_cast<unsigned long long>(gauge->get()));
      }
    }
  }
}

Outcome Simulation::run() {
  for (std::size_t i = 0; i < setup_.clients_at_once; ++i) open_client();
  act();
  watch();
  constexpr std::uint64_t kActingNsMax = 3'600 * kNsPerSecond;
  server_.run(kActingNsMax, [this] { return !acting_; });
  if (!world_.failed()) settle();
  if (!world_.failed()) drain();
  if (!world_.failed()) check_end();
  return {.failure = world_.failure(), .met = sum_up(), .trace_digest = world_.trace_digest()};
}

std::map<std::string, std::uint64_t> Simulation::sum_up() {
  std::map<std::string, std::uint64_t> met = rules_.met;
  met["turns"] = server_.turns();
  met["events"] = server_.model().truth().size();
  for (std::size_t i = 0; i < setup_.shards; ++i) {
    const shard::Counters& counters = server_.counters(i);
    met["connections"] += counters.connections_accepted.get();
    met["accept errors"] += counters.accept_errors.get();
    met["deliveries"] += counters.deliveries.get();
    met["heartbeats"] += counters.heartbeats.get();
    met["gaps"] += counters.gaps.get();
    met["evictions"] += counters.events_evicted.get();
    met["appends that waited"] += counters.append_waits.get();
    met["short sends"] += counters.sends_short.get();
    met["refused sends"] += counters.sends_refused.get();
    met["streams"] += counters.streams_opened.get();
    met["streams refused"] += counters.streams_refused.get();
    met["streams ended by the peer"] += counters.streams_ended_by_peer.get();
    met["streams ended as slow"] += counters.streams_ended_slow.get();
    met["sends put off"] += counters.sends_put_off.get();
    met["streams drained"] += counters.streams_ended_drain.get();
    met["publishes accepted"] += counters.publishes_accepted.get();
    met["publishes refused"] += counters.publishes_refused.get();
    met["publishes turned away"] += counters.publishes_overloaded.get();
    met["events from history"] += counters.history_events.get();
  }
  for (const auto& connection : world_.network->connections()) {
    met["heads that left with events"] += connection->left_together() ? 1 : 0;
  }
  if (const TlsSite* const tls = server_.tls()) {
    ++met["runs with TLS"];
    met["keys of records"] = tls->cipher().keys();
    met["records sealed"] = tls->cipher().records();
    for (std::size_t i = 0; i < setup_.shards; ++i) {
      const shard::Counters& counters = server_.counters(i);
      met["handshakes done"] += counters.handshakes.get();
      met["handshakes late"] += counters.handshakes_late.get();
      met["handshakes cut"] += counters.handshakes_cut.get();
      met["handshakes without agreement"] += counters.handshakes_no_agreement.get();
      met["handshakes broken"] += counters.handshakes_broken.get();
      met["redirects"] += counters.redirects.get();
      met["streams ended for bad records"] += counters.streams_ended_tls.get();
    }
  }
  if (RemoteStore* const remote = server_.remote()) {
    ++met["runs with a remote store"];
    met["pages of history"] = remote->pages();
    met["pages that were there before the log"] = remote->late_ends();
    met["turns with more catching up than places"] = server_.over_places();
    met["times that the tail had no room"] = remote->no_room();
  }
  return met;
}

}  // namespace

Outcome run_seed(std::uint64_t seed, Tracing tracing) {
  return Simulation(seed, tracing).run();
}

}  // namespace ringcast::sim
