#include "server.h"

#include <algorithm>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::sim {
namespace {

constexpr std::uint64_t kEpochMs = 1'700'000'000'000;
constexpr std::uint64_t kNever = ~std::uint64_t{0};
constexpr std::uint64_t kTurnNsMax = 20'000;
constexpr std::uint32_t kIdleTurnsMax = 3'000;
constexpr std::uint64_t kTurnsMax = 400'000;
constexpr std::uint64_t kRemoteTurnsMax = 2'000'000;  // it is asked again and again

}  // namespace

/// Keeps its promise in memory, sometimes late.
class Server::HighWater final : public hub::HighWater {
 public:
  HighWater(World& world, bool late) : world_(world), late_(late) {}
  [[nodiscard]] std::uint64_t reserved_ms() const override { return reserved_ms_; }
  void request(std::uint64_t ms) override {
    if (ms <= requested_ms_) return;
    requested_ms_ = ms;
    constexpr std::uint64_t kLateNsMax = 60 * kNsPerSecond;
    if (reserved_ms_ == 0 || !late_) {
      reserved_ms_ = ms;
    } else {
      world_.timeline.after(world_.random.skewed(kLateNsMax),
                            [this, ms] { reserved_ms_ = std::max(reserved_ms_, ms); });
    }
  }

 private:
  World& world_;
  bool late_;
  std::uint64_t requested_ms_ = 0;
  std::uint64_t reserved_ms_ = 0;
};

Server::Server(World& world, Network& network, const Setup& setup)
    : world_(world),
      network_(network),
      setup_(setup),
      tls_(setup.tls ? std::make_unique<TlsSite>(world, clock()) : nullptr),
      high_water_(std::make_unique<HighWater>(world, setup.late_high_water)) {
  hub::EventStore& store = make_store();

  // One reader more than there are shards: the model's, who thus sees every event.
  auto exchange = hub::Exchange::create(
      {.shards = static_cast<std::uint32_t>(setup.shards + 1),
       .event_bytes_max = setup.shard.limits.event_bytes,
       .frame_bytes_max = setup.shard.limits.event_bytes * shard::kFrameBytesFactor,
       .publishes_in_flight = setup.publishes_in_flight});
  RC_ASSERT(exchange.ok());
  exchange_ = std::move(exchange).value();

  for (std::size_t i = 0; i < setup.shards + 1; ++i) {
    auto ring = uring::Ring::create(setup.ring);
    RC_ASSERT(ring.ok());
    rings_.push_back(std::move(ring).value());
  }
  hub_ = std::make_unique<hub::Hub>(*exchange_, store, *rings_[0], hub_counters_);
  parties_.push_back({.turn = [this](Time now) { return hub_->turn(now); },
                      .over = [] { return false; },
                      .ring = world_.rings[0]});

  const std::shared_ptr<const shard::Policy> policy = make_policy();
  for (std::size_t i = 0; i < setup.shards; ++i) {
    listeners_.push_back(network_.listen());
    std::vector<shard::Listener> listeners = {{.descriptor = listeners_[i]}};
    if (tls_) {
      tls_listeners_.push_back(network_.listen());
      listeners.push_back({.descriptor = tls_listeners_[i], .tls = true});
    }
    counters_.push_back(std::make_unique<shard::Counters>());
    shard::ShardOptions options = setup.shard;
    options.index = static_cast<std::uint32_t>(i);
    options.shards = static_cast<std::uint32_t>(setup.shards);
    options.floor = model_->floor();
    auto made =
        shard::Shard::create(options,
                             {.policy = policy,
                              .addresses = addresses_,
                              .users = users_,
                              .signed_out = signed_out_,
                              .record_cipher = tls_ ? &tls_->cipher() : nullptr},
                             *exchange_, *rings_[i + 1], std::move(listeners), *counters_[i]);
    RC_ASSERT(made.ok());
    shards_.push_back(std::move(made).value());
    ring(i).kept = [this, i] { return kept(i); };
    parties_.push_back({.turn = [this, i](Time now) { return shards_[i]->turn(now); },
                        .over = [this, i] { return shards_[i]->finished(); },
                        .ring = &ring(i)});
  }
}

Server::~Server() = default;

std::shared_ptr<const shard::Policy> Server::make_policy() const {
  auto access = std::make_shared<auth::Access>();
  access->required = false;
  auto policy = std::make_shared<shard::Policy>();
  policy->access = std::move(access);
  policy->limits = setup_.shard.limits;
  if (tls_) policy->tls = tls_->context();
  if (setup_.redirects) policy->redirect_to = kRedirectTo;
  return policy;
}

void Server::reload() {
  if (tls_) tls_->reload(clock());
  const std::shared_ptr<const shard::Policy> policy = make_policy();
  for (const auto& shard : shards_) shard->set_policy(policy);
}

