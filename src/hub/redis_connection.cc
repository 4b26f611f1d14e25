#include "redis_connection.h"

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include "ringcast/base/assert.h"

#include "redis_reply.h"
#include "redis_resolver.h"
#include "redis_socket.h"
#include "redis_words.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kReplyLimitNs = 4 * kNsPerSecond;
constexpr std::uint64_t kSubscribeEveryNs = kNsPerSecond;
constexpr std::uint64_t kRoleEveryNs = kNsPerSecond;
constexpr std::uint64_t kFirstWaitNs = 50 * kNsPerMs;
constexpr std::uint64_t kLongestWaitNs = 2 * kNsPerSecond;
constexpr std::uint64_t kStableNs = 5 * kNsPerSecond;  // after that the waits begin at the first
constexpr std::uint64_t kLogEveryNs = 10 * kNsPerSecond;
constexpr std::uint64_t kLateNs = kNsPerSecond / 2;

std::string_view name_of(ConnectionRole role) {
  switch (role) {
    case ConnectionRole::commands:
      return "commands";
    case ConnectionRole::tail:
      return "tail";
    case ConnectionRole::channel:
      return "channel";
  }
  return "?";
}

/// The user may not, or this Redis (or what stands for it) has no such command.
bool is_withheld(std::string_view error) {
  return error.starts_with("NOPERM") || error.starts_with("ERR unknown command") ||
         error.starts_with("ERR unknown subcommand") || error.starts_with("ERR Unknown subcommand");
}

}  // namespace

struct RedisConnection::Impl final : SocketOwner {
  enum class State : std::uint8_t { closed, waiting, resolving, connecting, signing_in, ready };

  /// What a reply answers: a command of the owner, or one of ours.
  enum class Step : std::uint8_t { command, auth, select, name, run, role, ping };

  struct Pending {
    Step step;
    ReplyHandler* handler;
    std::uint64_t tag;
    std::uint64_t sent_ns;  // the turn that it left with; 0 = not yet
  };

  Impl(const RedisAddress& to, ConnectionRole what_for, std::uint32_t slot, uring::Ring& own_ring,
       ConnectionOwner& its_owner, Counter& connected_gauge, Counter& reconnects_counter)
      : address(to),
        role(what_for),
        ring(own_ring),
        owner(its_owner),
        connected(connected_gauge),
        reconnects(reconnects_counter),
        socket(own_ring, slot, *this),
        resolver(own_ring),
        random(std::random_device{}()) {}

  // --- connecting
  void begin();
  void take_addresses();
  void connect();
  void on_connected() override;
  void on_closed(const std::string& reason, ClosedBy what) override;
  void on_failure(const std::string& reason);
  void log_failure(const std::string& reason);

  // --- signing in
  void ask(Step step, std::initializer_list<std::string_view> words);
  void on_signed(Step step, const redisReply* reply);
  void refuse(const std::string& reason);
  void on_role(const redisReply* reply);
  void note_run(const redisReply* reply);
  void become_ready();

  // --- in use
  void on_reply(const redisReply* reply) override;
  void on_message(const redisReply* reply) override;
  void send_subscribe();
  void note_departure();
  void ask_role();
  void on_role_again(const redisReply* reply);
  [[nodiscard]] bool is_ready() const {
    return state == State::ready && socket.connected() && failing.empty();
  }
  [[nodiscard]] std::uint64_t reply_deadline() const;
  void check_replies();
  [[nodiscard]] std::uint64_t next_due() const;
  void turn();

  const RedisAddress address;
  const ConnectionRole role;
  uring::Ring& ring;
  ConnectionOwner& owner;
  Counter& connected;
  Counter& reconnects;
  RedisSocket socket;
  RedisResolver resolver;
  std::minstd_rand random;

  State state = State::closed;
  Time now;
  std::uint64_t due_ns = 0;  // of `waiting` the next try; of `resolving` and `connecting` the limit
  RedisResolver::Addresses addresses;
  std::size_t next_address = 0;

