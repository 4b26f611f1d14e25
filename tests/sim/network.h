#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/uring/ring.h"

#include "world.h"

namespace ringcast::sim {

class Connection;

/// What the program behind the client's socket is told. Called from the timeline.
class ClientSide {
 public:
  virtual ~ClientSide() = default;
  virtual void on_bytes(std::string_view bytes) = 0;
  /// No more bytes will come: the server's FIN (`clean`), or a reset.
  virtual void on_end(bool clean) = 0;
};

/// What the ring that holds the server's end is told.
class ServerSide {
 public:
  virtual ~ServerSide() = default;
  virtual void on_backlog(int listener) = 0;
  virtual void on_readable(std::uint32_t slot) = 0;
  virtual void on_writable(std::uint32_t slot) = 0;
};

/// How one client and its line behave.
struct Line {
  std::size_t window_bytes = 1 << 20;  ///< that the server can send ahead of the client's reading
  std::size_t read_bytes_max = 1 << 20;
  std::uint64_t read_delay_ns_max = 100'000;
  std::size_t piece_bytes_max = 4096;  ///< of what the client sends
  std::uint64_t piece_delay_ns_max = 100'000;
  bool fair = true;  ///< the kernel does nothing nasty to its sends
};

/// One TCP connection, seen from both ends. The pipe to the server is delivered in random pieces;
/// the pipe to the client is a bounded buffer that the client empties at its own pace.
///
///     client --write--> pieces in flight --> received ----read--> server
///            <--read---- outbound (<= window) <-----------take---
///
/// An error is given once, to whatever asks first (a send or a receive), as sk_err is; after it
/// sends get EPIPE and receives the end.
class Connection {
 public:
  Connection(World& world, std::uint32_t number, const Line& line, ClientSide& client);

  [[nodiscard]] std::uint32_t number() const { return number_; }

  // --- the client's end

  void write(std::string_view bytes);
  void half_close();
  /// Closes cleanly; unread bytes or later ones from the server cause a reset.
  void leave();
  void reset();
  /// The cable is cut: nothing moves any more, and much later the server's kernel gives up.
  void vanish();
  void set_reading(bool reading);
  void set_line(const Line& line) { line_ = line; }
  [[nodiscard]] bool client_gone() const { return client_gone_; }
  [[nodiscard]] bool vanished() const { return vanished_; }

  // --- the server's end; only RingCore calls these

  void attach(ServerSide& server, std::uint32_t slot);
  [[nodiscard]] std::size_t readable_bytes() const { return received_.size(); }
  [[nodiscard]] std::string read(std::size_t bytes);
  /// Set when the receive queue is empty and something final is to be said: 0 or an errno.
  [[nodiscard]] std::optional<int> receive_end();
  /// Takes bytes; the count, or -errno. Those that leave with the next are held until then, until
  /// the end, or for as long as the kernel holds them.
  [[nodiscard]] int take(std::string_view bytes, uring::Push push);
  [[nodiscard]] bool writable() const;
  void server_shutdown();
  /// Lets go of the connection. With `reset`, or with bytes that nobody has read, the client gets a
  /// reset and what had not arrived is lost; otherwise it still gets everything.
  void server_close(bool reset);

  /// A send was ever refused, short or failed: the server must think it slow or broken.
  [[nodiscard]] bool ever_held_back() const { return ever_held_back_; }
  /// Bytes that were to leave with the next did.
  [[nodiscard]] bool left_together() const { return left_together_; }
  /// A send failed for no reason that the client gave.
  [[nodiscard]] bool send_failed() const { return send_failed_; }
  /// The server ended its direction in order; if the client does not read to the end, that is its
  /// doing.
  [[nodiscard]] bool server_finished() const { return server_fin_; }
  [[nodiscard]] bool server_closed() const { return server_closed_; }
  /// Bytes of requests that the server has taken.
  [[nodiscard]] std::uint64_t bytes_taken() const { return bytes_taken_; }
  /// Bytes of answers were lost when the server closed.
  [[nodiscard]] bool lost_bytes() const { return lost_bytes_; }
  /// When it was accepted; 0 = not yet.
  [[nodiscard]] std::uint64_t accepted_ns() const { return accepted_ns_; }

