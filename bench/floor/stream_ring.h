#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <liburing.h>

#include "ringcast/tls/context.h"
#include "ringcast/tls/record_cipher.h"
#include "ringcast/tls/record_layer.h"
#include "ringcast/tls/session.h"

namespace floor_bench {

/// For errors at start and for what only a broken kernel can do: this is a tool for a developer's
/// terminal. Returns `status` if it is not negative; -1 means errno, anything else -errno.
int checked(int status, const char* what);

struct Listeners {
  int plain = -1;
  int tls = -1;  ///< none if negative
};

struct Published {
  std::string id;
  std::string chunk;
};

/// What all rings of a thread share.
struct Shared {
  int bell = -1;  ///< an eventfd that each ring rings when it has work
  std::shared_ptr<const ringcast::tls::Context> tls;  ///< none if nothing speaks TLS
  ringcast::tls::RecordCipher cipher{};
  std::string opening{};               ///< what a new stream gets now
  std::vector<Published> published{};  ///< by the clients, not fanned out yet
  std::vector<std::byte> records{};    ///< of one batch
  std::uint64_t short_sends = 0;
};

/// One io_uring and the connections in its table.
///
///                 receive: a request                          receive: the end
///   accept ─► reading ──────────────► plain, secure (streams) ──────────────► slot free
///                └─ a publication: 204, and reading goes on
///
/// A connection has one operation armed from its beginning to its end: a multishot receive. Its
/// last completion is what closes the slot, so that nothing of the old connection can reach the
/// next one in it. A send that fails says nothing new: the receive ends as well.
///
/// Threads: created, used and destroyed on one.
class StreamRing {
 public:
  StreamRing(Shared& shared, Listeners listeners, std::uint32_t slots);
  ~StreamRing();
  StreamRing(const StreamRing&) = delete;
  StreamRing& operator=(const StreamRing&) = delete;

  /// Whether `turn` would find something. Looks at memory only. After `turn` it may go on to say
  /// so in vain, until the kernel next has something (seen on 6.18).
  [[nodiscard]] bool has_work() const;

  /// Takes what has arrived, until there is nothing to answer or something was published. Returns
  /// how much there was. All that was prepared is submitted, so `Shared::opening` may change.
  unsigned turn();

  /// One send for each stream. What a socket does not take at once is only counted, in a turn.
  void send_all(std::string_view chunk);

  /// From now on, or no more, it takes connections.
  void listen();
  void stop_listening();
  /// Fewer slots are free than connections may come before it has stopped to listen.
  [[nodiscard]] bool crowded() const { return room() < reserve_; }
  /// Takes long enough to be crowded again.
  [[nodiscard]] bool roomy() const { return room() >= 2 * reserve_; }

  /// Of the table: streams and connections that are not streams yet.
  [[nodiscard]] std::uint32_t connections() const { return connections_; }

 private:
  enum class Operation : std::uint8_t { accept, accept_tls, receive, send, other };
  enum class State : std::uint8_t { free, reading, plain, secure };
  struct Connection {
    State state = State::free;
    std::uint32_t place = 0;  ///< of a stream, in its list
  };
  struct SecureStream {
    std::uint32_t slot;
    ringcast::tls::RecordLayer layer;
  };
  struct Reading {
    std::string bytes;  ///< of a request that is not whole
    std::unique_ptr<ringcast::tls::Session> session;
  };

  io_uring_sqe* prepare();
  void submit();
  void register_buffers();
  [[nodiscard]] std::size_t room() const { return table_.size() - connections_; }
  void accept(Operation operation);
  void cancel(std::uint64_t user_data);
  void receive(std::uint32_t slot);
  void send(std::uint32_t slot, const void* bytes, std::size_t count);
  void say(std::uint32_t slot, std::string bytes);
  void drop(std::uint32_t slot);

  void take(const io_uring_cqe& completion);
  void accepted(const io_uring_cqe& completion, Operation operation);
  void received(const io_uring_cqe& completion, std::uint32_t slot);
  void read(std::uint32_t slot, std::string_view bytes);
  void read_records(std::uint32_t slot, Reading& reading, std::string_view records);
  void take_request(std::uint32_t slot, std::string_view bytes, Reading* reading);
  void answer(std::uint32_t slot, Reading* reading, std::string text);
  void open_secure(std::uint32_t slot, ringcast::tls::Session& session);
  void ended(std::uint32_t slot);
  void send_all_sealed(std::string_view chunk);

  Shared& shared_;
  const Listeners listeners_;
  io_uring ring_{};
  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* buffers_ = nullptr;
  std::vector<Connection> table_;
  std::vector<std::uint32_t> plain_;  ///< slots
  std::vector<SecureStream> secure_;
  std::unordered_map<std::uint32_t, Reading> reading_;  ///< those that need more than one receive
  std::deque<std::string> said_;  ///< what is sent once, until it is submitted
  std::uint32_t connections_ = 0;
  const std::uint32_t reserve_;
  bool listening_ = false;
  std::uint32_t listened_ = 0;  ///< how often it has stopped; tells the accepts of each time apart
};

}  // namespace floor_bench
