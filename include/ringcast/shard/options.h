#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ringcast/base/event_id.h"
#include "ringcast/base/token_bucket.h"

namespace ringcast::shard {

enum class SlowConsumer : std::uint8_t {
  disconnect,  ///< ended, so that it resumes with its cursor
  skip,        ///< told with a `gap`, goes on with the oldest kept event
};

/// What a client that is over a limit is told.
enum class Refusal : std::uint8_t {
  automatic,  ///< `retry` for a request whose Accept names text/event-stream, else `status`
  status,     ///< 503 or 429 with Retry-After
  retry,      ///< 200, a jittered `retry:`, the event `refused`, the end
};

/// Names of the events that the server itself sends.
struct ServerEventNames {
  std::string heartbeat = "heartbeat";
  std::string gap = "gap";
  std::string refused = "refused";
  std::string closing = "closing";
};

struct StreamOptions {
  std::uint32_t heartbeat_ms = 15'000;  ///< 0 = never
  std::uint32_t retry_ms = 3'000;
  SlowConsumer slow_consumer = SlowConsumer::disconnect;
  bool replay_on_connect = false;
  ServerEventNames names;
};

struct HistoryOptions {
  std::size_t events = 65'536;
  std::size_t bytes = std::size_t{16} << 20;
};

struct LimitOptions {
  std::uint32_t event_bytes = 65'536;
  std::uint32_t header_bytes = 8'192;
  std::uint32_t connect_per_second = 0;  ///< 0 = no limit
  std::uint32_t connect_burst = 0;       ///< 0 = one second's worth
  std::uint32_t streams_per_address = 0;
  std::uint32_t connect_per_second_per_address = 0;
  std::uint32_t publish_per_second_per_user = 0;
  std::uint32_t login_per_minute_per_address = 10;
  std::uint32_t login_per_minute_per_user = 30;
  std::uint32_t stream_sends_per_second = 0;  ///< at most kStreamSendsPerSecondMax
  std::uint32_t header_seconds = 10;
  std::uint32_t body_seconds = 30;
  Refusal refusal = Refusal::automatic;
};

/// What encrypts a stream under TLS 1.3; one under TLS 1.2 always has its `SSL` object.
enum class StreamRecords : std::uint8_t {
  own,      ///< tls::RecordLayer, 160 bytes
  openssl,  ///< the `SSL` object of its handshake, 16 KB
};

struct TlsOptions {
  std::uint32_t handshake_seconds = 10;  ///< a handshake must be done within
  std::uint32_t handshakes_max = 256;    ///< under way at a time; more wait to be accepted
  StreamRecords records = StreamRecords::own;

  friend bool operator==(const TlsOptions&, const TlsOptions&) = default;
};

/// Sends are spaced by whole milliseconds.
inline constexpr std::uint32_t kStreamSendsPerSecondMax = 1'000;
/// The encoded frame of an event may be this many times its body (every byte a line end).
inline constexpr std::size_t kFrameBytesFactor = 8;
/// Topics of one stream at most.
inline constexpr std::size_t kTopicsPerStreamMax = 64;

/// Slots beside those of `streams`, so that a full server answers instead of letting clients hang.
[[nodiscard]] constexpr std::uint32_t slots_in_reserve(std::uint32_t streams) {
  constexpr std::uint32_t kLeast = 16;
  constexpr std::uint32_t kMost = 512;
  return streams / 32 < kLeast ? kLeast : (streams / 32 > kMost ? kMost : streams / 32);
}

struct ShardOptions {
  std::uint32_t index = 0;  ///< of this shard
  std::uint32_t shards = 1;
  std::uint32_t slots = 1024;       ///< connections at most
  std::uint32_t streams_max = 960;  ///< the other slots are for requests, and to say "no" with
  std::uint32_t drain_ms = 10'000;
  EventId floor{};             ///< the newest ID at start
  bool accept_at_once = true;  ///< false: only after Shard::begin_accepting
  bool older_history = false;  ///< the event store holds more than the log: see hub::EventStore
  /// Connections that have a page of older history at a time. 512 x hub::kHistoryPageBytes is what
  /// all pages of a shard take at most, and publishers keep half of the commands in flight.
  std::size_t history_places = 512;
  StreamOptions stream;
  HistoryOptions history;
  LimitOptions limits;
  TlsOptions tls;
};

/// A listening socket.
struct Listener {
  int descriptor = -1;
  bool tls = false;  ///< its clients speak TLS; Policy::tls is not null then
};

}  // namespace ringcast::shard
