#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <liburing.h>

#include "ringcast/base/result.h"

namespace ringcast::load {

/// One io_uring of the client's side: a table of sockets of its own (direct descriptors), so that
/// the process holds more streams than it may open files, and receive buffers that its streams
/// share.
///
/// A slot's life:  adopt ─► open (connect ─► send ─► receive, one linked chain) ─► receive … ─►
/// adopt
///
/// Of the chain only a failure of connect or send completes, which cancels the rest without any
/// completion; so each attempt has exactly one last completion.
///
/// Threads: created, used and destroyed on one (IORING_SETUP_SINGLE_ISSUER). Never blocks.
class ClientRing {
 public:
  struct Options {
    std::uint32_t slots = 0;              ///< at most RLIMIT_NOFILE
    std::uint32_t receive_buffers = 256;  ///< a power of two
    std::uint32_t receive_buffer_bytes = 4096;
  };
  /// `send` is that of `open`, `send_more` that of the function.
  enum class Step : std::uint8_t { connect, send, receive, shutdown, send_more };
  struct Completion {
    Step step = Step::receive;
    std::uint32_t slot = 0;
    std::int32_t result = 0;
    bool more = false;         ///< a receive that stays armed
    std::string_view bytes{};  ///< valid during the call
  };
  enum class Receive : std::uint8_t { once, until_end };

  [[nodiscard]] static Result<std::unique_ptr<ClientRing>> create(const Options& options);
  ~ClientRing();
  ClientRing(const ClientRing&) = delete;
  ClientRing& operator=(const ClientRing&) = delete;

  /// Puts ordinary descriptors into neighbouring slots; what was in these is closed. The caller
  /// closes its own copies.
  [[nodiscard]] Result<void> adopt(std::uint32_t first_slot, std::span<const int> descriptors);

  /// Connects, sends the request and begins to receive. Address and request stay until a completion
  /// of the slot arrives.
  void open(std::uint32_t slot, const sockaddr* address, socklen_t address_bytes,
            std::string_view request, Receive receive, std::uint32_t bytes = 0);
  /// `bytes`: at most so many at once; 0 = a buffer full. Only of Receive::once.
  void receive(std::uint32_t slot, Receive receive, std::uint32_t bytes = 0);
  /// Completes in any case; `bytes` stay until then. One at a time, or their order is lost.
  void send_more(std::uint32_t slot, std::string_view bytes);
  /// Ends the connection; an armed receive completes with 0 or an error.
  void shutdown(std::uint32_t slot);

  /// An eventfd for edge-triggered epoll: an edge says that completions wait, after `drain` has
  /// found none. (The ring's own descriptor would not do: under DEFER_TASKRUN work that arrives
  /// wakes nobody who polls it.)
  [[nodiscard]] int bell() const { return bell_; }

  /// Submits what was prepared.
  void submit();
  /// Submits, then hands over completions until none is left (true) or `limit` of them were handled
  /// (false: there may be more, and no edge tells). Calls `on_batch()` before each group of
  /// completions: the moment to read the clock.
  template <class OnBatch, class OnCompletion>
  [[nodiscard]] bool drain(unsigned limit, OnBatch&& on_batch, OnCompletion&& on_completion) {
    constexpr unsigned kGroup = 64;
    io_uring_cqe* group[kGroup];
    unsigned handled = 0;
    while (handled < limit) {
      io_uring_submit_and_get_events(&ring_);
      unsigned count = io_uring_peek_batch_cqe(&ring_, group, kGroup);
      if (count == 0) {
        // One call runs about 20 pieces of work, and those of a chain's first steps complete
        // nothing.
        if (!work_is_left()) return true;
        ++handled;
      }
      while (count > 0) {
        on_batch();
        for (unsigned i = 0; i < count; ++i) hand_over(*group[i], on_completion);
        io_uring_cq_advance(&ring_, count);
        handled += count;
        count = io_uring_peek_batch_cqe(&ring_, group, kGroup);
      }
    }
    submit();  // what the last completions prepared
    return false;
  }

 private:
  ClientRing() = default;

  [[nodiscard]] bool work_is_left() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
  }
  template <class OnCompletion>
  void hand_over(const io_uring_cqe& cqe, OnCompletion&& on_completion) {
    Completion completion;
    completion.step = static_cast<Step>(cqe.user_data >> 32);
    completion.slot = static_cast<std::uint32_t>(cqe.user_data);
    completion.result = cqe.res;
    completion.more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) {
      on_completion(completion);
      return;
    }
    const auto buffer = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    completion.bytes = {buffer_at(buffer), static_cast<std::size_t>(std::max(cqe.res, 0))};
    on_completion(completion);
    give_back(buffer);
  }

  [[nodiscard]] char* buffer_at(std::uint16_t buffer) const {
    return buffers_.get() + std::size_t{buffer} * options_.receive_buffer_bytes;
  }
  void give_back(std::uint16_t buffer);
  io_uring_sqe& entry();
  void prepare_receive(std::uint32_t slot, Receive receive, std::uint32_t bytes);

  Options options_;
  io_uring ring_{};
  bool ring_ready_ = false;
  int bell_ = -1;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_bytes_ = 0;
  std::unique_ptr<char[]> buffers_;
};

}  // namespace ringcast::load
