#include "ringcast/hub/redis_store.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "ringcast/base/assert.h"

#include "channel_door.h"
#include "redis_appender.h"
#include "redis_connection.h"
#include "redis_history.h"
#include "redis_tail.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kStopNs = kNsPerSecond;
constexpr std::uint64_t kStopAppendNs = kNsPerSecond / 2;
constexpr std::uint64_t kBehindMs = 10'000;

constexpr std::uint32_t kCommandsSlot = 0;
constexpr std::uint32_t kTailSlot = 1;
constexpr std::uint32_t kChannelSlot = 2;

RedisAddress address_of(const RedisOptions& options) {
  auto address = parse_redis_url(options.url);
  RC_ASSERT(address.ok());  // was read by check_redis before
  return std::move(address).value();
}

}  // namespace

struct RedisStore::Parts final : public TailWatcher {
  Parts(const RedisStoreOptions& given, RedisCounters& given_counters)
      : options(given),
        address(address_of(given.redis)),
        keys(given.redis),
        counters(given_counters) {}

  struct CommandsOwner final : public ConnectionOwner {
    explicit CommandsOwner(Parts& given) : parts(given) {}
    void on_ready() override { parts.on_commands_ready(); }
    void on_lost() override { parts.on_commands_lost(); }
    Parts& parts;
  };
  struct TailOwner final : public ConnectionOwner {
    explicit TailOwner(Parts& given) : parts(given) {}
    void on_ready() override { parts.made->tail.on_ready(); }
    void on_lost() override { parts.made->tail.on_lost(); }
    Parts& parts;
  };

  // What needs the ring and the sink.
  struct Made {
    Made(Parts& parts, EventSink& sink, uring::Ring& ring)
        : commands(parts.address, ConnectionRole::commands, kCommandsSlot, ring,
                   parts.commands_owner, parts.counters.commands_connected,
                   parts.counters.reconnects),
          tail_connection(parts.address, ConnectionRole::tail, kTailSlot, ring, parts.tail_owner,
                          parts.counters.tail_connected, parts.counters.reconnects),
          tail(parts.options, parts.address, parts.keys, tail_connection, sink, parts,
               parts.counters, parts.now),
          appender(parts.options, parts.address, parts.keys, commands, tail, sink, parts.counters,
                   parts.now),
          history(parts.options, parts.keys, commands, tail, sink, parts.counters, parts.now),
          door(parts.options, parts.address, ring, commands, kChannelSlot, parts.counters) {}

    RedisConnection commands;
    RedisConnection tail_connection;
    RedisTail tail;
    RedisAppender appender;
    RedisHistory history;
    ChannelDoor door;
  };

  void on_commands_ready() {
    made->appender.on_ready();  // asks first for the end of what the lost connection may still do
    made->door.on_commands_ready();
  }
  void on_commands_lost() {
    made->appender.on_lost();
    made->history.on_lost();
    made->door.on_commands_lost();
  }
  void on_nonce(const Nonce& nonce, EventId id) override { made->appender.on_seen(nonce, id); }
  void on_channel_number(std::string_view text) override {
    if (const auto number = parse_channel_number(text)) made->door.on_seen(*number);
  }

  void keep_together();

  const RedisStoreOptions options;
  const RedisAddress address;
  const RedisKeys keys;
  RedisCounters& counters;
  Time now{};
  CommandsOwner commands_owner{*this};
  TailOwner tail_owner{*this};
  EventSink* sink = nullptr;
  std::optional<Made> made;
  std::array<std::uint64_t, 3> departures{};  // of the connections, that have been seen to
  bool is_open = false;
  std::uint64_t stop_ns = 0;  // when it was asked to, or 0
  bool door_stops = false;
};

// After a failover a name or a proxy may lead the next connection elsewhere, while the ones that
// are there stay with the old primary, as if nothing were: what is acknowledged by the one Redis
// would never be read from the other, and the channel's messages would be numbered in two orders.
void RedisStore::Parts::keep_together() {
  const std::array<RedisConnection*, 3> all{&made->commands, &made->tail_connection,
                                            &made->door.channel_connection()};
  // The newest knows where the address leads now.
  const RedisConnection* newest = nullptr;
  for (const RedisConnection* one : all) {
    if (!one->ready() || one->run().empty()) continue;
    if (newest == nullptr || one->ready_since_ns() > newest->ready_since_ns()) newest = one;
  }
  for (RedisConnection* one : all) {
    if (one->ready() && !one->run().empty() && one->run() != newest->run()) {
      one->fail("the address leads to another Redis by now");
    }
  }
  // What one of them found out holds for those that are at the same Redis.
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i]->departures() == departures[i]) continue;
    for (RedisConnection* other : all) {
      if (other->ready() && other->run() == all[i]->departed_from()) {
        other->fail("what answers there is not the primary any more");
      }
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) departures[i] = all[i]->departures();
}

