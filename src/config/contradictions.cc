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
  struct Listed {
    std::string_view key;
    ListenAddress address;
  };
  std::vector<Listed> all;
  for (const ListenAddress& address : config.server.listen) {
    all.push_back({"server.listen", address});
  }
  for (const ListenAddress& address : config.tls.listen) all.push_back({"tls.listen", address});
  const AdminListen& admin = config.server.admin_listen;
  if (admin) all.push_back({"server.admin_listen", *admin});
  for (auto later = all.begin(); later != all.end(); ++later) {
    const auto earlier = std::find_if(
        all.begin(), later, [&](const Listed& listed) { return listed.address == later->address; });
    if (earlier == later || later->address.port == 0) continue;
    found.push_back(
        {later->key, earlier->key,
         to_string(later->address) + (earlier->key == later->key
                                          ? " is there twice"
                                          : " is also in " + std::string(earlier->key))});
  }
  if (config.server.listen.empty() && config.tls.listen.empty()) {
    found.push_back({"server.listen", "tls.listen",
                     "is empty, and tls.listen too: nobody could connect to the server"});
  }
}

void add_tls(const Config& config, Contradictions& found) {
  const TlsOptions& tls = config.tls;
  if (tls.listen.empty()) {
    if (!tls.redirect_to.empty()) {
      found.push_back({"tls.redirect_to", "tls.listen",
                       "sends clients to HTTPS, but tls.listen is empty: nobody answers there"});
    }
    return;  // nothing else of it is looked at
  }
  const std::size_t certificates = tls.certificates.size();
  const std::size_t keys = tls.private_keys.size();
  if (certificates == 0) {
    found.push_back({"tls.listen", "tls.certificate",
                     keys == 0 ? "needs a tls.certificate and its tls.private_key"
                               : "needs a tls.certificate"});
  } else if (keys == 0) {
    found.push_back({"tls.certificate", "tls.private_key", "needs its tls.private_key"});
  } else if (certificates != keys) {
    found.push_back({"tls.private_key", "tls.certificate",
                     "must name a file for each of tls.certificate, in the same order: " +
                         std::to_string(certificates) + ", not " + std::to_string(keys)});
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
  add_tls(config, found);
  add_event_names(config, found);
  add_auth(config, found);
  add_cors(config, found);
  add_redis(config, found);
  return found;
}

}  // namespace ringcast::config
