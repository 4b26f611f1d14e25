#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ringcast::auth {

/// A sign-in that waits for its password to be checked.
struct PasswordCheck {
  std::uint32_t shard = 0;    ///< that wants to know
  std::uint64_t request = 0;  ///< the shard's own number for it
  std::string password;       ///< wiped after use, and when the check is not taken
  std::string hash;
  bool known = false;  ///< false: `hash` is a decoy, the answer is no whatever it says
};

struct PasswordVerdict {
  std::uint64_t request = 0;
  bool fits = false;
};

/// Checks passwords for the shards, which must not wait for them. What a shard sees of the workers;
/// the simulation has its own. No member waits for another thread.
class PasswordDesk {
 public:
  virtual ~PasswordDesk() = default;
  /// False when, and only when, as many wait as may: the client is told to come again. Any thread.
  [[nodiscard]] virtual bool submit(PasswordCheck&& check) = 0;
  /// Nobody waits for it any more: it is not hashed if it was not begun. Its place is free at the
  /// latest when a worker has looked for its next check. Any thread, after its `submit`.
  virtual void cancel(std::uint32_t shard, std::uint64_t request) = 0;
  /// False: `take` would find nothing. Any thread, one relaxed load.
  [[nodiscard]] virtual bool has_verdicts(std::uint32_t shard) const = 0;
  /// Replaces `out` with what is ready for the shard: at least all whose wake-up has come. On the
  /// shard's thread.
  virtual void take(std::uint32_t shard, std::vector<PasswordVerdict>& out) = 0;
};

/// The threads that hash: of the lowest priority (SCHED_IDLE, sched(7)), so that hashing takes what
/// the event loops leave. The shards have turns; the checks of one are begun in order of arrival.
/// Named `password N`, without signals. They may run on the CPUs of the thread that makes them:
/// make them before it is pinned.
///
/// Threads: all members on any; `wake` is called on a worker, after the verdict can be taken.
/// Destruction ends the threads after the hash at hand; what waits gets no verdict.
class PasswordWorkers final : public PasswordDesk {
 public:
  struct Options {
    std::uint32_t shards = 1;
    std::uint32_t threads = 1;
    std::size_t queue_max = 64;  ///< wait, of all shards together; what is being hashed does not
  };
  PasswordWorkers(const Options& options, std::function<void(std::uint32_t shard)> wake);
  ~PasswordWorkers() override;

  [[nodiscard]] bool submit(PasswordCheck&& check) override;
  void cancel(std::uint32_t shard, std::uint64_t request) override;
  [[nodiscard]] bool has_verdicts(std::uint32_t shard) const override;
  void take(std::uint32_t shard, std::vector<PasswordVerdict>& out) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::auth