  /// When the server was handed the client's bytes up to this one; nothing if not yet.
  [[nodiscard]] std::optional<std::uint64_t> taken_ns(std::uint64_t bytes) const;

  // --- what the log kept around the moment of the server's first answer
  //
  // Under TLS a handshake comes before request and answer, so the client tells where in the two
  // directions they are.

  /// Before anything is written: the first bytes are not the answer.
  void keep_answers() { answers_kept_ = true; }
  void request_ends_at(std::uint64_t bytes) { request_end_ = bytes; }
  /// The answer's first byte is one of the first `bytes` that the client has got.
  void answer_begins_before(std::uint64_t bytes);
  void note_request_bytes(std::size_t bytes, const Kept& kept);
  void note_turn_end(const Kept& kept);
  [[nodiscard]] const Kept& kept_at_request() const { return kept_at_request_; }
  [[nodiscard]] const Kept& kept_at_answer() const { return kept_at_answer_; }
  [[nodiscard]] bool answered() const { return answered_; }

 private:
  friend class Network;

  [[nodiscard]] std::size_t room() const {
    return line_.window_bytes > outbound_.size() ? line_.window_bytes - outbound_.size() : 0;
  }
  void arrive(const std::string& piece);
  void deliver_end(int error);
  [[nodiscard]] std::size_t arrived_bytes() const { return outbound_.size() - held_; }
  void hold(std::size_t bytes);
  void let_go();
  void reset_client();
  void schedule_read();
  void read_now();

  World& world_;
  std::uint32_t number_;
  Line line_;
  ClientSide& client_;
  ServerSide* server_ = nullptr;
  std::uint32_t slot_ = 0;

  std::uint64_t last_arrival_ns_ = 0;  // pieces keep their order
  std::string received_;
  bool fin_sent_ = false;
  bool fin_received_ = false;
  int error_ = 0;      // sk_err
  bool dead_ = false;  // error_ was set once
  bool vanished_ = false;
  bool client_gone_ = false;

  std::string outbound_;
  std::size_t held_ = 0;  // of its end: to leave with what is sent next
  std::uint32_t holds_ = 0;
  bool left_together_ = false;
  bool reading_ = true;
  bool read_scheduled_ = false;
  bool server_fin_ = false;
  bool server_reset_ = false;
  bool server_closed_ = false;
  bool end_told_ = false;
  bool ever_held_back_ = false;
  bool send_failed_ = false;
  bool lost_bytes_ = false;
  std::uint64_t bytes_taken_ = 0;
  std::uint64_t accepted_ns_ = 0;

  /// Of what the server was handed, and when.
  struct Taken {
    std::uint64_t bytes;
    std::uint64_t when_ns;
  };
  std::vector<Taken> taken_;
  /// Of what the server has sent at the end of a turn, and what the log kept then.
  struct Answer {
    std::uint64_t bytes;
    Kept kept;
  };
  std::vector<Answer> answers_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t request_end_ = 0;
  bool answers_kept_ = false;

  bool answered_ = false;
  bool answer_in_this_turn_ = false;
  bool answer_noted_ = false;
  Kept kept_at_request_;
  Kept kept_at_answer_;
};

/// Listeners and the connections that wait at them.
class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  [[nodiscard]] int listen();
  /// Connections that still wait are reset.
  void close_listener(int listener);
  Connection& connect(int listener, const Line& line, ClientSide& client);

  /// From now on the ring is told of what waits at the listener.
  void watch(int listener, ServerSide& server);
  [[nodiscard]] Connection* take_waiting(int listener);
  void put_back(int listener, Connection& connection);

  [[nodiscard]] const std::deque<std::unique_ptr<Connection>>& connections() const {
    return connections_;
  }

 private:
  static constexpr int kFirstListener = 1000;
  struct Listener {
    std::deque<Connection*> waiting;
    ServerSide* server = nullptr;
    bool open = true;
  };

  World& world_;
  std::vector<Listener> listeners_;
  std::deque<std::unique_ptr<Connection>> connections_;  // all of the run: callbacks point at them
};

}  // namespace ringcast::sim