RedisStore::RedisStore(const RedisStoreOptions& options, RedisCounters& counters)
    : parts_(std::make_unique<Parts>(options, counters)) {}
RedisStore::~RedisStore() {
  detach();
}

void RedisStore::detach() {
  if (!parts_->made) return;
  // Nobody is told of what goes with the connections.
  parts_->made->commands.close();
  parts_->made->tail_connection.close();
  parts_->made.reset();
}

void RedisStore::attach(EventSink& sink, uring::Ring& ring) {
  parts_->sink = &sink;
  parts_->made.emplace(*parts_, sink, ring);
}

bool RedisStore::append(const Ticket& ticket, const Publication& publication, Time now) {
  parts_->now = now;
  parts_->made->appender.append(ticket, publication);
  return true;
}

bool RedisStore::sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what,
                          Time now) {
  parts_->now = now;
  // Here at once, whatever Redis does; the tail will show it once more.
  if (!parts_->sink->deliver_sign_out(topic, what)) return false;
  parts_->made->appender.sign_out(ticket, topic, what);
  return true;
}

bool RedisStore::history(const Ticket& ticket, EventId after, Time now) {
  parts_->now = now;
  parts_->made->history.request(ticket, after);
  return true;
}

void RedisStore::on_completion(const uring::Completion& completion, Time now) {
  parts_->now = now;
  auto& made = *parts_->made;
  if (made.commands.owns(completion.handle)) {
    made.commands.on_poll(completion, now);
  } else if (made.tail_connection.owns(completion.handle)) {
    made.tail_connection.on_poll(completion, now);
  } else if (made.door.owns(completion.handle)) {
    made.door.on_poll(completion, now);
  }
}

EventStore::Next RedisStore::turn(Time now) {
  Parts& parts = *parts_;
  auto& made = *parts.made;
  parts.now = now;
  if (!std::exchange(parts.is_open, true)) {
    made.commands.open(now);
    made.tail_connection.open(now);
    made.door.open(now);
  }
  parts.keep_together();

  std::uint64_t next_ns = 0;
  const auto at = [&](std::uint64_t ns) {
    if (ns != 0) next_ns = next_ns == 0 ? ns : std::min(next_ns, ns);
  };
  if (parts.stop_ns != 0 && !parts.door_stops) {
    if (made.appender.idle() || now.mono_ns >= parts.stop_ns + kStopAppendNs) {
      made.appender.give_up();
      made.door.stop(now);
      parts.door_stops = true;
    } else {
      at(parts.stop_ns + kStopAppendNs);
    }
  }
  if (parts.stop_ns != 0) at(parts.stop_ns + kStopNs);

  // The tail first: it settles what the appender waits for. The connections last: they send what
  // the others have asked.
  const bool room = made.tail.turn();
  at(made.tail.wake_ns());
  at(made.appender.turn());
  at(made.history.turn());
  at(made.door.turn(now));
  at(made.tail_connection.turn(now));
  at(made.commands.turn(now));

  Next next{.no_room = !room};
  if (next_ns != 0) {
    next.wait = std::chrono::nanoseconds(next_ns > now.mono_ns ? next_ns - now.mono_ns : 0);
  }
  return next;
}

void RedisStore::stop(Time now) {
  parts_->now = now;
  if (parts_->stop_ns != 0) return;
  parts_->stop_ns = std::max<std::uint64_t>(now.mono_ns, 1);
  parts_->made->history.stop();
}

bool RedisStore::stopped() const {
  if (parts_->stop_ns == 0) return false;
  if (!parts_->made || parts_->now.mono_ns >= parts_->stop_ns + kStopNs) return true;
  return parts_->door_stops && parts_->made->door.stopped();
}

std::string readiness(const RedisCounters& counters) {
  if (counters.commands_connected.get() == 0 || counters.tail_connected.get() == 0 ||
      counters.channel_connected.get() == 0) {
    return "Redis: not connected";
  }
  if (counters.caught_up.get() == 0) return "Redis: the events of the stream are still being read";
  const std::uint64_t now_ms = read_clock().unix_ms;
  const std::uint64_t current_ms = counters.last_current_ms.get();
  if (current_ms + kBehindMs < now_ms) {
    return "Redis: this server is " + std::to_string((now_ms - current_ms) / 1000) +
           " seconds behind the stream";
  }
  if (counters.standing.get() == 0) return "Redis: the channel is not heard yet";
  return {};
}

}  // namespace ringcast::hub
