#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/hub/redis_options.h"

namespace ringcast::hub {

/// What an error reply of Redis means for us.
enum class RedisFault : std::uint8_t {
  refused,    ///< the command itself is at fault: sending it again does not help
  transient,  ///< LOADING, BUSY, TRYAGAIN, MASTERDOWN, CLUSTERDOWN, OOM, MISCONF: may work later
  moved_on,   ///< READONLY, MOVED, ASK: this is not (any more) the server to append to
  sign_in,    ///< NOAUTH, WRONGPASS, NOPERM
  no_script,  ///< NOSCRIPT
};

/// An error within a script counts as the error that the script ran into.
[[nodiscard]] RedisFault classify_redis_error(std::string_view error);

/// The error in words that name what to change: the option, the ACL rule, the server. Never the
/// password. `error` comes from outside: it is cut and cleaned for logs.
[[nodiscard]] std::string describe_redis_error(std::string_view error, const RedisAddress& address);

/// What came from outside, fit for one line of a log: cut, with `?` for everything that is not
/// printable ASCII.
[[nodiscard]] std::string cleaned(std::string_view text);

}  // namespace ringcast::hub
