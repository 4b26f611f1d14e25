#include "ringcast/hub/embedded_store.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kReserveMs = 60'000;
constexpr std::uint64_t kRenewMs = 30'000;  // asked for again when less than this is left
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

}  // namespace

Result<std::unique_ptr<FileHighWater>> FileHighWater::open(const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure)
    return Error{"cannot create the state directory " + directory + ": " + failure.message()};

  const std::string path = directory + "/high-water";
  std::uint64_t found_ms = 0;
  if (std::filesystem::exists(path, failure)) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found_ms);
    if (!file || error != std::errc{} || end != text.data() + text.size()) {
      return Error{
          path +
          " does not hold a number of milliseconds. It guards against event IDs being given "
          "twice; remove it only if no client may still hold an ID of this server"};
    }
  }
  return std::unique_ptr<FileHighWater>(new FileHighWater(directory, found_ms));
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
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || requested_ms_ > reserved_ms(); });
    if (stopping_) return;
    const std::uint64_t ms = requested_ms_;
    lock.unlock();
    const bool written = write(ms).ok();
    lock.lock();
    if (written) {
      reserved_ms_.store(ms, std::memory_order_release);
    } else {
      // A full disk: IDs go on in the millisecond that is covered; try again until it is mended.
      changed_.wait_for(lock, kRetryAfter, [this] { return stopping_; });
    }
  }
}

Result<void> FileHighWater::write(std::uint64_t ms) const {
  const std::string path = directory_ + "/high-water";
  const std::string fresh = path + ".new." + std::to_string(getpid());
  if (auto written = write_synced(fresh, std::to_string(ms) + "\n"); !written) return written;
  if (rename(fresh.c_str(), path.c_str()) != 0)
    return system_error("cannot replace " + path, errno);
  const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open " + directory_, errno);
  const int synced = fsync(fd);  // the new name must survive a power cut too
  close(fd);
  if (synced != 0) return system_error("cannot synchronise " + directory_, errno);
  return {};
}

Result<EmbeddedStore> EmbeddedStore::start(HighWater& high_water, Time now) {
  // The run before may have given IDs in the last millisecond that it was promised.
  const std::uint64_t start_ms = std::max(now.unix_ms, high_water.reserved_ms() + 1);
  const std::uint64_t wanted_ms = start_ms + kReserveMs;
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

}  // namespace ringcast::hub