  std::deque<Pending> pending;
  std::uint64_t heard_ns = 0;         // when something came last
  std::uint64_t received_before = 0;  // of the socket's count
  std::string failing;                // why it is to be given up in the next turn

  std::vector<std::string> channels;
  ReplyHandler* subscriber = nullptr;
  std::size_t subscribes_pending = 0;
  std::uint64_t subscribed_ns = 0;

  std::string run;  // what the process calls itself, once it has said so
  std::uint64_t departures = 0;
  std::string departed_from;
  bool role_pending = false;
  std::uint64_t role_ns = 0;  // when it was asked last

  unsigned failures = 0;  // in a row, for the waits
  bool was_ready = false;
  std::uint64_t ready_since_ns = 0;
  bool row_logged = false;          // a failure since it last worked was logged
  std::uint64_t away_since_ns = 0;  // the first failure since then; 0 = none
  std::uint64_t logged_ns = 0;
  std::string logged_reason;
};

// ── Connecting ──────────────────────────────────────────────────────────────────────────────────

void RedisConnection::Impl::begin() {
  if (!address.socket.empty() || is_numeric_address(address.host)) {
    addresses = {address.host};
    next_address = 0;
    return connect();
  }
  state = State::resolving;
  due_ns = now.mono_ns + kReplyLimitNs;
  resolver.start(address.host);
}

void RedisConnection::Impl::take_addresses() {
  auto answer = resolver.take();
  if (!answer) {
    // It goes on as long as it takes; the log says what the wait is for.
    if (due_ns == 0 || now.mono_ns < due_ns) return;
    due_ns = 0;
    return log_failure("the host name '" + cleaned(address.host) +
                       "' of redis.url is still being looked up");
  }
  if (!answer->ok()) return on_failure(answer->error().message);
  addresses = std::move(answer->value());
  next_address = 0;
  connect();
}

void RedisConnection::Impl::connect() {
  state = State::connecting;
  due_ns = now.mono_ns + kReplyLimitNs;
  const std::string& host = addresses[next_address++];
  const Result<void> opened = address.socket.empty() ? socket.open_tcp(host, address.port)
                                                     : socket.open_unix(address.socket);
  if (!opened) on_failure(opened.error().message);
}

void RedisConnection::Impl::on_closed(const std::string& reason, ClosedBy what) {
  RC_ASSERT(pending.empty());
  on_failure(what == ClosedBy::error_reply ? describe_redis_error(reason, address) : reason);
}

void RedisConnection::Impl::on_failure(const std::string& reason) {
  const bool lost = state == State::ready;
  // An address that refuses us (a replica, say) is no better than one that does not answer.
  const bool try_next =
      (state == State::connecting || state == State::signing_in) && next_address < addresses.size();
  state = State::waiting;
  failing.clear();
  channels.clear();
  subscriber = nullptr;
  subscribes_pending = 0;
  role_pending = false;
  if (lost && now.mono_ns - ready_since_ns >= kStableNs) failures = 0;
  connected.set(0);
  if (away_since_ns == 0) away_since_ns = now.mono_ns;
  if (try_next) {
    spdlog::debug("redis: {}: {}", addresses[next_address - 1], reason);
    return connect();
  }
  log_failure(reason);
  const std::uint64_t whole = std::min(kLongestWaitNs, kFirstWaitNs << std::min(failures, 10u));
  ++failures;
  due_ns =
      now.mono_ns + whole / 2 + std::uniform_int_distribution<std::uint64_t>(0, whole / 2)(random);
  if (lost) owner.on_lost();
}

