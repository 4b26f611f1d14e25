#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/result.h"

namespace ringcast::hub {

/// Where a Redis is: `redis://[[user]:password@]host[:port][/database]` or
/// `unix:///path/to/socket[?db=N]`. User and password may be percent-encoded.
struct RedisAddress {
  std::string host;  ///< a name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 6379;
  std::string socket;    ///< path of a UNIX socket; then host and port are not used
  std::string user;      ///< "" = the default user
  std::string password;  ///< "" = none
  std::uint32_t database = 0;

  friend bool operator==(const RedisAddress&, const RedisAddress&) = default;
};

/// The error says what is wrong, and never repeats the password. `rediss://` (TLS) is refused with
/// what to do instead.
[[nodiscard]] Result<RedisAddress> parse_redis_url(std::string_view url);
/// For logs and errors: `127.0.0.1:6379, database 2`; without user and password.
[[nodiscard]] std::string to_string(const RedisAddress& address);

struct RedisOptions {
  std::string url;            ///< "" = no Redis
  std::string password_file;  ///< "" = the password in the url; see with_password
  std::string channel = "events";
  std::string stream = "ringcast:events";
  std::uint64_t max_events = 100'000;  ///< kept in the stream, approximately
  std::uint32_t publish_timeout_ms =
      5'000;                                ///< until a publisher is told that Redis did not answer
  std::uint32_t start_timeout_ms = 30'000;  ///< that a start waits for Redis

  friend bool operator==(const RedisOptions&, const RedisOptions&) = default;
};

/// The options as a start uses them: the first line of `password_file`, if there is one, is the
/// password in the url, and `password_file` is empty. Reads that file, so not on an event loop.
[[nodiscard]] Result<RedisOptions> with_password(RedisOptions options);
inline constexpr std::size_t kRedisPasswordBytesMax = 4'096;

/// The url with `***` in place of its password, for prints.
[[nodiscard]] std::string masked_redis_url(std::string_view url);

/// Names of the keys and of the second channel, all derived from `stream`.
struct RedisKeys {
  explicit RedisKeys(const RedisOptions& options)
      : stream(options.stream),
        relay(options.stream + ":relay"),
        epoch(options.stream + ":epoch"),
        relayed(options.stream + ":relayed"),
        signed_out(options.stream + ":signed-out"),
        channel(options.channel),
        marks(options.stream + ":marks") {}

  std::string stream;
  std::string relay;
  std::string epoch;
  std::string relayed;
  std::string signed_out;
  std::string channel;
  std::string marks;
};

}  // namespace ringcast::hub
