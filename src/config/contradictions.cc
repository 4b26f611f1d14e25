#include <algorithm>

#include "ringcast/config/config.h"

#include "value.h"

namespace ringcast::config {
namespace {

using Contradictions = std::vector<Contradiction>;

void add_history(const Config& config, Contradictions& found) {
  // Appending stops half a log ahead of the slowest stream, so that half must hold two events.
  constexpr std::size_t kFactor = 4 * shard::kFrameBytesFactor;
  const std::size_t needed = kFactor * config.limits.event_bytes;
  if (config.history.bytes < needed) {
    found.push_back({"history.bytes", "limits.event_bytes",
                     "must be at least " + std::to_string(kFactor) +
                         " times limits.event_bytes, here " + bytes_text(needed) + ", not " +
                         bytes_text(config.history.bytes)});
  }
}

void add_addresses(const Config& config, Contradictions& found) {
  const auto& listen = config.server.listen;
  for (std::size_t i = 0; i < listen.size(); ++i) {
    const bool twice = std::find(listen.begin(), listen.begin() + static_cast<std::ptrdiff_t>(i),
                                 listen[i]) != listen.begin() + static_cast<std::ptrdiff_t>(i);
    if (twice && listen[i].port != 0) {
      found.push_back({"server.listen", "server.listen", to_string(listen[i]) + " is there twice"});
    }
  }
  const AdminListen& admin = config.server.admin_listen;
  if (admin && admin->port != 0 && std::ranges::count(listen, *admin) > 0) {
    found.push_back(
        {"server.admin_listen", "server.listen", to_string(*admin) + " is also in server.listen"});
  }
}

void add_event_names(const Config& config, Contradictions& found) {
  struct Name {
    std::string_view key;
    const std::string& text;
  };
  const shard::ServerEventNames& names = config.stream.names;
  const Name all[] = {{"stream.event_names.heartbeat", names.heartbeat},
                      {"stream.event_names.gap", names.gap},
                      {"stream.event_names.refused", names.refused},
                      {"stream.event_names.closing", names.closing}};
  for (std::size_t i = 1; i < std::size(all); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i].text != all[j].text) continue;
      found.push_back({all[i].key, all[j].key,
                       "must differ from " + std::string(all[j].key) + ", both are " +
                           string_text(all[i].text)});
    }
  }
}

void add_auth(const Config& config, Contradictions& found) {
  const auth::AuthOptions& auth = config.auth;
  if (!auth.required) return;  // nothing of it is looked at
  const bool hmac = std::ranges::any_of(auth.algorithms, [](auth::Algorithm algorithm) {
    return key_kind(algorithm) == auth::KeyKind::secret;
  });
  const auth::KeySources& keys = auth.keys;
  const bool public_keys = !keys.key_files.empty() || !keys.jwks_file.empty();
  if (!hmac && keys.secret_file.empty() && !public_keys) {
    found.push_back({"auth.algorithms", "auth.key_files",
                     "needs one of HS256, HS384 and HS512, or keys in auth.key_files or "
                     "auth.jwks_file: without them the only key is a secret"});
  } else if (!auth.users_file.empty() && !hmac) {
    found.push_back({"auth.users_file", "auth.algorithms",
                     "signing in makes a token that is signed with a secret, but auth.algorithms "
                     "holds none of HS256, HS384 and HS512"});
  } else if (!auth.users_file.empty() && keys.secret_file.empty() && public_keys) {
    found.push_back({"auth.users_file", "auth.secret_file",
                     "signing in makes a token that is signed with a secret, but there is no "
                     "auth.secret_file"});
  }
}

void add_cors(const Config& config, Contradictions& found) {
  const http::CorsOptions& cors = config.cors;
  if (cors.allow_credentials &&
      std::ranges::find(cors.allow_origins, "*") != cors.allow_origins.end()) {
    found.push_back({"cors.allow_credentials", "cors.allow_origins",
                     "must be false while cors.allow_origins contains \"*\": every site could use "
                     "the cookies of those who are signed in"});
  }
}

void add_redis(const Config& config, Contradictions& found) {
  const hub::RedisKeys keys(config.redis);
  if (keys.channel == keys.marks) {
    found.push_back({"redis.channel", "redis.stream",
                     "must differ from " + string_text(keys.marks) +
                         ", the channel on which instances speak to each other"});
  }
}

}  // namespace

std::vector<Contradiction> contradictions(const Config& config) {
  std::vector<Contradiction> found;
  add_history(config, found);
  add_addresses(config, found);
  add_event_names(config, found);
  add_auth(config, found);
  add_cors(config, found);
  add_redis(config, found);
  return found;
}

}  // namespace ringcast::config
