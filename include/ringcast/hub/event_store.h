#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "ringcast/base/event_id.h"
#include "ringcast/base/time.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/hub/publication.h"
#include "ringcast/uring/ring.h"

namespace ringcast::hub {

/// Who waits for the answer to a command.
struct Ticket {
  std::uint32_t shard;
  RecordKind kind;
  uring::Handle origin;
  std::uint32_t serial;
};

/// What an event store tells the hub. On the hub's thread.
class EventSink {
 public:
  virtual ~EventSink() = default;

  // Whatever comes next goes to all shards, in the order of these calls.

  /// Reserves room for the event, whatever its ID; false while the slowest shard is too far behind:
  /// the store tries again in a later turn, which comes when there is room.
  [[nodiscard]] virtual bool reserve(const Publication& publication) = 0;
  /// Delivers what was reserved last, under its ID: larger than every one before.
  virtual void deliver(EventId id, const Publication& publication) = 0;
  /// Ends the streams of a session; `topic` is its user's own. False: no room, as above.
  [[nodiscard]] virtual bool deliver_sign_out(std::string_view topic, const SignOut& what) = 0;
  /// Tells all streams that events after `newest` up to the next one are missing. `id` is what the
  /// hole counts as in the order: at least that of the last event that is missing, since a stream
  /// may come from inside the hole, and less than that of the first event after it. `oldest` is
  /// that one, if it is known. False: no room.
  struct Hole {
    EventId id;
    EventId newest;
    std::optional<EventId> oldest;
  };
  [[nodiscard]] virtual bool deliver_gap(const Hole& hole) = 0;

  /// Answers a command; exactly once for each ticket that the store took.
  struct Answer {
    Outcome outcome = Outcome::done;
    EventId id{};
    std::unique_ptr<HistoryPage> page{};
  };
  virtual void answer(const Ticket& ticket, Answer answer) = 0;
};

/// Where events get their IDs and stay: the source of truth, and the only thing that differs
/// between a server on its own and one of many (docs/design/redis.md).
///
/// Threads: all on the hub's, but for construction. Blocking: nothing.
/// The contract of `append`, `sign_out`, `history`: true means taken, and answered through the
/// sink, within the call or later, with `done` or not. False means that there is no room among the
/// events now: the same command comes again. Views are valid within the call.
class EventStore {
 public:
  virtual ~EventStore() = default;

  /// Once, on the hub's thread, before all else. Both live until `detach`.
  virtual void attach(EventSink& sink, uring::Ring& ring) = 0;

  [[nodiscard]] virtual bool append(const Ticket& ticket, const Publication& publication,
                                    Time now) = 0;
  [[nodiscard]] virtual bool sign_out(const Ticket& ticket, std::string_view topic,
                                      const SignOut& what, Time now) = 0;
  /// A page of what follows `after`; 0-0 asks for everything.
  [[nodiscard]] virtual bool history(const Ticket& ticket, EventId after, Time now) = 0;

  /// A completion of the ring that is not a wake.
  virtual void on_completion(const uring::Completion& completion, Time now) = 0;
  /// Does what is due. Returns how long until the next call at the latest: nothing = only a
  /// completion or a command brings work; 0 = more to do now. `no_room`: the sink has refused
  /// something, so the next call is wanted when there is room.
  struct Next {
    std::optional<std::chrono::nanoseconds> wait{};
    bool no_room = false;
  };
  [[nodiscard]] virtual Next turn(Time now) = 0;

  /// Begins an orderly end: gives back what others wait for. `turn` goes on being called until
  /// `stopped`, a second at most.
  virtual void stop(Time now) = 0;
  [[nodiscard]] virtual bool stopped() const = 0;
  /// Lets go of sink and ring: the last call on the hub's thread.
  virtual void detach() {}
};

}  // namespace ringcast::hub
