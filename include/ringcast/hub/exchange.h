#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ringcast/base/doorbell.h"
#include "ringcast/base/event_id.h"
#include "ringcast/base/record_ring.h"
#include "ringcast/base/result.h"
#include "ringcast/base/spsc_queue.h"
#include "ringcast/hub/history.h"
#include "ringcast/uring/ring.h"

namespace ringcast::hub {

enum class RecordKind : std::uint8_t {
  event,     ///< to be given an ID and delivered
  sign_out,  ///< the streams of a token are to be ended, on every shard; has neither ID nor frame
  history,   ///< shard to hub: a page of what the log no longer holds, or does not hold yet
  gap,       ///< hub to shards: events are missing here; has an ID
};

/// Which streams a sign-out ends.
struct SignOut {
  std::uint64_t session;     ///< auth::Claims::session
  std::uint64_t expires_ms;  ///< of the token: unix milliseconds
};

/// Shard to hub. A record of this header, then event, topic and data bytes. Of a sign-out the topic
/// is the user's own one and the data a SignOut; of a history request the data is the EventId after
/// which the page begins.
struct Command {
  RecordKind kind;
  uring::Handle origin;  ///< the connection that waits for the reply
  std::uint32_t serial;  ///< of the request on it
  std::uint32_t event_bytes;
  std::uint32_t topic_bytes;
  std::uint32_t data_bytes;
  std::uint32_t retry_ms;  ///< when has_retry
  bool has_retry;
};

/// What became of a command.
enum class Outcome : std::uint8_t {
  done,       ///< the event has its ID and cannot be lost by this process any more
  not_taken,  ///< the store is away, or too much waits for it: nothing has happened
  unknown,    ///< the store was given it and has not answered: it may have been taken
};

/// Hub to one shard. With the embedded store the record is in the events ring already, before every
/// shard's cursor; with Redis it may still be on its way to here.
struct Reply {
  RecordKind kind;
  Outcome outcome;
  uring::Handle origin;
  std::uint32_t serial;
  EventId id;         ///< of an event
  HistoryPage* page;  ///< of a history request that is done; owned by whoever takes the reply
};

/// What a `gap` tells all streams.
struct HoleRecord {
  EventId newest;  ///< the last event before the hole
  EventId oldest;  ///< the first event after it, when has_oldest
  bool has_oldest;
};

/// Hub to all shards. A record of this header, then topic and frame bytes; of a sign-out the frame
/// is a SignOut, of a gap a HoleRecord.
struct EventRecord {
  RecordKind kind;
  EventId id;
  std::uint64_t topic_hash;  ///< XXH3 of the topic; 0 for the public room
  std::uint32_t topic_bytes;
  std::uint32_t frame_bytes;
  std::uint8_t chunk_head_bytes;
};

struct ExchangeOptions {
  std::uint32_t shards = 1;
  std::size_t event_bytes_max = 65'536;    ///< of a publisher's body
  std::size_t frame_bytes_max = 0;         ///< of an encoded frame
  std::size_t publishes_in_flight = 1024;  ///< for each shard; more are answered 503
};

/// Everything that threads say to each other, and nothing else.
///
///    shard 0  --commands-->         --events-->  shard 0    one ring: every
///    shard 1  --commands-->   hub   --events-->  shard 1    shard reads all of it
///             <--replies---
///
/// The events are one ring with as many readers as shards, not a queue for each: the frame is
/// copied once however many shards there are, and "room in every inbox" is one comparison with the
/// slowest reader. Bounds: commands 4 messages of the largest body at least; replies never
/// overflow, since a shard has at most `publishes_in_flight` commands without a reply; events 4 of
/// the largest frames.
class Exchange {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Exchange>> create(const ExchangeOptions& options);

  struct Port {
    Port(std::unique_ptr<RecordRing> command_ring, std::size_t replies_max)
        : commands(std::move(command_ring)), replies(replies_max) {}
    ~Port();  ///< frees the pages of replies that nobody took
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    std::unique_ptr<RecordRing> commands;  ///< shard writes, hub reads (reader 0)
    SpscQueue<Reply> replies;              ///< hub writes, shard reads
    Doorbell bell;                         ///< of the sleeping shard
    std::atomic<uring::Ring*> ring{
        nullptr};  ///< of the shard, to wake it; set before it first sleeps
  };

  [[nodiscard]] std::size_t shards() const { return ports_.size(); }
  [[nodiscard]] Port& port(std::size_t shard) { return *ports_[shard]; }
  [[nodiscard]] RecordRing& events() { return *events_; }
  [[nodiscard]] const ExchangeOptions& options() const { return options_; }

  /// The hub sleeps for want of commands ...
  Doorbell hub_bell;
  /// ... or for want of room among the events.
  Doorbell room_bell;
  std::atomic<uring::Ring*> hub_ring{nullptr};

 private:
  explicit Exchange(const ExchangeOptions& options) : options_(options) {}

  ExchangeOptions options_;
  std::unique_ptr<RecordRing> events_;
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace ringcast::hub
