#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/admin/log.h"
#include "ringcast/auth/access.h"
#include "ringcast/base/result.h"
#include "ringcast/config/server_options.h"
#include "ringcast/config/tls_options.h"
#include "ringcast/http/cors.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/shard/options.h"

namespace ringcast::config {

/// Everything that can be configured: each module's own options. Default-constructed it is the
/// configuration of a server that was given no file.
struct Config {
  ServerOptions server;
  TlsOptions tls;
  auth::AuthOptions auth;
  http::CorsOptions cors{.allow_origins = {}, .allow_credentials = true};
  shard::StreamOptions stream;
  shard::HistoryOptions history;
  shard::LimitOptions limits;
  hub::RedisOptions redis;
  admin::LogOptions log;

  friend bool operator==(const Config& a, const Config& b);
};

[[nodiscard]] Config defaults();

/// Reads a TOML 1.0 file. The error's message holds one line for each thing that is wrong,
/// `file:line:column: reason`, in the order of the file, at most kErrorsMax and then their count.
/// A file that cannot be read or is larger than kFileBytesMax is an error without a line. Relative
/// paths in it become absolute: they start at the folder of the file.
[[nodiscard]] Result<Config> load(const std::string& path);
inline constexpr std::size_t kErrorsMax = 20;
inline constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kGrantsMax = 10'000;              // users in [auth.grants]
inline constexpr std::uint32_t kTokenSecondsMax = 31'536'000;  // 365 days

/// The same for a text; `name` stands for the file in errors. Relative paths stay as they are.
[[nodiscard]] Result<Config> parse(std::string_view toml, std::string_view name);

/// The whole configuration as TOML, each key with its unit; `parse` of it gives `config` again, but
/// for a password in `redis.url`, which is printed as `***`.
[[nodiscard]] std::string to_toml(const Config& config);

/// What no single value shows: values that contradict each other. Nothing for a sound
/// configuration.
struct Contradiction {
  std::string_view key;        ///< `section.key` that is to be changed
  std::string_view other_key;  ///< or this one
  std::string reason;
};
[[nodiscard]] std::vector<Contradiction> contradictions(const Config& config);

/// `section.key` of every key that `parse` accepts; `*` stands for any name, as in
/// `auth.grants.*.publish`.
[[nodiscard]] std::vector<std::string> known_keys();

/// `section.key` of what differs and takes effect only at the next start. All else takes effect
/// when a running server is handed `fresh`.
[[nodiscard]] std::vector<std::string> restart_keys(const Config& running, const Config& fresh);

}  // namespace ringcast::config
