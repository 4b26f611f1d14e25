#include "ringcast/hub/embedded_store.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ringcast/base/assert.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kReserveMs = 60'000;
constexpr std::uint64_t kRenewMs = 30'000;  // asked for again when less than this is left
constexpr std::uint64_t kReserveAtStartMs =
    10'000;  // less: a crash loop must not run away from the clock
constexpr std::uint64_t kLastMs = 253'402'300'799'999;  // the year 9999
constexpr int kFileMode = 0644;

Result<void> write_synced(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode);
  if (fd < 0) return system_error("cannot write " + path, errno);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool failed = written != static_cast<ssize_t>(text.size()) || fdatasync(fd) != 0;
  const int reason = written >= 0 && written < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
  close(fd);
  if (failed) return system_error("cannot write " + path, reason);
  return {};
}

// The promise in the file, 0 when there is no file.
Result<std::uint64_t> read_mark(const std::string& path) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) return std::uint64_t{0};
  std::string text;
  if (std::filesystem::is_regular_file(path, failure)) {
    std::ifstream file(path);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::uint64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc{} || end != text.data() + text.size() || ms > kLastMs) {
    return Error{path +
                 " does not hold a number of milliseconds. It guards against event IDs being given "
                 "twice; remove it only if no client may still hold an ID of this server"};
  }
  return ms;
}

Result<void> replace_mark(const std::string& directory, std::uint64_t ms) {
  const std::string path = directory + "/high-water";
  const std::string fresh = path + ".new";
  if (auto written = write_synced(fresh, std::to_string(ms) + "\n"); !written) return written;
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return system_error("cannot replace " + path, errno);
  }
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open " + directory, errno);
  const int synced = fsync(fd);  // the new name must survive a power cut too
  close(fd);
  if (synced != 0) return system_error("cannot synchronise " + directory, errno);
  return {};
}

// Excludes other processes with the same directory for as long as it lives.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory)
      : descriptor_(
            ::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode)) {
    if (descriptor_ >= 0) flock(descriptor_, LOCK_EX);
  }
  ~DirectoryLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace

Result<std::unique_ptr<FileHighWater>> FileHighWater::open(const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) {
    return Error{"cannot create the state directory " + directory + ": " + failure.message()};
  }
  const auto found = read_mark(directory + "/high-water");
  if (!found) return found.error();
  return std::unique_ptr<FileHighWater>(new FileHighWater(directory, found.value()));
}

FileHighWater::FileHighWater(std::string directory, std::uint64_t found_ms)
    : directory_(std::move(directory)),
      found_ms_(found_ms),
      reserved_ms_(found_ms),
      requested_ms_(found_ms),
      writer_([this] { run(); }) {}

FileHighWater::~FileHighWater() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  writer_.join();
}

void FileHighWater::request(std::uint64_t ms) {
  {
    const std::lock_guard lock(mutex_);
    if (ms <= requested_ms_) return;
    requested_ms_ = ms;
  }
  changed_.notify_one();
}

void FileHighWater::run() {
  constexpr auto kRetryAfter = std::chrono::seconds(1);
  bool failing = false;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || requested_ms_ > reserved_ms(); });
    if (stopping_) return;
    const std::uint64_t ms = requested_ms_;
    lock.unlock();
    const auto written = write(ms);
    lock.lock();
    if (written) {
      reserved_ms_.store(ms, std::memory_order_release);
      failing = false;
    } else {
      if (!std::exchange(failing, true)) {
        spdlog::error("{}; event IDs stand still in their last millisecond until it works again",
                      written.error().message);
      }
      // A full disk: IDs go on in the millisecond that is covered; try again until it is mended.
      changed_.wait_for(lock, kRetryAfter, [this] { return stopping_; });
    }
  }
}

Result<void> FileHighWater::write(std::uint64_t ms) const {
  const DirectoryLock lock(directory_);
  const auto present = read_mark(directory_ + "/high-water");
  if (!present) return present.error();
  // Another process that takes over may have promised more already.
  if (present.value() >= ms) return {};
  return replace_mark(directory_, ms);
}

void FileHighWater::settle(std::uint64_t ms) {
  const std::lock_guard idle(mutex_);  // the writer is not between two steps
  const DirectoryLock lock(directory_);
  const auto present = read_mark(directory_ + "/high-water");
  if (!present || present.value() != reserved_ms() || ms >= present.value()) return;
  // Should it fail, the promise stays higher than it need be.
  (void)replace_mark(directory_, std::max(ms, found_ms_));
}

Result<EmbeddedStore> EmbeddedStore::start(HighWater& high_water, Time now) {
  // The run before may have given IDs in the last millisecond that it was promised.
  const std::uint64_t start_ms = std::max(now.unix_ms, high_water.reserved_ms() + 1);
  const std::uint64_t wanted_ms = start_ms + kReserveAtStartMs;
  high_water.request(wanted_ms);
  constexpr int kTries = 1000;
  for (int i = 0; high_water.reserved_ms() < wanted_ms; ++i) {
    if (i == kTries)
      return Error{"cannot write the high-water mark of event IDs to the state directory"};
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return EmbeddedStore(high_water, EventId{start_ms, 0});
}

EventId EmbeddedStore::assign(Time now) {
  const std::uint64_t reserved_ms = high_water_->reserved_ms();
  if (now.unix_ms + kRenewMs > reserved_ms) high_water_->request(now.unix_ms + kReserveMs);
  const std::uint64_t ms = std::min(now.unix_ms, reserved_ms);
  if (ms > last_.ms) {
    last_ = EventId{ms, 0};
  } else {
    ++last_.sequence;
  }
  return last_;
}

void EmbeddedStore::attach(EventSink& sink, uring::Ring&) {
  sink_ = &sink;
}

bool EmbeddedStore::append(const Ticket& ticket, const Publication& publication, Time now) {
  // The ID only when there is room: one that was given is never taken back.
  if (!sink_->reserve(publication)) return false;
  const EventId id = assign(now);
  sink_->deliver(id, publication);
  sink_->answer(ticket, {.id = id});
  return true;
}

bool EmbeddedStore::sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what,
                             Time) {
  if (!sink_->deliver_sign_out(topic, what)) return false;
  sink_->answer(ticket, {});
  return true;
}

bool EmbeddedStore::history(const Ticket& ticket, EventId, Time) {
  sink_->answer(ticket, {.outcome = Outcome::not_taken});
  return true;
}

void EmbeddedStore::on_completion(const uring::Completion&, Time) {
  RC_ASSERT(false);  // it has nothing on the ring
}

}  // namespace ringcast::hub
