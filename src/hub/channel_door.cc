#include "channel_door.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include "channel_scripts.h"
#include "channel_sender.h"
#include "log_limit.h"
#include "redis_reply.h"
#include "redis_words.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kLeaseNs = kLeaseMs * kNsPerMs;
/// A listener is no heir of what the last relay left: those that are get ahead of it.
constexpr std::uint64_t kListenerWaitNs = 250 * kNsPerMs;
constexpr std::uint64_t kMarkPauseNs = 100 * kNsPerMs;
constexpr std::uint64_t kStopNs = 1 * kNsPerSecond;

/// What a reply answers.
enum Tag : std::uint64_t { load, lease = 4, mark, release, ask };
enum Script : std::size_t { lease_script, mark_script, release_script, append_script };
constexpr std::array<std::string_view, 4> kScripts{kLeaseScript, kMarkScript, kReleaseScript,
                                                   kAppendScript};

std::string instance_text(std::uint64_t instance) {
  std::array<char, 17> out{};
  std::snprintf(out.data(), out.size(), "%016llx", static_cast<unsigned long long>(instance));
  return out.data();
}

bool is_one(const redisReply& reply) {
  return reply.type == REDIS_REPLY_INTEGER && reply.integer == 1;
}

}  // namespace

struct ChannelDoor::Impl : ConnectionOwner, ReplyHandler {
  Impl(const RedisStoreOptions& store_options, const RedisAddress& redis_address, uring::Ring& ring,
       RedisConnection& commands_connection, std::uint32_t slot, RedisCounters& all_counters)
      : options(store_options),
        address(redis_address),
        keys(options.redis),
        instance(instance_text(options.instance)),
        commands(commands_connection),
        counters(all_counters),
        queue(
            {.messages_max = options.standby_messages_max, .bytes_max = options.standby_bytes_max}),
        sender(options, address, commands, queue, counters),
        ear(*this),
        connection(address, ConnectionRole::channel, slot, ring, *this, counters.channel_connected,
                   counters.reconnects),
        random(options.instance) {}

  /// Takes what the subscription brings.
  struct Ear : ReplyHandler {
    explicit Ear(Impl& door_of) : door(door_of) {}
    void on_reply(std::uint64_t, const redisReply* reply) override {
      if (reply != nullptr) door.on_heard(*reply);
    }
    Impl& door;
  };

  // The channel connection.
  void on_ready() override;
  void on_lost() override;
  void on_heard(const redisReply& reply);
  void on_message(std::string_view text);
  void on_mark(std::string_view text);

  // The commands connection.
  void on_reply(std::uint64_t tag, const redisReply* reply) override;
  void on_loaded(std::size_t script, const redisReply& reply);
  void on_lease(const redisReply& reply);
  void on_refused(std::string_view error);
  void load_scripts();
  void run(Script script, Tag tag, std::initializer_list<std::string_view> arguments);

  std::uint64_t turn(Time time);
  void look_after_lease();
  void look_after_marks();
  void look_after_end();
  void give_up_hearing();
  void become_standby(std::string_view why);
  [[nodiscard]] bool can_command() const { return scripts_ready && commands.ready(); }
  [[nodiscard]] bool relay() const { return !held.empty(); }
  void count();

