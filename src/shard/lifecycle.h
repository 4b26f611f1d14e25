#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "ringcast/base/ip_address.h"

#include "context.h"

namespace ringcast::shard {

/// A slot's way from accept to close. It alone arms and disarms operations, and it alone frees
/// slots, so the rule "a slot is free only after its last completion" is kept in one place.
class Lifecycle {
 public:
  /// `accepts_max` are armed at most, and at least one for each listener.
  Lifecycle(Context& context, std::vector<Listener> listeners, std::size_t accepts_max);

  // --- accepting

  struct AcceptLimits {
    std::size_t connections;      ///< that there is memory for
    std::size_t each_listener;    ///< accepts at one listener
    std::size_t tls_connections;  ///< at listeners that speak TLS, all together
  };
  /// Keeps a pool of accepts armed while there are slots. Each has an address buffer of its own.
  void arm_accepts(const AcceptLimits& limits);
  /// Takes no more connections. Those whose accept is already on its way are closed.
  void stop_accepting();
  struct Accepted {
    uring::Slot slot;
    IpAddress peer;
    bool tls;  ///< of the listener
  };
  /// A new connection, its receive armed; nothing if the accept failed.
  [[nodiscard]] std::optional<Accepted> on_accept(const uring::Completion& completion);
  [[nodiscard]] std::uint64_t next_accept_try_ns() const { return accept_retry_at_ns_; }

  // --- while open

  void arm_receive(uring::Slot slot);
  void pause_receive(uring::Slot slot);
  void arm_writable(uring::Slot slot);

  // --- ending; the caller has given back what the slot's phase owned

  /// Ends our direction, reads and drops what comes until the peer's end or `kLingerMs`, then
  /// aborts.
  void finish(uring::Slot slot);
  /// Cancels what is armed and closes when the last completion is there. What the kernel holds for
  /// the peer is dropped, so that a client that does not read costs no memory any more.
  void abort(uring::Slot slot);
  /// The same, but what the kernel holds for the peer is delivered.
  void close(uring::Slot slot);
  /// Closes those that lingered too long. Returns when to call again, or 0.
  [[nodiscard]] std::uint64_t expire_lingering();

  // --- completions

  /// A receive ended (`more` was false).
  void on_receive_end(uring::Slot slot);
  void on_writable(uring::Slot slot);
  void on_cancel(uring::Slot slot);
  void on_shutdown(uring::Slot slot);
  void on_close(uring::Slot slot);

  [[nodiscard]] bool accepts_armed() const { return accepts_armed_ > 0; }
  /// Slots without a connection, those of armed accepts included.
  [[nodiscard]] std::size_t slots_free() const {
    return context_.table.slots() - context_.table.in_use() + accepts_armed_;
  }
  /// Accepts that are armed when nothing is short.
  [[nodiscard]] std::size_t accepts_wanted() const { return accepts_.size(); }

 private:
  struct Accept {
    uring::PeerAddress peer;
    uring::Handle handle;
    std::uint32_t listener = 0;
    bool armed = false;
  };

  void cancel(uring::Operation operation, uring::Slot slot);
  /// The last completion of a slot that is being torn down closes it, or frees one that never
  /// opened.
  void settle_if_quiet(uring::Slot slot);

  Context& context_;
  std::vector<Listener> listeners_;
  std::vector<std::size_t> armed_at_;  // by listener
  std::deque<Accept> accepts_;
  std::size_t accepts_armed_ = 0;
  std::size_t tls_accepts_armed_ = 0;  // of them
  std::size_t next_accept_ = 0;        // behind the one that was armed last
  bool accepting_ = true;
  std::uint64_t accept_retry_at_ns_ = 0;
};

}  // namespace ringcast::shard