hub::EventStore& Server::make_store() {
  if (setup_.remote) {
    model_ = std::make_unique<Model>(world_, EventId{});
    remote_ = std::make_unique<RemoteStore>(
        world_, *model_, *setup_.remote, [this] { return clock().unix_ms; },
        setup_.shard.limits.event_bytes);
    remote_->inbox_waits = [this](std::size_t shard) {
      return exchange_->events().position(shard) < exchange_->events().written();
    };
    return *remote_;
  }
  auto store = hub::EmbeddedStore::start(*high_water_, clock());
  RC_ASSERT(store.ok());
  embedded_ = std::make_unique<hub::EmbeddedStore>(std::move(store).value());
  model_ = std::make_unique<Model>(world_, embedded_->floor());
  return *embedded_;
}

Kept Server::kept(std::size_t shard) const {
  const std::uint64_t evicted = counters_[shard]->events_evicted.get();
  const std::uint64_t appended = counters_[shard]->events_appended.get();
  return {.evicted = model_->truth_ordinal(evicted),
          .appended = model_->truth_ordinal(appended),
          .closed_to_newcomers = model_->truth_ordinal(evicted + (appended - evicted + 7) / 8),
          .stored = model_->truth().size(),
          .trimmed = model_->trimmed()};
}

Time Server::clock() const {
  const std::uint64_t now_ns = world_.timeline.now();
  // The monotonic clock begins somewhere: zero means "not set" in many places.
  return {.mono_ns = now_ns + kNsPerSecond,
          .unix_ms = static_cast<std::uint64_t>(
              static_cast<std::int64_t>(kEpochMs + now_ns / kNsPerMs) + clock_offset_ms_)};
}

std::uint64_t Server::next_run(const Party& party) const {
  if (party.over()) return kNever;
  const std::uint64_t wanted =
      party.ring->has_completions() ? world_.timeline.now() : party.wake_at_ns;
  return wanted == kNever ? kNever : std::max({wanted, party.busy_until_ns, world_.timeline.now()});
}

void Server::run(std::uint64_t until_ns, const std::function<bool()>& done) {
  while (!world_.failed() && !(done && done())) {
    Party* first = nullptr;
    std::uint64_t first_ns = kNever;
    for (Party& party : parties_) {
      const std::uint64_t when_ns = next_run(party);
      if (when_ns < first_ns) {
        first = &party;
        first_ns = when_ns;
      }
    }
    const std::uint64_t due_ns = world_.timeline.next_due();
    if (std::min(first_ns, due_ns) > until_ns) {
      world_.timeline.advance_to(until_ns);
      return;
    }
    if (due_ns <= first_ns) {
      world_.timeline.run_next();
    } else {
      world_.timeline.advance_to(first_ns);
      run_turn(*first);
    }
  }
}

void Server::run_turn(Party& party) {
  if (++turns_ > (remote_ ? kRemoteTurnsMax : kTurnsMax)) {
    world_.fail("more turns than any run needs: something spins");
    return;
  }
  const auto timeout = party.turn(clock());
  party.ring->submit();  // as the wait that follows each turn would
  read_truth();
  party.ring->note_turn_end();
  for (std::size_t i = 0; i < shards_.size(); ++i) check_log(i);

  const std::uint64_t now_ns = world_.timeline.now();
  world_.trace("party %td: waits %lld us", &party - parties_.data(),
               timeout ? static_cast<long long>(timeout->count() / 1000) : -1);
  party.busy_until_ns = now_ns + world_.random.skewed(kTurnNsMax);
  if (world_.random.chance(world_.nasty.party_stalls)) {
    party.busy_until_ns += world_.random.skewed(world_.nasty.party_stall_ns);
  }
  const bool at_once = timeout && timeout->count() <= 0;
  party.idle_turns = at_once && !party.ring->take_activity() ? party.idle_turns + 1 : 0;
  if (party.idle_turns > kIdleTurnsMax) {
    world_.fail("party %td asks for another turn again and again, and does nothing in it",
                &party - parties_.data());
  }
  if (!timeout) {
    party.wake_at_ns = kNever;
  } else {
    party.wake_at_ns =
        now_ns + static_cast<std::uint64_t>(std::max<std::int64_t>(timeout->count(), 0));
  }
}

void Server::read_truth() {
  RecordRing& events = exchange_->events();
  while (true) {
    const auto record = events.peek(setup_.shards);
    if (record.empty()) return;
    if (!remote_) model_->on_stored(record);
    model_->on_delivered(record);
    events.release(setup_.shards);
    if (world_.failed()) return;
  }
}

void Server::check_log(std::size_t shard) {
  const std::uint64_t evicted = counters_[shard]->events_evicted.get();
  const std::uint64_t appended = counters_[shard]->events_appended.get();
  const shard::HistoryOptions& history = setup_.shard.history;
  if (appended > model_->delivered().size() || evicted > appended ||
      appended - evicted > history.events ||
      model_->frame_bytes(evicted, appended) > history.bytes) {
    world_.fail("the log of shard %zu keeps events %llu to %llu", shard,
                static_cast<unsigned long long>(evicted),
                static_cast<unsigned long long>(appended));
  }
  if (counters_[shard]->streams_catching_up.get() > setup_.shard.history_places) ++over_places_;
}

void Server::request_drain() {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->request_drain();
    rings_[i + 1]->wake_from_outside();
  }
}

bool Server::finished() const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return shard->finished(); });
}

}  // namespace ringcast::sim