// A row of failures is one line, and one more for each other reason; a connection that comes and
// goes is not a line each time either.
void RedisConnection::Impl::log_failure(const std::string& reason) {
  const bool recently = logged_ns != 0 && now.mono_ns - logged_ns < kLogEveryNs;
  const bool known = reason == logged_reason;
  if (row_logged ? (known || recently) : (known && recently)) return;
  row_logged = true;
  logged_ns = now.mono_ns;
  logged_reason = reason;
  spdlog::warn("redis: no {} connection to {}: {}. Trying again until it works", name_of(role),
               to_string(address), reason);
}

// ── Signing in ──────────────────────────────────────────────────────────────────────────────────

// All of it in one write; replies come in its order.
void RedisConnection::Impl::on_connected() {
  state = State::signing_in;
  run.clear();
  if (!address.user.empty()) {
    ask(Step::auth, {"AUTH", address.user, address.password});
  } else if (!address.password.empty()) {
    ask(Step::auth, {"AUTH", address.password});
  }
  if (address.database != 0) ask(Step::select, {"SELECT", std::to_string(address.database)});
  ask(Step::name, {"CLIENT", "SETNAME", "ringcast-" + std::string(name_of(role))});
  ask(Step::run, {"INFO", "server"});
  ask_role();
  if (role != ConnectionRole::channel) ask(Step::ping, {"PING"});
}

void RedisConnection::Impl::ask(Step step, std::initializer_list<std::string_view> words) {
  pending.push_back({step, nullptr, 0, 0});
  socket.command({words.begin(), words.size()});
}

void RedisConnection::Impl::on_signed(Step step, const redisReply* reply) {
  if (state == State::ready) return on_role_again(reply);
  const std::string_view error =
      reply->type == REDIS_REPLY_ERROR ? text_of(reply) : std::string_view();
  switch (step) {
    case Step::auth:
    case Step::select:
      if (!error.empty()) return refuse(describe_redis_error(error, address));
      break;
    case Step::ping:
      // Whatever else is wrong may be so for some commands only.
      if (error.starts_with("LOADING")) return refuse(describe_redis_error(error, address));
      break;
    case Step::name:
    case Step::run:
    case Step::role:
      if (!error.empty() && !is_withheld(error)) {
        return refuse(describe_redis_error(error, address));
      }
      if (step == Step::run && error.empty()) note_run(reply);
      if (step == Step::role) role_pending = false;
      if (step == Step::role && error.empty()) on_role(reply);
      break;
    case Step::command:
      break;
  }
  if (pending.empty() && socket.connected()) become_ready();
}

void RedisConnection::Impl::refuse(const std::string& reason) {
  socket.close(reason);
}

void RedisConnection::Impl::on_role(const redisReply* reply) {
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) return;
  const std::string_view is = text_of(reply->element[0]);
  if (is == "sentinel") {
    return refuse("what answers there is a Sentinel: redis.url must name the primary itself");
  }
  if (is != "slave") return;
  note_departure();
  std::string primary;
  if (reply->elements >= 3 && reply->element[2]->type == REDIS_REPLY_INTEGER) {
    primary = " (" + cleaned(text_of(reply->element[1])) + ":" +
              std::to_string(reply->element[2]->integer) + ")";
  }
  refuse("it is a replica, which takes no events: redis.url must name its primary" + primary);
}

void RedisConnection::Impl::note_departure() {
  ++departures;
  departed_from = run;
}

void RedisConnection::Impl::note_run(const redisReply* reply) {
  constexpr std::string_view kField = "run_id:";
  const std::string_view text = text_of(reply);
  const auto at = text.find(kField);
  if (at == std::string_view::npos) return;
  const auto value = text.substr(at + kField.size());
  run = value.substr(0, value.find_first_of("\r\n"));
}

void RedisConnection::Impl::become_ready() {
  state = State::ready;
  connected.set(1);
  if (std::exchange(was_ready, true)) reconnects.add();
  ready_since_ns = now.mono_ns;
  if (std::exchange(row_logged, false)) {
    spdlog::info(
        "redis: the {} connection to {} works again, after {:.1f} s", name_of(role),
        to_string(address),
        static_cast<double>(now.mono_ns - away_since_ns) / static_cast<double>(kNsPerSecond));
  }
  away_since_ns = 0;
  owner.on_ready();
}

