#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ringcast/uring/ring.h"

#include "network.h"
#include "world.h"

namespace ringcast::sim {

/// The kernel's side of a simulated uring::Ring: takes prepared operations, answers them late and
/// in any order that the real one may, and fails the run when its user breaks the contract of Ring.
///
/// An operation on a slot:
///
///    prepared --submit--> armed --what it waits for, an error, a cancel--> done --next--> gone
///
/// It is outstanding until `next` has handed out its completion. `close` with anything outstanding,
/// and a second send between two flushes, are failures of the run.
class RingCore final : public ServerSide {
 public:
  RingCore(World& world, Network& network, const uring::RingOptions& options);
  ~RingCore() override;

  // --- what uring::Ring calls

  void accept(int listener, uring::Handle handle, uring::PeerAddress& peer);
  void arm(uring::Operation operation, uring::Handle handle);
  void close(uring::Handle handle, uring::Closing how);
  void cancel(uring::Operation operation, uring::Handle handle);
  void send(uring::Slot slot, std::span<const std::byte> bytes, const msghdr* message,
            std::uint32_t place, uring::Push push = uring::Push::now);
  [[nodiscard]] std::span<const uring::SendFailure> flush_sends();
  void wake(RingCore& other);
  [[nodiscard]] bool next(uring::Completion& completion);
  [[nodiscard]] const uring::RingOptions& options() const { return options_; }

  // --- what the driver calls

  /// What `wait` would do before it sleeps.
  void submit();
  void wake_late();
  [[nodiscard]] bool has_completions() const { return !arrived_.empty(); }
  /// Something was prepared or taken since the last call.
  [[nodiscard]] bool take_activity() { return std::exchange(active_, false); }
  /// An empty text when nothing is outstanding and every slot is free.
  [[nodiscard]] std::string leftovers() const;

  /// Where the log stands now; noted with every request that is handed out.
  std::function<Kept()> kept;
  void note_turn_end();

  // --- what the network calls

  void on_backlog(int listener) override;
  void on_readable(std::uint32_t slot) override;
  void on_writable(std::uint32_t slot) override;

 private:
  enum class State : std::uint8_t { none, prepared, armed, done };
  static constexpr std::size_t kOperations = static_cast<std::size_t>(uring::Operation::send) + 1;

  struct SlotState {
    enum class Phase : std::uint8_t { free, accepting, open, closing } phase = Phase::free;
    uring::Handle handle;
    Connection* connection = nullptr;
    State operations[kOperations] = {};
    std::uint32_t armings[kOperations] = {};  // a cancel means one arming, not the next
    std::uint32_t cancels = 0;
    std::uint32_t sends = 0;            // since the last flush
    std::uint64_t last_receive_ns = 0;  // completions of a receive keep their order
    int listener = -1;
    uring::PeerAddress* peer = nullptr;
    uring::Closing closing = uring::Closing::in_order;
  };
  struct Prepared {
    uring::Operation operation;
    uring::Handle handle;
    uring::Operation target = uring::Operation::none;  // of a cancel
    std::span<const std::byte> bytes{};
    const msghdr* message = nullptr;
    std::uint32_t place = 0;
    uring::Push push = uring::Push::now;
  };
  struct Arrived {
    uring::Completion completion;
    std::string data;
  };

  [[nodiscard]] SlotState* checked(uring::Handle handle, const char* what);
  [[nodiscard]] State& state(SlotState& slot, uring::Operation operation) {
    return slot.operations[static_cast<std::size_t>(operation)];
  }
  [[nodiscard]] std::string outstanding(const SlotState& slot) const;
  void prepare(const Prepared& prepared);
  void run(const Prepared& prepared);
  void run_send(const Prepared& prepared);
  void run_cancel(const Prepared& prepared);
  void finish(SlotState& slot, uring::Operation operation, int result);
  void post(const uring::Completion& completion, std::string data, std::uint64_t when_ns);
  void try_accept(int listener);
  void complete_accept(SlotState& slot, Connection& connection);
  void pump_receive(SlotState& slot);
  void pump_writable(SlotState& slot, bool may_be_spurious);
  void consumed(const uring::Completion& completion);

  World& world_;
  Network& network_;
  uring::RingOptions options_;
  std::size_t number_;
  std::vector<SlotState> slots_;
  std::map<int, std::vector<std::uint32_t>> accepting_;  // armed accepts of each listener
  std::vector<Prepared> prepared_;
  std::vector<uring::SendFailure> failures_;
  std::vector<uring::SendFailure> reported_;
  std::deque<Arrived> arrived_;
  std::string lent_;  // what the last completion shows
  std::uint32_t buffers_out_ = 0;
  bool active_ = false;
};

[[nodiscard]] const char* name_of(uring::Operation operation);

}  // namespace ringcast::sim
