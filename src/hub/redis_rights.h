#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringcast/hub/redis_options.h"

#include "redis_sync.h"

namespace ringcast::hub {

/// What a user of Redis may not do of what we need.
struct MissingRights {
  std::vector<std::string> commands;  ///< or not known to this Redis
  std::vector<std::string> keys;
  std::vector<std::string> channels;

  [[nodiscard]] bool empty() const { return commands.empty() && keys.empty() && channels.empty(); }
};

/// Tries every command that the store and the channel's door send, on every key and channel of
/// theirs, and does nothing: Redis checks the rights of a command when it is queued in MULTI, and
/// DISCARD forgets the queue. Whatever else is wrong (LOADING, OOM, MOVED) is returned in `error`,
/// the first of it.
[[nodiscard]] MissingRights find_missing_rights(RedisSync& redis, const RedisAddress& address,
                                                const RedisKeys& keys, std::string& error);

/// `ACL SETUSER NAME on >PASSWORD …` that grants exactly what is needed; for redis-cli. The
/// password stands for itself.
[[nodiscard]] std::string sufficient_rule(const RedisAddress& address, const RedisKeys& keys);

}  // namespace ringcast::hub
