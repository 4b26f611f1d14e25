#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/latency.h"
#include "load/meter.h"
#include "load/tls_streams.h"

namespace ringcast::load {

/// What streams got that were not read as the others are.
/// expected = deliveries + skipped + what is missing.
struct LaggardReport {
  std::uint64_t expected = 0;  ///< deliveries
  std::uint64_t deliveries = 0;
  std::uint64_t skipped = 0;      ///< behind a `gap`
  std::uint64_t unannounced = 0;  ///< jumped over without one
  std::uint64_t dropped = 0;      ///< times that the server ended one of them

  [[nodiscard]] std::uint64_t missing() const { return expected - deliveries - skipped; }
};

/// What the stalled streams got once they were read again.
struct StalledReport : LaggardReport {
  double seconds = 0;  ///< until all stood at the newest event
};

/// What the streams got that read slowly. They are waited for only with --stalled-resume.
struct SlowReport : LaggardReport {
  std::uint64_t readers = 0;
  std::uint32_t bytes_per_second = 0;
  Histogram latency;  ///< ns
};

/// What came of closing all streams at once.
struct StormReport {
  std::uint64_t closed = 0;
  std::uint64_t returned = 0;  ///< of them, each counted once
  std::uint64_t opens_failed = 0;
  double seconds =
      0;  ///< from the moment before the first was closed to the last one's first bytes

  std::uint64_t missed = 0;           ///< events that were published while all were closed
  std::uint64_t missed_expected = 0;  ///< their deliveries
  std::uint64_t missed_arrived = 0;
  /// From the first connection that was begun again to when the last stream was back: it had its
  /// head and what it had missed.
  double reopen_seconds = 0;
  Histogram back;  ///< ns, the same for each stream

  [[nodiscard]] double streams_per_second() const {
    return seconds > 0 ? static_cast<double>(returned) / seconds : 0;
  }
  [[nodiscard]] double reopened_per_second() const {
    return reopen_seconds > 0 ? static_cast<double>(returned) / reopen_seconds : 0;
  }
};

/// What came of opening streams behind events that were published before.
struct ReplayReport {
  std::uint64_t events = 0;    ///< published before
  std::uint64_t streams = 0;   ///< opened then: all but stream 0
  std::uint64_t returned = 0;  ///< of them, those that have what is due to them
  std::uint64_t expected = 0;  ///< deliveries
  std::uint64_t arrived = 0;
  double seconds = 0;  ///< from the first connection that was begun to the last stream's last event
  Histogram complete;  ///< ns, the same for each stream

  [[nodiscard]] double events_per_second() const {
    return seconds > 0 ? static_cast<double>(arrived) / seconds : 0;
  }
  [[nodiscard]] double streams_per_second() const {
    return seconds > 0 ? static_cast<double>(returned) / seconds : 0;
  }
};

/// Single topics beside broadcasts; they are in the totals too, but for latency.
struct MixedReport {
  std::uint64_t published = 0;
  std::uint64_t expected = 0;  ///< deliveries
  std::uint64_t deliveries = 0;
  std::uint64_t missing = 0;
  double publish_seconds = 0;
  Latency latency;   ///< ns
  Histogram answer;  ///< ns, of publications
};

/// What the bare subscribers of a channel got.
struct HeardReport {
  std::uint32_t subscribers = 0;
  std::uint64_t messages = 0;
  std::uint64_t missing = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t late = 0;
  std::uint64_t others = 0;  ///< of somebody else
  double seconds = 0;        ///< from the first publication to the last arrival
  Latency latency;           ///< ns
};

/// CPU of another process than the server, by thread.
struct WatchedReport {
  std::string name;
  ThreadUse idle_begin;
  ThreadUse idle_end;
  ThreadUse publish_begin;
  ThreadUse publish_end;
};

/// Everything that a run found out.
struct Report {
  std::string scenario;  ///< empty = none
  std::string failure;   ///< why it could not go on; empty = it went to its end

  std::uint32_t streams = 0;
  std::uint32_t stalled = 0;
  std::uint64_t open = 0;  ///< when publishing began
  double open_seconds = 0;
  std::uint64_t opens_failed = 0;
  std::uint64_t dropped = 0;
  std::uint64_t reconnects = 0;

  std::uint32_t frame_bytes = 0;
  std::uint64_t published = 0;
  std::uint64_t deferred = 0;
  double publish_seconds = 0;
  std::uint64_t expected = 0;  ///< deliveries
  std::uint64_t deliveries = 0;
  std::uint64_t missing = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t late = 0;
  std::uint64_t misrouted = 0;
  std::uint64_t gaps = 0;
  std::uint64_t other_events = 0;
  double delivery_seconds = 0;      ///< from the first publication to the last arrival
  Latency latency;                  ///< ns; without events that streams missed at first
  Histogram answer;                 ///< ns, of publications
  std::uint64_t receivers_min = 0;  ///< of a PUBLISH, as Redis said
  std::uint64_t receivers_max = 0;

  std::optional<StalledReport> resumed;  ///< with --stalled-resume
  std::optional<SlowReport> slow;        ///< with --slow-readers
  std::optional<StormReport> storm;      ///< with --storm
  std::optional<ReplayReport> replay;    ///< with --replay
  std::optional<MixedReport> mixed;      ///< with --topic-rate
  std::optional<HeardReport> heard;      ///< with --subscribers
  std::optional<TlsReport> tls;          ///< of the streams, if one of their servers speaks it
  std::vector<WatchedReport> watched;    ///< with --watch
  std::uint64_t deliveries_before = 0;   ///< publish_begin, in a replay
  double measured_seconds = 0;           ///< between publish_begin and publish_end

  struct Server {
    ProcessUse empty;       ///< before the streams
    ProcessUse idle_begin;  ///< with all streams
    ProcessUse idle_end;    ///< after --hold
    ProcessUse publish_begin;
    ProcessUse storm_begin;
    ProcessUse return_begin;  ///< all closed, what is missed is published
    ProcessUse return_end;    ///< of a replay; a storm's return ends with the storm
    ProcessUse storm_end;
    ProcessUse publish_end;
    ProcessUse published;  ///< with its memory, before stalled streams are read again
  };
  std::optional<Server> server;
  KernelUse kernel_empty;
  KernelUse kernel_open;
  KernelUse kernel_end;  ///< everything delivered, stalled streams still full
  double hold_seconds = 0;
  std::uint64_t reader_cpu_ns = 0;  ///< of the generator, and the next two
  std::uint64_t publisher_cpu_ns = 0;
  std::uint64_t listener_cpu_ns = 0;

  /// Every event arrived exactly once and in order on each stream that reads, no stream was lost
  /// that was not opened again, stalled streams that are read again were told of every hole, and
  /// every stream came back from a storm, and the same holds for messages and bare subscribers.
  [[nodiscard]] bool good() const;
  [[nodiscard]] double deliveries_per_second() const;
  /// The storm's share is not in it.
  [[nodiscard]] std::optional<double> cpu_ns_per_delivery() const;
  /// To close the streams of the storm and to take them back, for each.
  [[nodiscard]] std::optional<double> storm_cpu_ns_per_stream() const;
  /// To take them back alone, with what they had missed; only known if something was missed.
  [[nodiscard]] std::optional<double> storm_reopen_cpu_ns_per_stream() const;
  [[nodiscard]] std::optional<double> replay_cpu_ns_per_event() const;
  [[nodiscard]] double publications_per_second() const;
  [[nodiscard]] std::optional<double> pss_bytes_per_stream() const;
  [[nodiscard]] double slab_bytes_per_stream() const;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string json() const;
};

}  // namespace ringcast::load