// ── In use ──────────────────────────────────────────────────────────────────────────────────────

void RedisConnection::Impl::on_reply(const redisReply* reply) {
  RC_ASSERT(!pending.empty());
  const Pending done = pending.front();
  pending.pop_front();
  if (state == State::closed) return;
  if (reply != nullptr) heard_ns = now.mono_ns;
  if (done.step == Step::command) return done.handler->on_reply(done.tag, reply);
  if (reply != nullptr) on_signed(done.step, reply);
}

void RedisConnection::Impl::on_message(const redisReply* reply) {
  if (state == State::closed || subscriber == nullptr) return;
  heard_ns = now.mono_ns;
  if (subscribes_pending != 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements != 0 &&
      text_of(reply->element[0]) == "subscribe") {
    --subscribes_pending;
  }
  subscriber->on_reply(0, reply);
}

void RedisConnection::Impl::send_subscribe() {
  std::vector<std::string_view> names(channels.begin(), channels.end());
  subscribes_pending += names.size();
  subscribed_ns = now.mono_ns;
  socket.subscribe(names);
}

void RedisConnection::Impl::ask_role() {
  role_pending = true;
  role_ns = now.mono_ns;
  ask(Step::role, {"ROLE"});
}

// A Redis that becomes a replica closes no connection, and goes on answering what only reads.
void RedisConnection::Impl::on_role_again(const redisReply* reply) {
  role_pending = false;
  const bool was_given_up = !socket.connected();
  if (was_given_up || reply->type == REDIS_REPLY_ERROR) return;  // such as BUSY: it says no more
  on_role(reply);
}

/// When what we wait for is overdue; 0 = we wait for nothing.
std::uint64_t RedisConnection::Impl::reply_deadline() const {
  std::uint64_t since_ns = 0;
  if (!pending.empty()) {
    since_ns = pending.front().sent_ns;
    if (since_ns == 0) since_ns = now.mono_ns;
  } else if (subscribes_pending != 0) {
    since_ns = subscribed_ns;
  } else {
    return 0;
  }
  return std::max(since_ns, heard_ns) + kReplyLimitNs;
}

void RedisConnection::Impl::check_replies() {
  const std::uint64_t deadline_ns = reply_deadline();
  if (deadline_ns == 0 || now.mono_ns < deadline_ns) return;
  if (socket.read_now()) {
    heard_ns = now.mono_ns;
    return;
  }
  if (now.mono_ns > deadline_ns + kLateNs) {
    // We were away ourselves (stopped, or without a CPU): who was late, one second more will show.
    heard_ns = now.mono_ns - kReplyLimitNs + kNsPerSecond;
    return;
  }
  socket.close("no reply for 4 s: it is frozen, overloaded, or cut off");
}

std::uint64_t RedisConnection::Impl::next_due() const {
  switch (state) {
    case State::closed:
      return 0;
    case State::waiting:
    case State::resolving:
    case State::connecting:
      return due_ns;
    case State::signing_in:
    case State::ready:
      break;
  }
  if (!failing.empty()) return now.mono_ns;
  std::uint64_t due = reply_deadline();
  if (subscriber != nullptr && subscribes_pending == 0) {
    const std::uint64_t again = subscribed_ns + kSubscribeEveryNs;
    due = due == 0 ? again : std::min(due, again);
  }
  if (state == State::ready && role == ConnectionRole::commands && !role_pending) {
    const std::uint64_t again = role_ns + kRoleEveryNs;
    due = due == 0 ? again : std::min(due, again);
  }
  return due;
}

