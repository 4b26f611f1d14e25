#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
#include "redis_page_size.h"
#include "redis_reply.h"

namespace ringcast::hub {

/// Hears what stands in an entry beside the event, once it has been handed on.
class TailWatcher {
 public:
  virtual ~TailWatcher() = default;
  virtual void on_nonce(const Nonce& nonce, EventId id) = 0;
  virtual void on_channel_number(std::string_view number) = 0;
};

/// Reads the stream and hands it on in its order: docs/design/redis.md, "The tail".
///
///                 ┌──────────── page used up, was short ───────────┐
///                 ▼                                               │
///      ┌──► read (XREAD BLOCK, XRANGE) ─┐                         │
///      │                                ├─ begins with our ──► page ──► sink
///   check (XRANGE) ─────────────────────┤  last entry             │
///      ▲                                ├─ begins later: gap ──►──┤
///      │                                └─ nothing ──► inspect (XINFO): all is well, or a gap, or
///      │                                               behind us: gap, raise (script), inspect
///      └── new connection, full page
///
/// XREAD is only the bell: what it returns may have a hole before it, that nobody would notice.
/// Events are taken from the XRANGE behind it, which begins with the entry that was read last: if
/// that is there, nothing between was trimmed, however long anybody was held up.
///
/// Threads: the hub's. Blocking: nothing. One page in memory, no command while it is
/// not used up.
class RedisTail final : public ReplyHandler {
 public:
  /// `now` is kept up to date by the owner.
  RedisTail(const RedisStoreOptions& options, const RedisAddress& address, const RedisKeys& keys,
            RedisConnection& connection, EventSink& sink, TailWatcher& watcher,
            RedisCounters& counters, const Time& now);

  void on_ready();
  void on_lost();

  /// Everything up to here has been handed on.
  [[nodiscard]] EventId position() const { return last_; }
  /// The last event or gap up to there: where the log ends once the shards have taken it.
  [[nodiscard]] EventId delivered() const { return delivered_; }
  /// Times that entries may have been missed.
  [[nodiscard]] std::uint64_t holes() const { return holes_; }

  /// Hands on what is there, asks for more. False: the sink has no room.
  [[nodiscard]] bool turn();
  /// Monotonic nanoseconds of the next call of `turn`, or 0: a reply, a connection or room makes
  /// one of their own.
  [[nodiscard]] std::uint64_t wake_ns() const;

  void on_reply(std::uint64_t tag, const redisReply* reply) override;

 private:
  enum class Command : std::uint8_t { none, check, inspect, read, raise, load };

  struct PageEntry {
    EventId id;
    std::size_t first_text;  ///< in `texts_`
    std::size_t texts;
  };
  struct LoadedSignOut {
    std::string member;
    std::uint64_t expires_ms;
  };

  [[nodiscard]] bool hand_on();
  [[nodiscard]] bool hand_on_entry(const PageEntry& entry);
  void on_page_lost();
  void complain_of(EventId id, const std::string& reason);
  void send_next();
  void ask(Command command);

  void on_checked(const redisReply* reply);
  void on_inspected(const redisReply* reply);
  void on_loaded(const redisReply* reply);
  void on_error(std::string_view error);

  /// False, and no page: an entry has another shape, or is not behind the one before it.
  [[nodiscard]] bool copy_page(const redisReply* entries, bool skip_first);
  void drop_page();
  [[nodiscard]] bool page_used_up() const { return next_entry_ == entries_.size(); }
  /// A hole between `last_` and `oldest`, if that is known. `then`: the position after it.
  void begin_hole(std::optional<EventId> oldest, EventId then);
  void begin_raise(EventId found);
  /// The end of the stream was at our position when Redis answered.
  void is_current();

  const RedisKeys keys_;
  const RedisAddress address_;
  const std::size_t event_bytes_max_;
  RedisConnection& connection_;
  EventSink& sink_;
  TailWatcher& watcher_;
  RedisCounters& counters_;
  const Time& now_;

  EventId last_;
  EventId delivered_;
  // No entry stands at `last_`, and so many had been removed from the stream when it was known that
  // nothing was missing up to there.
  bool unanchored_ = false;
  std::optional<std::uint64_t> removed_;
  std::uint64_t holes_ = 0;

  Command outstanding_ = Command::none;  // the reply that comes next; behind `read` is a `check`
  Command next_ = Command::check;
  PageSize page_size_;
  std::size_t asked_ = 0;     // entries, of the last `check`
  bool gap_is_told_ = false;  // Redis went backwards: up to the next entry, whatever that is
  bool raise_ = false;        // to `last_`, before anything else
  bool load_ = false;         // the sign-outs, once the page is used up
  std::uint64_t retry_ns_ = 0;
  bool waits_for_room_ = false;

  // What waits to be handed on, in this order.
  std::optional<EventSink::Hole> hole_;
  EventId after_hole_;
  std::vector<LoadedSignOut> sign_outs_;
  std::size_t next_sign_out_ = 0;
  std::string bytes_;
  std::vector<std::string_view> texts_;  // parts of `bytes_`
  std::vector<PageEntry> entries_;
  std::size_t next_entry_ = 0;
  bool page_is_held_ = false;  // until it was inspected whether a hole is before it
  bool page_is_last_ = false;  // there was nothing behind it
  std::uint64_t page_unix_ms_ = 0;

  RawEntry raw_;  // scratch
  LogLimit entry_log_;
  LogLimit hole_log_;
  LogLimit error_log_;
  LogLimit stuck_log_;
};

}  // namespace ringcast::hub
