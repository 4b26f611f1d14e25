#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "ringcast/base/event_id.h"
#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/hub/event_store.h"

namespace ringcast::hub {

/// A promise on durable storage: no event ID above `reserved_ms` has ever been given out. It is
/// raised a minute ahead, so that it is written twice a minute at most, and never on the path of an
/// event.
class HighWater {
 public:
  virtual ~HighWater() = default;
  /// Any thread.
  [[nodiscard]] virtual std::uint64_t reserved_ms() const = 0;
  /// Asks for at least `ms`; takes effect when `reserved_ms` says so. Does not block.
  virtual void request(std::uint64_t ms) = 0;
};

/// Keeps the promise in `DIRECTORY/high-water` (a decimal number and a line end), written to a new
/// file, synchronised and renamed, on a thread of its own.
/// Several processes may share the directory: none lowers what another promised.
class FileHighWater : public HighWater {
 public:
  /// Creates the directory if needed. Fails with the path and the reason; a file that is not a
  /// number is refused, never overwritten. Blocks on the disk.
  [[nodiscard]] static Result<std::unique_ptr<FileHighWater>> open(const std::string& directory);
  ~FileHighWater() override;

  [[nodiscard]] std::uint64_t reserved_ms() const override {
    return reserved_ms_.load(std::memory_order_acquire);
  }
  void request(std::uint64_t ms) override;

  /// For an orderly stop: `ms` is the last one that was given, so the promise can come down to it
  /// and the next run need not go on where the promise ended. Blocks on the disk.
  void settle(std::uint64_t ms);

  /// What the file held at open; 0 for a new one.
  [[nodiscard]] std::uint64_t found_ms() const { return found_ms_; }

 private:
  FileHighWater(std::string directory, std::uint64_t found_ms);
  void run();
  [[nodiscard]] Result<void> write(std::uint64_t ms) const;

  std::string directory_;
  std::uint64_t found_ms_;
  std::atomic<std::uint64_t> reserved_ms_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t requested_ms_ = 0;  // under mutex_
  bool stopping_ = false;           // under mutex_
  std::thread writer_;
};

/// The event store of a server without Redis: IDs from the clock, never backwards, not across
/// restarts and not when the clock is set back. While the promise is late or the clock behind, the
/// millisecond stands still and the sequence grows. Answers everything within the call; older
/// events than the log holds, it has none.
class EmbeddedStore : public EventStore {
 public:
  /// Blocks until the promise covers the next minute, or ten seconds.
  [[nodiscard]] static Result<EmbeddedStore> start(HighWater& high_water, Time now);

  /// The newest position at start: before every ID that `assign` gives.
  [[nodiscard]] EventId floor() const { return floor_; }
  [[nodiscard]] EventId assign(Time now);
  /// The last one that was given, or the floor.
  [[nodiscard]] EventId last() const { return last_; }

  void attach(EventSink& sink, uring::Ring& ring) override;
  [[nodiscard]] bool append(const Ticket& ticket, const Publication& publication,
                            Time now) override;
  [[nodiscard]] bool sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what,
                              Time now) override;
  [[nodiscard]] bool history(const Ticket& ticket, EventId after, Time now) override;
  void on_completion(const uring::Completion& completion, Time now) override;
  [[nodiscard]] Next turn(Time) override { return {}; }
  void stop(Time) override {}
  [[nodiscard]] bool stopped() const override { return true; }

 private:
  EmbeddedStore(HighWater& high_water, EventId floor)
      : high_water_(&high_water), floor_(floor), last_(floor) {}

  HighWater* high_water_;
  EventSink* sink_ = nullptr;
  EventId floor_;
  EventId last_;
};

}  // namespace ringcast::hub
