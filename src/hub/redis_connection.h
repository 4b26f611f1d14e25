#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ringcast/base/time.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/uring/ring.h"

struct redisReply;

namespace ringcast::hub {

/// Takes the replies to commands.
class ReplyHandler {
 public:
  virtual ~ReplyHandler() = default;
  /// `reply` is valid within the call; null when the connection was lost before it came. `tag` is
  /// what was given with the command. May send, but must not destroy the connection.
  virtual void on_reply(std::uint64_t tag, const redisReply* reply) = 0;
};

/// Hears of the connection's fate.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// Signed in, the database chosen: commands may be sent from within the call on.
  virtual void on_ready() = 0;
  /// Every command without a reply has been told; the next connection is tried by itself.
  virtual void on_lost() = 0;
};

enum class ConnectionRole : std::uint8_t { commands, tail, channel };

/// One connection to Redis, kept alive: hiredis (asynchronous), its socket polled by the hub's
/// ring.
///
///   waiting --time--> resolving --address--> connecting --socket--> signing in --> ready
///      ^                                                                             |
///      '---------------- any failure, no reply within 4 s, close by Redis -----------'
///
/// `signing in`: AUTH, SELECT, CLIENT SETNAME, INFO, ROLE: a replica counts as a failure. So does,
/// but for `channel`, that Redis is loading its data. A name's next address is tried when one does
/// not connect or refuses to sign in. Waits 50 ms, doubled up to 2 s, each time a random part
/// between a half and all of it. The first failure of a row is logged in plain words, and that it
/// works again. `commands` asks ROLE again each second: a primary that becomes a replica closes
/// nothing.
///
/// What is sent leaves with the next `turn`: its owner calls that after the last command of a turn.
///
/// Threads: one, but that a host name is looked up on a thread that ends with the answer (none for
/// an address). Blocking: nothing, but the destructor while a name is being looked up. SIGPIPE must
/// be ignored.
class RedisConnection {
 public:
  /// `slot` numbers the connection on the ring: it uses poll handles of slots 2 * slot and
  /// 2 * slot + 1.
  RedisConnection(const RedisAddress& address, ConnectionRole role, std::uint32_t slot,
                  uring::Ring& ring, ConnectionOwner& owner, Counter& connected,
                  Counter& reconnects);
  ~RedisConnection();

  void open(Time now);
  /// Ends it for good; handlers and owner are told nothing any more.
  void close();

  [[nodiscard]] bool ready() const;
  /// Sends a command (binary-safe). Only when ready. Replies come in the order of the commands.
  void send(std::span<const std::string_view> arguments, ReplyHandler& handler, std::uint64_t tag);
  /// SUBSCRIBE to both, and again each second to see that the connection lives. `handler` is given
  /// each message as hiredis parses it: an array `message`, channel, text. Only `channel`. It is
  /// given `subscribe` replies too. Only when ready, and again each time that it is: a lost
  /// connection ends the subscription, which the handler is not told (the owner is).
  void subscribe(std::span<const std::string_view> channels, ReplyHandler& handler);
  /// Gives the connection up and begins anew, because of something that was found in a reply (such
  /// as READONLY). Not ready from now on; handlers and owner are told when the reply's handler
  /// returns, or else within the next `turn`. Nothing happens when it is not connected.
  void fail(std::string_view reason);

  /// Times that it left a Redis for another one to be found: ready, and given up by `fail`; or told
  /// by ROLE that it is a replica. And the run_id of the last one.
  [[nodiscard]] std::uint64_t departures() const;
  [[nodiscard]] std::string_view departed_from() const;
  /// The run_id of the Redis process that it is, or was last, connected to; empty when that has not
  /// said it. Valid until the next call.
  [[nodiscard]] std::string_view run() const;
  /// Monotonic nanoseconds; only when ready.
  [[nodiscard]] std::uint64_t ready_since_ns() const;

  /// Commands without a reply.
  [[nodiscard]] std::size_t outstanding() const;

  [[nodiscard]] bool owns(uring::Handle handle) const;
  void on_poll(const uring::Completion& completion, Time now);
  /// What is due; returns monotonic nanoseconds of the next call, or 0.
  [[nodiscard]] std::uint64_t turn(Time now);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::hub