void RedisConnection::Impl::turn() {
  for (auto it = pending.rbegin(); it != pending.rend() && it->sent_ns == 0; ++it) {
    it->sent_ns = now.mono_ns;
  }
  switch (state) {
    case State::closed:
      return;
    case State::waiting:
      if (now.mono_ns >= due_ns) begin();
      break;
    case State::resolving:
      take_addresses();
      break;
    case State::connecting:
      if (now.mono_ns >= due_ns) socket.close("no answer for 4 s");
      break;
    case State::signing_in:
    case State::ready:
      if (!failing.empty()) {
        socket.close(std::exchange(failing, {}));
      } else {
        check_replies();
      }
      if (is_ready() && subscriber != nullptr && subscribes_pending == 0 &&
          now.mono_ns - subscribed_ns >= kSubscribeEveryNs) {
        send_subscribe();
      }
      if (is_ready() && role == ConnectionRole::commands && !role_pending &&
          now.mono_ns - role_ns >= kRoleEveryNs) {
        ask_role();
      }
      break;
  }
  socket.flush();
}

// ── The outside ─────────────────────────────────────────────────────────────────────────────────

RedisConnection::RedisConnection(const RedisAddress& address, ConnectionRole role,
                                 std::uint32_t slot, uring::Ring& ring, ConnectionOwner& owner,
                                 Counter& connected, Counter& reconnects)
    : impl_(std::make_unique<Impl>(address, role, slot, ring, owner, connected, reconnects)) {}

RedisConnection::~RedisConnection() = default;

void RedisConnection::open(Time now) {
  RC_ASSERT(impl_->state == Impl::State::closed);
  impl_->now = now;
  impl_->begin();
}

void RedisConnection::close() {
  if (impl_->state == Impl::State::closed) return;
  impl_->state = Impl::State::closed;
  impl_->connected.set(0);
  impl_->socket.drop();
}

bool RedisConnection::ready() const {
  return impl_->is_ready();
}

void RedisConnection::send(std::span<const std::string_view> arguments, ReplyHandler& handler,
                           std::uint64_t tag) {
  RC_ASSERT(ready());
  impl_->pending.push_back({Impl::Step::command, &handler, tag, 0});
  impl_->socket.command(arguments);
}

void RedisConnection::subscribe(std::span<const std::string_view> channels, ReplyHandler& handler) {
  RC_ASSERT(ready() && impl_->role == ConnectionRole::channel);
  impl_->channels.assign(channels.begin(), channels.end());
  impl_->subscriber = &handler;
  impl_->send_subscribe();
}

void RedisConnection::fail(std::string_view reason) {
  if (!impl_->socket.connected() || !impl_->failing.empty()) return;
  if (impl_->state == Impl::State::ready) impl_->note_departure();
  if (impl_->socket.in_reply()) return impl_->socket.close(reason);
  impl_->failing = reason.empty() ? "given up" : reason;
  impl_->ring.wake_from_outside();
}

std::uint64_t RedisConnection::departures() const {
  return impl_->departures;
}

std::string_view RedisConnection::departed_from() const {
  return impl_->departed_from;
}

std::string_view RedisConnection::run() const {
  return impl_->run;
}

std::uint64_t RedisConnection::ready_since_ns() const {
  return impl_->ready_since_ns;
}

std::size_t RedisConnection::outstanding() const {
  return impl_->pending.size();
}

bool RedisConnection::owns(uring::Handle handle) const {
  return impl_->socket.owns(handle);
}

void RedisConnection::on_poll(const uring::Completion& completion, Time now) {
  impl_->now = now;
  impl_->socket.on_poll(completion);
  // Part of a reply is a sign of life too.
  if (std::exchange(impl_->received_before, impl_->socket.received_bytes()) !=
      impl_->socket.received_bytes()) {
    impl_->heard_ns = now.mono_ns;
  }
}

std::uint64_t RedisConnection::turn(Time now) {
  impl_->now = now;
  impl_->turn();
  return impl_->next_due();
}

}  // namespace ringcast::hub
