#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/base/ip_address.h"
#include "ringcast/http/request.h"
#include "ringcast/tls/session.h"
#include "ringcast/uring/ring.h"

namespace ringcast::shard {

/// Which deadline a connection runs under. Each kind has one fixed length, so a list in the order
/// of joining is also in the order of expiry.
enum class Deadline : std::uint8_t {
  none,
  hello,       ///< a handshake of TLS must begin
  handshake,   ///< it must be done
  head,        ///< the request head must be whole
  body,        ///< the body must be whole
  keep_alive,  ///< the next request must begin
  write,       ///< the client must take the answer
  password,    ///< the password must be checked
  page,        ///< the client must take a page of history, if others wait for its place
};
inline constexpr std::size_t kDeadlineKinds = 9;

/// What happens once the output is out.
enum class AfterOutput : std::uint8_t {
  next_request,
  close,
  become_stream,
  catch_up,  ///< the next page of history, or become a stream
};

/// What a connection has because it speaks TLS.
struct SecureConnection {
  std::unique_ptr<tls::Session> session;  ///< made when its first step is taken
  std::string arrived;                    ///< waits for that: see Requests::go_on_with_handshakes
  std::string leaving;                    ///< records
};

/// A connection in its request phase. Pooled; a stream gives it back.
///
///   reading --request--> answering ----output out----> reading | lingering | stream
///      |                     ^
///      '------------> waiting (for the hub's reply, a password to be checked, the log to reach
///                     a position, or a place to ask for history)
struct Connection {
  enum class State : std::uint8_t { reading, waiting, answering };
  /// A limit that the connection was over when it was accepted: it is told so.
  enum class Over : std::uint8_t { none, shard, address };

  /// What is reset when the connection goes back to the pool.
  struct Progress {
    uring::Slot slot{};
    State state = State::reading;
    AfterOutput after = AfterOutput::next_request;
    Deadline deadline = Deadline::none;
    Over over = Over::none;            ///< accepted only to be told so
    bool tls = false;                  ///< speaks TLS, or is to
    bool in_handshake = false;         ///< of TLS, or is to begin one
    bool counts_as_handshake = false;  ///< among those under way: it has begun
    bool handshake_queued = false;     ///< what has arrived waits for its turn
    bool continue_sent = false;        ///< 100 Continue for this request
    bool receive_paused = false;       ///< too much input waits; the receive is being cancelled
    bool ended_by_peer = false;        ///< no more input will come; the answer still goes out
    bool next_queued = false;          ///< its next request is to be looked at in the next turn
    bool output_queued = false;        ///< in the list of connections with output
    bool output_blocked = false;       ///< waits until the socket can be written
    bool reply_keep_alive = true;      ///< of the request that waits for the hub
    bool stream_reserved = false;      ///< counts as a stream already, with `topic_set` interned
    std::uint32_t topic_set = 0;
    std::uint32_t owner = 0xffff'ffff;  ///< of the stream that is reserved
    std::uint64_t request_id = 0;
    std::size_t input_used = 0;  ///< of `input`, taken by the parser
    std::size_t output_sent = 0;
    std::uint64_t waits_for_position = 0;  ///< of the inbox, before the stream can be opened
    /// Of a stream that is served from the store's history before it joins the log.
    struct History {
      EventId position;  ///< the client has everything up to here, or was told of the gap
      bool catching_up = false;
      bool began = false;  ///< the head is out, or on its way
      /// Of the inbox, once known: when it is read up to here, the log has come to `position`.
      std::optional<std::uint64_t> log_there_at;
      bool holds_place = false;  ///< among those that may have a page at a time
    } history;
    std::uint64_t deadline_since_ns = 0;
  };

  explicit Connection(const http::ParserLimits& limits) : parser(limits) {}

  Progress at;
  std::uint32_t serial = 0;  ///< counts requests for ever; a late reply to an older one is dropped
  http::RequestParser parser;
  /// What has arrived and waits to be parsed.
  [[nodiscard]] std::string_view pending_input() const {
    return std::string_view(input).substr(at.input_used);
  }

  /// Bytes of it, and of records that wait for their turn.
  [[nodiscard]] std::size_t waiting_bytes() const {
    return pending_input().size() + (secure ? secure->arrived.size() : 0);
  }

  /// For a page of older events, a place to ask for one, or the log that comes after the last.
  [[nodiscard]] bool waits_for_history() const {
    return at.state == State::waiting && at.history.catching_up;
  }

  IpAddress peer;    ///< of the connection: a client or a proxy
  std::string user;  ///< who wants to sign in

  std::string input;  ///< arrived behind the current request (pipelining)
  std::string output;
  std::unique_ptr<SecureConnection> secure;  ///< once something has arrived under TLS

  // Of the deadline list.
  std::uint32_t next = 0xffff'ffff;
  std::uint32_t previous = 0xffff'ffff;
};

/// Pool of connections, bounded, growing and shrinking with use. Handles are indexes.
class ConnectionPool {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = 0xffff'ffff;

  ConnectionPool(std::size_t size_max, const http::ParserLimits& limits)
      : size_max_(size_max), limits_(limits) {}

  [[nodiscard]] Handle take();
  void give_back(Handle handle);
  /// Those that wait in the pool are made anew when they are needed.
  void release_memory();
  [[nodiscard]] Connection& operator[](Handle handle) { return *connections_[handle]; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t size_max() const { return size_max_; }
  [[nodiscard]] std::size_t free_count() const { return size_max_ - size(); }

 private:
  void free_memory(Handle handle);

  std::size_t size_max_;
  http::ParserLimits limits_;
  std::vector<std::unique_ptr<Connection>> connections_;  // null: free, and given back
  std::vector<std::uint32_t> serials_;                    // of those
  std::vector<Handle> free_kept_;
  std::vector<Handle> free_;  // and null
  std::size_t size_ = 0;
};

/// Connections under one kind of deadline, oldest first.
class DeadlineList {
 public:
  void push_back(ConnectionPool& pool, ConnectionPool::Handle handle);
  void remove(ConnectionPool& pool, ConnectionPool::Handle handle);
  [[nodiscard]] bool empty() const { return first_ == ConnectionPool::kNone; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] ConnectionPool::Handle front() const { return first_; }

 private:
  ConnectionPool::Handle first_ = ConnectionPool::kNone;
  ConnectionPool::Handle last_ = ConnectionPool::kNone;
  std::size_t size_ = 0;
};

}  // namespace ringcast::shard
