#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/uring/ring.h"

struct redisAsyncContext;
struct redisReply;

namespace ringcast::hub {

/// Hears of a RedisSocket. None of the calls may destroy it.
class SocketOwner {
 public:
  virtual ~SocketOwner() = default;
  virtual void on_connected() = 0;
  /// For each command, in their order; null when the connection was lost before the reply came.
  virtual void on_reply(const redisReply* reply) = 0;
  /// A message of a subscription, or the confirmation of one.
  virtual void on_message(const redisReply* reply) = 0;
  /// The connection is gone, and every command has been told of it. The reason is an error reply
  /// of Redis that answers no command, or else in words already.
  enum class ClosedBy : std::uint8_t { error_reply, other };
  virtual void on_closed(const std::string& reason, ClosedBy what) = 0;
};

/// hiredis' asynchronous connection, its descriptor polled by the hub's ring.
///
///     closed --open--> connecting --on_connected--> connected --on_closed--> closed
///
/// hiredis asks for reading and writing; that becomes one-shot polls. It writes into a buffer of
/// its own; `flush` gives that to the kernel, so that the commands of a turn leave in one write.
///
/// Threads: one. Blocking: nothing. SIGPIPE must be ignored: hiredis writes without MSG_NOSIGNAL.
class RedisSocket {
 public:
  /// Of a reply while it arrives; a larger one ends the connection. Two entries of the stream fit
  /// whatever `limits.event_bytes` is (64 MiB at most): one, and the one before it.
  static constexpr std::size_t kReplyBytesMax = std::size_t{129} << 20;

  /// Uses the poll handles of slots 2 * slot and 2 * slot + 1.
  RedisSocket(uring::Ring& ring, std::uint32_t slot, SocketOwner& owner);
  ~RedisSocket();
  RedisSocket(const RedisSocket&) = delete;
  RedisSocket& operator=(const RedisSocket&) = delete;

  /// `host` is a numeric address: nothing is looked up. The error is why it failed at once; the
  /// owner is not told then.
  [[nodiscard]] Result<void> open_tcp(const std::string& host, std::uint16_t port);
  [[nodiscard]] Result<void> open_unix(const std::string& path);
  /// Ends the connection and tells the owner; from within a call of the owner when that is over.
  void close(std::string_view reason);
  /// The same, and tells the owner nothing any more.
  void drop();

  /// Takes commands.
  [[nodiscard]] bool connected() const { return connected_ && !ending_; }
  [[nodiscard]] bool in_reply() const { return in_reply_; }
  void command(std::span<const std::string_view> arguments);
  void subscribe(std::span<const std::string_view> channels);

  [[nodiscard]] bool owns(uring::Handle handle) const;
  void on_poll(const uring::Completion& completion);
  /// Writes what the socket takes now.
  void flush();

  /// Bytes that came, of all connections together.
  [[nodiscard]] std::uint64_t received_bytes() const { return received_bytes_; }
  /// Reads what is here without waiting for a poll; false when nothing is.
  bool read_now();

 private:
  struct Hooks;  // what hiredis calls

  struct Poll {
    bool wanted = false;  ///< by hiredis
    bool armed = false;
  };

  [[nodiscard]] Result<void> adopt(redisAsyncContext* context);
  [[nodiscard]] uring::Handle read_handle() const;
  [[nodiscard]] uring::Handle write_handle() const;
  void arm_read();
  void arm_write();
  void read();
  void write();
  [[nodiscard]] std::size_t waiting_bytes() const;
  void note_end();
  void settle();
  [[nodiscard]] std::span<const char*> prepare(std::string_view command,
                                               std::span<const std::string_view> arguments);

  uring::Ring& ring_;
  std::uint32_t slot_;
  SocketOwner* owner_;  // null after drop
  redisAsyncContext* context_ = nullptr;
  std::uint32_t generation_ = 0;
  Poll reading_;
  Poll writing_;
  bool connected_ = false;
  bool announced_ = false;  // that it is connected
  bool ending_ = false;     // hiredis is about to free the context, or has
  bool in_hiredis_ = false;
  bool in_reply_ = false;
  std::string reason_;
  SocketOwner::ClosedBy closed_by_ = SocketOwner::ClosedBy::other;
  std::size_t reply_bytes_ = 0;  // that came since the last whole reply
  std::uint64_t received_bytes_ = 0;
  std::vector<const char*> pointers_;
  std::vector<std::size_t> lengths_;
};

}  // namespace ringcast::hub
