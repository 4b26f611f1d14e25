#include "ringcast/admin/audit_writer.h"

#include <csignal>
#include <string>
#include <utility>

#include <pthread.h>

namespace ringcast::admin {

AuditWriter::AuditWriter(Log& log) : log_(log) {
  coming_.reserve(kQueueLinesMax);
  writing_.reserve(kQueueLinesMax);
  // A thread inherits the mask: signals are for the thread that waits for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "audit");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AuditWriter::~AuditWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void AuditWriter::record(auth::AuditEvent&& event) {
  const auto now = std::chrono::system_clock::now();
  const std::size_t text = event.user.capacity() + event.reason.capacity();
  bool was_idle = false;
  {
    const std::lock_guard lock(mutex_);
    was_idle = recorded_++ == taken_;
    if (coming_.size() == kQueueLinesMax || coming_text_ + text > kQueueTextMax) {
      ++dropped_unreported_;
      dropped_.fetch_add(1, std::memory_order_relaxed);
    } else {
      coming_text_ += text;
      coming_.push_back({now, std::move(event)});
    }
  }
  if (was_idle) work_.notify_one();
}

void AuditWriter::flush() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this, recorded = recorded_] { return finished_ >= recorded; });
}

void AuditWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return taken_ != recorded_ || stopping_; });
    if (taken_ == recorded_) return;
    taken_ = recorded_;
    writing_.swap(coming_);
    coming_text_ = 0;
    const std::uint64_t dropped = std::exchange(dropped_unreported_, 0);
    lock.unlock();

    for (const Line& line : writing_) {
      if (log_.write_audit(line.event, line.time)) written_.fetch_add(1, std::memory_order_relaxed);
    }
    writing_.clear();
    if (dropped > 0) {
      // After these lines, since what was dropped came when they filled the queue.
      log_.write_always(LogLevel::warning,
                        "audit: " + std::to_string(dropped) + " lines were dropped");
    }

    lock.lock();
    finished_ = taken_;
    done_.notify_all();
  }
}

}  // namespace ringcast::admin
