#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ringcast/base/counter.h"

#include "load/client_ring.h"
#include "load/event_parser.h"
#include "load/gap_ledger.h"
#include "load/id_table.h"
#include "load/latency.h"
#include "load/plan.h"
#include "load/returning.h"
#include "load/run_state.h"
#include "load/sequence_table.h"
#include "load/source_addresses.h"
#include "load/tls_streams.h"

namespace ringcast::load {

/// Written by the reader's thread, read by any.
struct ReaderCounters {
  Counter open;          ///< streams whose head has arrived, now
  Counter opens_failed;  ///< attempts that were refused, reset or answered with another status
  Counter dropped;       ///< streams that the server ended
  Counter reconnects;
  Counter deliveries;  ///< events of this run, each counted once for each stream
  Counter duplicates;
  Counter late;
  Counter misrouted;     ///< of another topic than the stream asked for
  Counter gaps;          ///< events of that name, on any stream
  Counter other_events;  ///< heartbeats, other runs' events
  Counter received_bytes;
  Counter last_arrival_ns;

  /// Of the streams that stall and are read again at the end. Events that arrived, those jumped
  /// over behind a `gap`, and those jumped over without a word: together, where the streams stand.
  Counter stalled_deliveries;
  Counter stalled_skipped;
  Counter stalled_unannounced;
  Counter stalled_dropped;  ///< that the server had ended

  /// The same of the streams that read slowly.
  Counter slow_deliveries;
  Counter slow_skipped;
  Counter slow_unannounced;
  Counter slow_dropped;

  /// Of the storm: the moment before the first stream was closed, and streams closed.
  Counter storm_began_ns;
  Counter storm_closed;
  /// Of streams that come back, or that begin with what was published before: when the first
  /// connection was begun, streams that are open and have all that they missed (each counted once),
  /// when the last of these had, and the events that these are.
  Counter return_began_ns;
  Counter returned;
  Counter last_return_ns;
  Counter missed_arrived;
  /// Of single topics in a mixed run; among `deliveries` too.
  Counter topic_deliveries;
};

/// A thread's worth of streams: opens them at a steady pace, reads what comes, checks and times it.
///
///   waiting ─► connecting ─head─► live ─end─► waiting (with --reconnect) or done
///                  └── refused, reset ──► waiting, later; after kAttemptsMax the run fails
///
/// A storm closes all of them, and when they are closed begins with the first as at the start; at
/// once, or when RunState says so. With a replay all but stream 0 wait for that from the start.
///
/// Memory for each stream: 20 bytes here, 4 for each lane in the sequence table, 4 for its ID if
/// that is kept, 8 in a storm or a replay, about 56 for its share of a ring's receive buffers; with
/// TLS what TlsStreams says.
///
/// Threads: `run` is the thread's body; counters and `open_done` from any; the rest after it has
/// returned.
class Reader {
 public:
  /// Owns the streams [first, first + count) of the plan.
  Reader(const Plan& plan, const SourceAddresses& sources, RunState& state, std::uint32_t first,
         std::uint32_t count);

  /// Returns when the run stops. What cannot be overcome goes to RunState::fail.
  void run();

  [[nodiscard]] const ReaderCounters& counters() const { return counters_; }
  [[nodiscard]] const Latency& latency() const { return latency_; }
  /// Of single topics in a mixed run, which are not in `latency`.
  [[nodiscard]] const Latency& topic_latency() const { return topic_latency_; }
  /// Of the streams that read slowly, which are not in `latency`.
  [[nodiscard]] const Histogram& slow_latency() const { return slow_latency_; }
  /// Nanoseconds from when a stream's connection was begun to when it was back.
  [[nodiscard]] const Histogram& return_latency() const { return return_latency_; }
  /// None if no server of the plan speaks TLS.
  [[nodiscard]] const TlsStreams* tls() const { return tls_.get(); }
  [[nodiscard]] std::uint64_t cpu_ns() const { return cpu_ns_; }
  /// Events of the traffic that did not arrive on the streams that always read; `published` has the
  /// count for each of its lanes.
  [[nodiscard]] std::uint64_t missing(const Traffic& traffic,
                                      std::span<const std::uint64_t> published) const;

