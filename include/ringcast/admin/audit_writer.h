#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "ringcast/admin/log.h"
#include "ringcast/auth/audit.h"

namespace ringcast::admin {

/// Writes the audit log: lines of the process's log, see Log::write_audit.
///
///   record() ──► coming_ ── swap ──► writing_ ──► Log          coming_ is full: counted, and
///   any thread    (lock)          its own thread               `audit: N lines were dropped`
///
/// Threads: `record` and the counts on any; the one that writes is its own, named `audit`,
/// with all signals blocked. Blocking: `record` waits for no more than another thread's push or the
/// swap, never for the log, and allocates nothing. A log that takes nothing holds up the own thread
/// alone. Bounds: kQueueLinesMax events and kQueueTextMax bytes of their texts wait, and as much is
/// being written.
class AuditWriter final : public auth::AuditSink {
 public:
  static constexpr std::size_t kQueueLinesMax = 8192;
  static constexpr std::size_t kQueueTextMax = std::size_t{2} << 20;

  /// Starts the thread. `log` outlives the writer.
  explicit AuditWriter(Log& log = process_log());
  /// Writes what was recorded before.
  ~AuditWriter() override;
  AuditWriter(const AuditWriter&) = delete;
  AuditWriter& operator=(const AuditWriter&) = delete;

  void record(auth::AuditEvent&& event) override;

  /// Waits until all that was recorded before is written or its loss reported.
  void flush();

  /// Since the start. A line that was recorded while the log is `off` is in neither.
  [[nodiscard]] std::uint64_t lines_written() const {
    return written_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t lines_dropped() const {
    return dropped_.load(std::memory_order_relaxed);
  }

 private:
  /// When it happened, not when it was written.
  struct Line {
    std::chrono::system_clock::time_point time;
    auth::AuditEvent event;
  };

  void run();

  Log& log_;
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> dropped_{0};

  std::mutex mutex_;
  std::condition_variable work_;  // the own thread waits
  std::condition_variable done_;  // `flush` waits
  // Under the lock:
  std::vector<Line> coming_;
  std::size_t coming_text_ = 0;  // bytes of the texts, as allocated
  std::uint64_t dropped_unreported_ = 0;
  std::uint64_t recorded_ =
      0;                     // calls of `record`; of these `finished_` <= `taken_` <= `recorded_`
  std::uint64_t taken_ = 0;  // by the own thread
  std::uint64_t finished_ = 0;  // written, or their loss reported
  bool stopping_ = false;

  std::vector<Line> writing_;  // the own thread's
  std::thread thread_;
};

}  // namespace ringcast::admin
