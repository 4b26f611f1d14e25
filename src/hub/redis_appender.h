#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/base/time.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/hub/redis_store.h"

#include "log_limit.h"
#include "redis_connection.h"
#include "redis_entry.h"
#include "redis_sign_outs.h"

namespace ringcast::hub {

class RedisTail;

/// Publications and sign-outs on their way into the stream: docs/design/redis.md, "Appending, and
/// what a lost reply leaves unknown".
///
///    items:  | answered | sent | unknown? | sent | queued | queued |     numbered; the number is
///             ^ base                                        ^ end        part of the nonce
///
/// A sign-out that Redis did not take in time goes on in RedisSignOuts.
///
/// They leave in any order (a nonce may be seen before its reply comes), so an answered item stays
/// until it is at the front. What is new waits while it is not settled what became of older ones,
/// so that their order is kept.
///
/// Threads: the hub's. Blocking: nothing. Bounds: items and their bytes by the store's options,
/// commands without a reply by kInFlightMax and kInFlightBytesMax.
class RedisAppender final : public ReplyHandler {
 public:
  /// `now` is kept up to date by the owner.
  RedisAppender(const RedisStoreOptions& options, const RedisAddress& address,
                const RedisKeys& keys, RedisConnection& commands, const RedisTail& tail,
                EventSink& sink, RedisCounters& counters, const Time& now);

  /// Answered at once when there is no room; otherwise later.
  void append(const Ticket& ticket, const Publication& publication);
  void sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what);

  /// First of all that use the connection.
  void on_ready();
  void on_lost();
  /// The tail has shown an entry with this nonce.
  void on_seen(const Nonce& nonce, EventId id);

  /// Answers what is due, sends what can be sent. Returns monotonic nanoseconds of the next call,
  /// or 0.
  [[nodiscard]] std::uint64_t turn();

  [[nodiscard]] bool idle() const { return unanswered_ == 0; }
  /// Answers everything now, and refuses what comes.
  void give_up();

  void on_reply(std::uint64_t tag, const redisReply* reply) override;

  static constexpr std::size_t kInFlightMax = 1024;
  static constexpr std::size_t kInFlightBytesMax = std::size_t{4} << 20;

 private:
  enum class State : std::uint8_t { queued, sent, unknown, answered };

  struct Item {
    Ticket ticket;
    State state = State::queued;
    bool has_retry = false;
    std::uint32_t retry_ms = 0;
    std::uint32_t event_bytes = 0;
    std::uint32_t topic_bytes = 0;
    std::uint64_t deadline_ns = 0;
    std::uint64_t holes = 0;  ///< of the tail, when it was sent
    std::string bytes;        ///< event, topic, data; of a sign-out: topic, value of its field
    SignOut sign_out{};

    [[nodiscard]] bool is_sign_out() const { return ticket.kind == RecordKind::sign_out; }
    [[nodiscard]] std::string_view event() const;
    [[nodiscard]] std::string_view topic() const;
    [[nodiscard]] std::string_view data() const;
    /// Of memory, about.
    [[nodiscard]] std::size_t cost() const { return sizeof(Item) + bytes.size(); }
  };

  /// What has to happen before anything may be sent on a new connection.
  enum class Fence : std::uint8_t {
    none,
    asked,    ///< which Redis it is; then for the end of the old connections, and of the stream
    reading,  ///< the tail has to come to `fence_`
  };

  /// A connection as Redis knows it. Client numbers begin anew with each process.
  struct Client {
    std::string run;
    std::int64_t number = 0;
  };

  void take(Item item);
  [[nodiscard]] Item* find(std::uint64_t number);
  [[nodiscard]] bool can_send() const;
  void send_queued();
  void send(std::uint64_t number, Item& item);
  void answer(Item& item, Outcome outcome, EventId id = {});
  /// Answers that Redis has not taken it, or not said so. Of a sign-out that is not the end.
  void fail(Item& item, Outcome outcome);
  void drop_answered();
  void show_queue();
  /// Every item whose fate is not known is told so.
  void leave_unknown();
  void settle();
  void on_appended(std::uint64_t number, const redisReply* reply);
  void on_run(const redisReply* reply);
  void on_killed(std::int64_t number, const redisReply* reply);
  void on_located(const redisReply* reply);
  void complain(std::string_view error);

  const RedisKeys keys_;
  const std::string max_events_;
  const RedisAddress address_;
  const std::size_t items_max_;
  const std::size_t bytes_max_;
  const std::uint64_t timeout_ns_;
  const std::uint64_t instance_;
  RedisConnection& commands_;
  const RedisTail& tail_;
  EventSink& sink_;
  RedisCounters& counters_;
  const Time& now_;

  std::deque<Item> items_;
  std::uint64_t base_ = 0;       // number of the first item
  std::uint64_t next_send_ = 0;  // none below is queued
  std::size_t unanswered_ = 0;
  std::size_t unanswered_bytes_ = 0;
  std::size_t unknown_ = 0;
  bool closed_ = false;
  std::deque<std::size_t> in_flight_;  // costs of commands without a reply, in their order
  std::size_t in_flight_bytes_ = 0;

  Fence fence_state_ = Fence::none;
  EventId fence_;
  EventId read_when_asked_;  // the tail's position when the end was asked for
  Client self_;
  bool sent_here_ = false;
  std::vector<Client> zombies_;  // lost connections whose publications Redis may still execute

  std::vector<std::string_view> words_;
  RedisSignOuts late_sign_outs_;
  LogLimit log_limit_;
};

}  // namespace ringcast::hub