  /// Monotonic nanoseconds after about a second.
  std::uint64_t in_a_second() {
    return now.mono_ns +
           std::uniform_int_distribution<std::uint64_t>(750 * kNsPerMs, 1'250 * kNsPerMs)(random);
  }

  const RedisStoreOptions options;
  const RedisAddress address;
  const RedisKeys keys;
  const std::string instance;
  RedisConnection& commands;
  RedisCounters& counters;
  StandbyQueue queue;
  ChannelSender sender;
  Ear ear;
  RedisConnection connection;
  std::minstd_rand random;
  Time now{};

  std::array<std::string, kScripts.size()> script_sha;
  bool scripts_ready = false;
  bool loading = false;
  std::uint64_t load_ns = 0;

  bool subscribed = false;

  std::string held;                 ///< the lease that we hold: `instance:epoch`, or empty
  std::uint64_t held_until_ns = 0;  ///< Redis keeps it at least as long
  bool lease_sent = false;
  std::uint64_t lease_sent_ns = 0;
  std::uint64_t lease_ns = 0;  ///< when to ask for it next
  std::string to_release;      ///< a lease to give back when what was heard under it is appended

  bool mark_wanted = false;     ///< a newcomer asked
  std::uint64_t mark_ns = 0;    ///< not before
  bool lease_answered = false;  ///< since the subscription; only then it is known whom to ask
  std::uint64_t ask_ns = 0;

  bool stopping = false;
  bool release_sent = false;
  std::uint64_t stop_ns = 0;
  bool stopped = false;

  LogLimit dropped_log;
  LogLimit refused_log;
};

void ChannelDoor::Impl::on_ready() {
  const std::array<std::string_view, 2> channels{keys.channel, keys.marks};
  connection.subscribe(channels, ear);
}

void ChannelDoor::Impl::on_lost() {
  const bool was_standing = queue.standing();
  give_up_hearing();
  if (was_standing) {
    spdlog::warn("redis: the subscription to \"{}\" was lost; {} heard before wait", keys.channel,
                 count_messages(queue.size()));
  }
  count();
}

/// Messages from here on have no number until the next mark.
void ChannelDoor::Impl::give_up_hearing() {
  subscribed = false;
  lease_answered = false;
  queue.freeze();
  if (!relay()) return;
  to_release = std::exchange(held, {});
}

void ChannelDoor::Impl::on_heard(const redisReply& reply) {
  if (!is_array(&reply) || reply.elements < 3) return;
  const std::string_view kind = text_of(reply.element[0]);
  if (kind == "message") {
    const std::string_view channel = text_of(reply.element[1]);
    const std::string_view text = text_of(reply.element[2]);
    if (channel == keys.channel) return on_message(text);
    if (channel == keys.marks) return on_mark(text);
  } else if (kind == "subscribe" && !subscribed && reply.element[2]->integer >= 2) {
    subscribed = true;
    lease_answered = false;
    lease_ns = now.mono_ns;
    ask_ns = 0;
  }
}

void ChannelDoor::Impl::on_message(std::string_view text) {
  counters.channel_messages.add();
  if (!queue.standing()) return;
  StandbyQueue::Message message;
  message.too_large = text.size() > options.event_bytes_max;
  if (!message.too_large) message.text.assign(text);
  const std::size_t dropped = queue.hear(std::move(message), now.mono_ns);
  if (dropped == 0) return;
  counters.channel_dropped.add(dropped);
  if (dropped_log.pass(now)) {
    spdlog::error(
        "redis: the oldest of {} of the channel \"{}\" are dropped: they are heard faster than "
        "they "
        "get into the stream (dropped so far: {})",
        count_messages(queue.size()), keys.channel, counters.channel_dropped.get());
  }
}

void ChannelDoor::Impl::on_mark(std::string_view text) {
  constexpr std::string_view kEpoch = "epoch ";
  if (text.starts_with(kEpoch)) {
    // Read as the first half of a number, which has the same bounds.
    const auto first = parse_channel_number(std::string(text.substr(kEpoch.size())) + ":1");
    if (first) queue.mark(first->epoch, now.mono_ns);
  } else if (text == "free") {
    const std::uint64_t wait_ns = queue.standing() ? 0 : kListenerWaitNs;
    lease_ns = std::min(lease_ns, now.mono_ns + wait_ns);
  } else if (text == "mark?") {
    mark_wanted = true;
  }
}

void ChannelDoor::Impl::load_scripts() {
  loading = true;
  for (std::size_t i = 0; i < kScripts.size(); ++i) {
    const std::array<std::string_view, 3> command{"SCRIPT", "LOAD", kScripts[i]};
    commands.send(command, *this, Tag::load + i);
  }
}

void ChannelDoor::Impl::run(Script script, Tag tag,
                            std::initializer_list<std::string_view> arguments) {
  std::array<std::string_view, 10> command{"EVALSHA", script_sha[script]};
  RC_ASSERT(arguments.size() + 2 <= command.size());
  std::copy(arguments.begin(), arguments.end(), command.begin() + 2);
  commands.send(std::span(command).first(arguments.size() + 2), *this, tag);
}

void ChannelDoor::Impl::on_reply(std::uint64_t tag, const redisReply* reply) {
  if (reply == nullptr) return;  // on_commands_lost follows
  if (tag < kScripts.size()) return on_loaded(tag, *reply);
  if (tag == Tag::lease) lease_sent = false;
  if (tag == Tag::release) release_sent = false;
  if (is_error(reply)) {
    on_refused(text_of(reply));
  } else if (tag == Tag::lease) {
    on_lease(*reply);
  } else if (tag == Tag::mark && !is_one(*reply)) {
    become_standby("another instance has the lease");
  }
}

void ChannelDoor::Impl::on_loaded(std::size_t script, const redisReply& reply) {
  if (is_error(&reply)) {
    if (loading) on_refused(text_of(&reply));
    loading = false;
    load_ns = in_a_second();
    return;
  }
  script_sha[script] = text_of(&reply);
  if (!loading || script + 1 < kScripts.size()) return;
  loading = false;
  scripts_ready = true;
  sender.use_script(script_sha[append_script]);
}

void ChannelDoor::Impl::on_refused(std::string_view error) {
  const RedisFault fault = classify_redis_error(error);
  if (fault == RedisFault::no_script) {
    scripts_ready = false;
    return;
  }
  if (fault == RedisFault::moved_on) return commands.fail(describe_redis_error(error, address));
  if (refused_log.pass(now)) {
    spdlog::warn("redis: the channel \"{}\" waits: {}", keys.channel,
                 describe_redis_error(error, address));
  }
}

void ChannelDoor::Impl::on_lease(const redisReply& reply) {
  if (!is_array(&reply) || reply.elements != 3) return;
  lease_answered = true;
  if (!is_one(*reply.element[0])) return become_standby("another instance has the lease");
  // The subscription may have been lost while the answer was on its way: who does not hear cannot
  // relay.
  std::string lease = instance + ":" + std::string(text_of(reply.element[2]));
  const bool is_new = is_one(*reply.element[1]);
  if (!subscribed || stopping) {
    to_release = std::move(lease);
    return;
  }
  if (!relay()) {
    counters.takeovers.add();
    spdlog::info("redis: this instance relays the channel \"{}\"", keys.channel);
  }
  held = std::move(lease);
  held_until_ns = lease_sent_ns + kLeaseNs;
  if (is_new) {
    // Its mark is on the way.
    mark_ns = now.mono_ns + kMarkPauseNs;
    mark_wanted = false;
    ask_ns = std::max(ask_ns, now.mono_ns + kNsPerSecond);
  }
}

void ChannelDoor::Impl::become_standby(std::string_view why) {
  if (!relay()) return;
  held.clear();
  spdlog::info("redis: this instance no longer relays the channel \"{}\": {}", keys.channel, why);
}

void ChannelDoor::Impl::look_after_lease() {
  if (!to_release.empty() && can_command() && (!queue.has_frozen() || sender.blocked())) {
    run(release_script, Tag::release, {"1", keys.relay, to_release, keys.marks});
    to_release.clear();
    release_sent = true;
  }
  if (!subscribed || stopping || lease_sent || !to_release.empty() || !can_command() ||
      now.mono_ns < lease_ns)
    return;
  run(lease_script, Tag::lease,
      {"3", keys.relay, keys.epoch, keys.relayed, instance, std::to_string(kLeaseMs), keys.marks});
  lease_sent = true;
  lease_sent_ns = now.mono_ns;
  lease_ns = in_a_second();
}

void ChannelDoor::Impl::look_after_marks() {
  if (!subscribed || !can_command()) return;
  if (!queue.standing() && lease_answered && now.mono_ns >= ask_ns) {
    ask_ns = in_a_second();
    if (relay()) {
      mark_wanted = true;
    } else {
      const std::array<std::string_view, 3> command{"PUBLISH", keys.marks, "mark?"};
      commands.send(command, *this, Tag::ask);
    }
  }
  if (!relay()) {
    mark_wanted = false;
  } else if (mark_wanted && now.mono_ns >= mark_ns) {
    mark_wanted = false;
    mark_ns = now.mono_ns + kMarkPauseNs;
    run(mark_script, Tag::mark, {"3", keys.relay, keys.epoch, keys.relayed, held, keys.marks});
  }
}

void ChannelDoor::Impl::look_after_end() {
  if (!stopping || stopped) return;
  if (queue.size() == 0 && sender.idle() && to_release.empty() && !release_sent && !lease_sent) {
    stopped = true;
  } else if (now.mono_ns >= stop_ns) {
    stopped = true;
    if (queue.size() == 0) return;
    counters.channel_dropped.add(queue.size());
    spdlog::warn("redis: {} of the channel \"{}\" could not be appended in time",
                 count_messages(queue.size()), keys.channel);
  }
}

void ChannelDoor::Impl::count() {
  counters.channel_queue.set(queue.size());
  counters.relay.set(relay() ? 1 : 0);
  counters.standing.set(queue.standing() ? 1 : 0);
}

std::uint64_t ChannelDoor::Impl::turn(Time time) {
  now = time;
  std::uint64_t next_ns = connection.turn(now);
  const auto wake_at = [&](std::uint64_t at_ns) {
    next_ns = next_ns == 0 ? at_ns : std::min(next_ns, at_ns);
  };
  if (stopped) return 0;

  if (const auto fenced = sender.take_fenced(); fenced && *fenced == held)
    become_standby("another instance has the lease");
  if (sender.take_script_lost()) scripts_ready = false;
  if (relay() && now.mono_ns >= held_until_ns) become_standby("Redis does not answer");
  if (!scripts_ready && !loading && commands.ready()) {
    if (now.mono_ns >= load_ns) load_scripts();
    if (!loading) wake_at(load_ns);
  }

  sender.pump(held, now);
  look_after_lease();
  look_after_marks();
  look_after_end();
  count();

  if (can_command() && subscribed && !stopping) {
    if (!lease_sent && to_release.empty()) wake_at(lease_ns);
    if (!queue.standing() && lease_answered) wake_at(ask_ns);
    if (relay() && mark_wanted) wake_at(mark_ns);
  }
  if (relay()) wake_at(held_until_ns);
  if (const auto at = sender.next_pump_ns(relay())) wake_at(*at);
  if (stopping && !stopped) wake_at(stop_ns);
  return next_ns;
}

ChannelDoor::ChannelDoor(const RedisStoreOptions& options, const RedisAddress& address,
                         uring::Ring& ring, RedisConnection& commands, std::uint32_t slot,
                         RedisCounters& counters)
    : impl_(std::make_unique<Impl>(options, address, ring, commands, slot, counters)) {}

ChannelDoor::~ChannelDoor() = default;

void ChannelDoor::open(Time now) {
  impl_->now = now;
  impl_->connection.open(now);
}

void ChannelDoor::on_commands_ready() {
  impl_->load_ns = 0;
  impl_->load_scripts();
}

void ChannelDoor::on_commands_lost() {
  impl_->scripts_ready = false;
  impl_->loading = false;
  impl_->lease_sent = false;
  impl_->release_sent = false;
  impl_->lease_ns = 0;
  impl_->sender.on_lost();
}

void ChannelDoor::on_seen(const ChannelNumber& number) {
  impl_->queue.settle(number, impl_->now.mono_ns);
}

RedisConnection& ChannelDoor::channel_connection() {
  return impl_->connection;
}

bool ChannelDoor::owns(uring::Handle handle) const {
  return impl_->connection.owns(handle);
}

void ChannelDoor::on_poll(const uring::Completion& completion, Time now) {
  impl_->now = now;
  impl_->connection.on_poll(completion, now);
}

std::uint64_t ChannelDoor::turn(Time now) {
  return impl_->turn(now);
}

void ChannelDoor::stop(Time now) {
  impl_->now = now;
  impl_->stopping = true;
  impl_->stop_ns = now.mono_ns + kStopNs;
  impl_->connection.close();
  impl_->give_up_hearing();
  impl_->count();
}

bool ChannelDoor::stopped() const {
  return impl_->stopped;
}

}  // namespace ringcast::hub
