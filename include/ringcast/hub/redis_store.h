#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/base/result.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_options.h"

namespace ringcast::hub {

/// What a Redis holds at start, and that it can be used.
struct RedisStart {
  /// Where the log begins: before every event that the tail will deliver. 0-0 when the stream was
  /// never trimmed and all of it fits.
  EventId floor;
  /// The newest event at that moment, or 0-0: what the tail has to reach before clients come.
  EventId newest;
  std::vector<SignOut> signed_out;  ///< tokens whose users signed out, not expired yet
  std::string version;              ///< of the server
};

/// How much of the stream is wanted at start: the limits of a shard's log.
struct WarmUp {
  std::size_t events = 65'536;
  std::size_t bytes = std::size_t{16} << 20;
};

/// Connects, signs in, tries every command, key and channel that will be needed, and finds where
/// the log begins. Blocks, up to `start_timeout_ms` while Redis cannot be reached or is loading,
/// saying so in the log. What waiting cannot mend fails at once: a wrong password or database, a
/// missing permission (named, with the ACL rule that grants it), a replica, a key of another type,
/// a Redis that is too old (before 6.2). Of `options`, `with_password` has been made use of before.
/// `give_up` is asked several times a second while it waits; true ends that with an error. SIGPIPE
/// is to be ignored.
[[nodiscard]] Result<RedisStart> check_redis(const RedisOptions& options, const WarmUp& warm_up,
                                             const std::function<bool()>& give_up = {});

/// Limits of what waits for Redis. docs/limits.md lists them.
struct RedisStoreOptions {
  RedisOptions redis;
  EventId floor{};                       ///< RedisStart::floor
  std::size_t event_bytes_max = 65'536;  ///< of a channel message, and of an entry's data
  std::size_t queue_events_max = 8'192;  ///< publications without an answer
  std::size_t queue_bytes_max = std::size_t{16} << 20;
  std::size_t standby_messages_max = 262'144;  ///< channel messages that are not in the tail yet
  std::size_t standby_bytes_max = std::size_t{64} << 20;
  std::size_t history_at_once = 4;
  std::size_t history_waiting_max = 65'536;
  std::uint64_t instance = 0;  ///< random, of this process
};

/// The events of all instances, in a Redis stream: docs/design/redis.md.
class RedisStore : public EventStore {
 public:
  RedisStore(const RedisStoreOptions& options, RedisCounters& counters);
  ~RedisStore() override;

  void attach(EventSink& sink, uring::Ring& ring) override;
  [[nodiscard]] bool append(const Ticket& ticket, const Publication& publication,
                            Time now) override;
  [[nodiscard]] bool sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what,
                              Time now) override;
  [[nodiscard]] bool history(const Ticket& ticket, EventId after, Time now) override;
  void on_completion(const uring::Completion& completion, Time now) override;
  [[nodiscard]] Next turn(Time now) override;
  void stop(Time now) override;
  [[nodiscard]] bool stopped() const override;
  void detach() override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ringcast::hub
