#pragma once

#include <string>

#include "ringcast/base/counter.h"

namespace ringcast::hub {

/// What the Redis store counts. The hub's thread writes, any thread reads.
struct alignas(64) RedisCounters {
  Counter commands_connected;  ///< gauge: 0 or 1, and the next two
  Counter tail_connected;
  Counter channel_connected;
  Counter reconnects;       ///< connections that were made after the first three
  Counter published;        ///< publications that Redis took
  Counter not_taken;        ///< that it did not
  Counter unknown;          ///< that it may have taken: no answer within publish_timeout_seconds
  Counter resent;           ///< appended again, after it was certain that they were not there
  Counter queue_events;     ///< gauge: publications without an answer
  Counter queue_bytes;      ///< gauge
  Counter entries;          ///< entries of the stream that were read
  Counter entries_invalid;  ///< that are no event
  Counter
      last_current_ms;     ///< unix milliseconds when this instance was last known to have read all
  Counter caught_up;       ///< gauge: 1 once everything that was there at start has been read
  Counter holes;           ///< times that history was trimmed before it was read
  Counter went_backwards;  ///< times that Redis was found to have lost events
  Counter history_pages;   ///< read for cursors that are older than the log
  Counter history_waiting;   ///< gauge
  Counter history_refused;   ///< while Redis was away, or too many waited
  Counter channel_messages;  ///< heard
  Counter channel_relayed;   ///< appended by this instance
  Counter channel_invalid;   ///< relayed by nobody: no event
  Counter channel_dropped;  ///< heard and lost: the queue of what is not in the stream yet was full
  Counter channel_queue;    ///< gauge: heard, and not in the stream yet
  Counter relay;            ///< gauge: 1 while this instance relays the channel
  Counter standing;         ///< gauge: 1 while this instance numbers the channel's messages
  Counter takeovers;        ///< times that it became the relay
};

/// Why a server with this store should get no new clients now, or an empty text. Any thread.
[[nodiscard]] std::string readiness(const RedisCounters& counters);

}  // namespace ringcast::hub
