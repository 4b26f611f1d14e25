#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/socket.h>

#include "ringcast/base/result.h"
#include "ringcast/uring/operation.h"

namespace ringcast::uring {

enum class Descriptors : std::uint8_t {
  direct,    ///< in the ring's own table; bounded by RLIMIT_NOFILE for each ring
  ordinary,  ///< in the process's table; bounded by RLIMIT_NOFILE for all rings together
};

struct RingOptions {
  std::uint32_t submissions = 1024;  ///< entries of the submission queue; a power of two
  std::uint32_t slots = 1024;        ///< connections at most
  Descriptors descriptors = Descriptors::direct;
  std::uint32_t receive_buffers = 256;  ///< shared by all connections; a power of two
  std::uint32_t receive_buffer_bytes = 2048;
  bool wake_by_message = true;  ///< IORING_OP_MSG_RING where it works; false: always by eventfd
};

/// The address of a peer; the kernel writes it while an accept is armed, so it must stay where it
/// is until the accept completes.
struct PeerAddress {
  sockaddr_storage address;
  socklen_t length;
};

struct Completion {
  Operation operation = Operation::none;
  Handle handle;
  std::int32_t result = 0;
  bool more = false;                  ///< receive: still armed
  std::span<const std::byte> data{};  ///< receive: valid until the next call of `next`
};

/// When the bytes of a send leave.
enum class Push : std::uint8_t {
  now,
  with_next,  ///< in one segment with the next send's, which follows at once (MSG_MORE)
};

/// A send that did not take everything. `result` is the count of bytes taken, or -errno.
struct SendFailure {
  std::uint32_t place;
  std::int32_t result;
};

enum class Closing : std::uint8_t {
  in_order,  ///< the kernel goes on delivering what it holds
  reset,     ///< the kernel drops what it holds and resets the peer: frees its memory at once
};

/// One io_uring instance, as narrow as the shard and the hub need it.
///
/// A concrete class on purpose: tests link a simulated one in its place (tests/sim), which has
/// these members and none of the kernel. Above this line everything is a slot; direct or ordinary
/// descriptors make no difference.
///
/// Threads: created, used and destroyed on one thread (IORING_SETUP_SINGLE_ISSUER), but for
/// `wake_from_outside`.
/// Blocking: only `wait`.
/// Errors: an operation's errno arrives in its completion. What only a bug can cause aborts.
class Ring {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Ring>> create(const RingOptions& options);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Each call prepares one operation; it reaches the kernel with the next `flush_sends` or `wait`.
  // All but sends complete exactly once through `next` (a receive: until `more` is false).

  /// Takes the next connection of a listening socket into `handle.slot`. One-shot.
  void accept(int listener, Handle handle, PeerAddress& peer);
  /// Receives into shared buffers until the end. Without `more`, and neither the end nor an error:
  /// arm again. So it is after -ENOBUFS (no buffer was free), and the kernel also stops after data
  /// when its completion queue was full.
  void receive(Handle handle);
  /// Completes when the socket has room to write, or failed. One-shot.
  void wait_writable(Handle handle);
  /// Ends our direction of the connection (FIN). May run on a kernel worker.
  void shutdown_write(Handle handle);
  /// Closes. Only when nothing else is outstanding on the slot, or the next connection in it would
  /// be given the old one's completions.
  void close(Handle handle, Closing how);
  /// Completes as Operation::poll when a descriptor that is not ours is ready for one of `events`
  /// (POLLIN, POLLOUT), or failed. One-shot. `handle` is the caller's own name for it. Before the
  /// descriptor is closed, cancel: an armed poll keeps the socket open.
  void poll(int descriptor, short events, Handle handle);
  /// Cancels an accept, receive, wait_writable or poll. Its own completion follows with -ECANCELED,
  /// unless it was already on its way; the cancel itself completes as Operation::cancel.
  void cancel(Operation operation, Handle handle);

  /// Sends now or not at all: what the socket does not take at once is reported by `flush_sends`,
  /// and the kernel keeps no reference to the bytes. At most one send for each slot between two
  /// flushes (two can be reordered). `place` is the caller's number for it. Should nothing follow
  /// what is to leave `with_next`, the kernel sends it after 200 ms (the least timeout of TCP).
  void send(Slot slot, std::span<const std::byte> bytes, std::uint32_t place,
            Push push = Push::now);
  /// The same for several spans. `message` must live until `flush_sends`.
  void send(Slot slot, const msghdr& message, std::uint32_t place);
  /// Submits everything and returns each send since the last flush that was refused or short, in
  /// any order. Afterwards the kernel holds no bytes of any send. Other completions stay for
  /// `next`.
  [[nodiscard]] std::span<const SendFailure> flush_sends();

  /// Wakes the thread that owns `other`, which sees a completion Operation::wake. Whoever may wake
  /// a ring keeps it from being destroyed until the call is over.
  void wake(Ring& other);
  /// The same from a thread that has no ring (signals, tests). Any thread.
  void wake_from_outside();

  /// Submits, and sleeps until a completion is there or `timeout` has passed; nothing = no limit.
  /// May return early with none, after a signal.
  void wait(std::optional<std::chrono::nanoseconds> timeout);
  /// The next completion that has arrived, in order; false when there is none now.
  [[nodiscard]] bool next(Completion& completion);

  [[nodiscard]] const RingOptions& options() const;
  /// Receive buffers that are not the kernel's: 1 while the last completion of `next` shows data.
  [[nodiscard]] std::uint32_t receive_buffers_held() const;

  /// Gives the pages of the receive buffers back to the system; what arrives takes new ones, one
  /// page fault each. The kernel goes round all buffers, so a burst of connections leaves all of
  /// them touched. Does nothing, and says false, while a completion waits for `next`: its data is
  /// in one of them.
  bool release_receive_memory();

 private:
  struct Impl;
  explicit Ring(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::uring