 private:
  enum class Phase : std::uint8_t { waiting, connecting, live, ending };
  struct Stream {
    ParserState parser;
    Phase phase = Phase::waiting;
    std::uint8_t attempts = 0;  ///< that failed in a row
    bool was_live : 1 = false;  ///< the current connection
    bool opened_before : 1 = false;
    bool closing : 1 = false;    ///< by the storm
    bool returning : 1 = false;  ///< not back yet
  };
  static_assert(sizeof(Stream) == 20, "one for each stream");
  static constexpr std::uint8_t kAttemptsMax = 5;
  static constexpr std::size_t kIdBytesMax = kKeptBytes - 1;  // longer ones may have been cut

  struct Later {
    std::uint64_t due_ns;
    std::uint32_t stream;
    bool operator>(const Later& other) const { return due_ns > other.due_ns; }
  };
  using Timers = std::priority_queue<Later, std::vector<Later>, std::greater<>>;

  [[nodiscard]] Result<void> create_rings();
  void open_some();
  void open_neighbours(std::uint32_t first, std::uint32_t count);
  /// Begins with the first stream again, or goes on behind stream 0, if it is time.
  void open_again();
  [[nodiscard]] std::string_view request_for(std::uint32_t stream);
  [[nodiscard]] std::string build_request(const Url& url, std::uint32_t topic,
                                          std::string_view token_header,
                                          std::string_view last_event_id) const;
  void handle(std::uint32_t ring, const ClientRing::Completion& completion);
  /// What a connection receives; what it says then goes to take_bytes.
  void take_input(std::uint32_t stream, std::string_view bytes);
  void take_bytes(std::uint32_t stream, std::string_view bytes);
  void send_output(std::uint32_t stream);
  void tls_failed(std::uint32_t stream);
  void take_event(std::uint32_t stream, const Event& event);
  /// What the stream would go on from (WHATWG HTML, section 9.2.6: an ID with NUL is none).
  void remember_id(std::uint32_t stream, std::string_view id);
  void take_late_event(std::uint32_t stream, const Stamp& stamp, std::uint32_t index);
  void resume_stalled();
  void receive_paced();
  void begin_storm();
  void became_live(std::uint32_t stream);
  /// The stream is open: whether it is also back.
  void look_whether_back(std::uint32_t stream);
  void record_arrival(std::uint32_t stream, const Stamp& stamp);
  void receive_ended(std::uint32_t stream, std::int32_t error);
  void connection_ended(std::uint32_t stream, std::int32_t error);
  [[nodiscard]] ClientRing& ring_of(std::uint32_t stream) { return *rings_[stream / per_ring_]; }
  [[nodiscard]] std::uint32_t slot_of(std::uint32_t stream) const { return stream % per_ring_; }
  [[nodiscard]] ClientRing::Receive receive_mode(std::uint32_t stream) const;
  /// What a receive takes at most; 0 = as much as there is.
  [[nodiscard]] std::uint32_t receive_bytes(std::uint32_t stream) const;
  [[nodiscard]] int wait_ms() const;

  const Plan& plan_;
  const SourceAddresses& sources_;
  RunState& state_;
  const std::uint32_t first_;  ///< streams are counted from 0 here, from first_ in the plan
  const std::uint32_t per_ring_;
  const Missed missed_;
  ReaderCounters counters_;
  Latency latency_;
  Latency topic_latency_;
  Histogram slow_latency_;
  Histogram return_latency_;
  std::vector<Stream> streams_;
  SequenceTable sequences_;
  GapLedger gaps_;
  Returning returning_;
  PartialPool partials_;
  EventParser parser_;
  std::unique_ptr<TlsStreams> tls_;  ///< outlives the rings, which send from it
  std::vector<std::unique_ptr<ClientRing>> rings_;
  std::vector<std::string> requests_;  ///< by topic, for each server
  IdTable ids_;                        ///< only if the plan keeps them
  /// While connecting, of streams whose request is theirs alone: with an ID or a token.
  std::unordered_map<std::uint32_t, std::string> own_requests_;
  Timers reopen_;
  Timers paced_;                       ///< slow streams, live, with no receive armed
  std::vector<std::uint32_t> parked_;  ///< stalled streams, live, with no receive armed
  bool resuming_ = false;
  bool storming_ = false;
  bool opened_again_ = false;
  std::uint32_t fresh_ = 0;      ///< the first stream that was not tried yet
  std::uint32_t fresh_end_ = 0;  ///< one past the last that may be
  std::uint32_t connecting_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t cpu_ns_ = 0;
};

}  // namespace ringcast::load
