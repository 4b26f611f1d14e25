#include "ringcast/config/config.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <tuple>

#include <fcntl.h>
#include <unistd.h>

#include "errors.h"
#include "grants_section.h"
#include "reader.h"
#include "schema.h"
#include "text_check.h"
#include "value.h"

namespace ringcast::config {
namespace {

auto fields(const shard::StreamOptions& o) {
  return std::tie(o.heartbeat_ms, o.retry_ms, o.slow_consumer, o.replay_on_connect,
                  o.names.heartbeat, o.names.gap, o.names.refused, o.names.closing);
}
auto fields(const shard::HistoryOptions& o) {
  return std::tie(o.events, o.bytes);
}
auto fields(const shard::LimitOptions& o) {
  return std::tie(o.event_bytes, o.header_bytes, o.connect_per_second, o.connect_burst,
                  o.streams_per_address, o.connect_per_second_per_address,
                  o.publish_per_second_per_user, o.login_per_minute_per_address,
                  o.login_per_minute_per_user, o.stream_sends_per_second, o.header_seconds,
                  o.body_seconds, o.refusal);
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

/// One byte more than allowed is read, so that the caller sees what is too large.
Result<std::string> read_file(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error(path + ": cannot be read", errno);
  std::string text(kFileBytesMax + 1, '\0');
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const ssize_t got = read(file.fd, text.data() + bytes, text.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path + ": cannot be read", errno);
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  text.resize(bytes);
  return text;
}

/// Where relative paths of the configuration start: the absolute folder of the file.
std::filesystem::path folder_of(const std::string& path) {
  std::error_code failure;  // no working directory any more: then the folder stays relative
  const std::filesystem::path absolute = std::filesystem::absolute(path, failure);
  return (failure ? std::filesystem::path(path) : absolute).parent_path();
}

void resolve_paths(Config& config, const std::filesystem::path& folder) {
  const auto resolve = [&folder](std::string& path) {
    if (!path.empty()) path = (folder / path).string();  // an absolute one stays as it is
  };
  resolve(config.server.state_directory);
  std::ranges::for_each(config.tls.certificates, resolve);
  std::ranges::for_each(config.tls.private_keys, resolve);
  resolve(config.auth.keys.secret_file);
  std::ranges::for_each(config.auth.keys.key_files, resolve);
  resolve(config.auth.keys.jwks_file);
  resolve(config.auth.users_file);
  resolve(config.redis.password_file);
}

}  // namespace

bool operator==(const Config& a, const Config& b) {
  return a.server == b.server && a.tls == b.tls && a.auth == b.auth && a.cors == b.cors &&
         fields(a.stream) == fields(b.stream) && fields(a.history) == fields(b.history) &&
         fields(a.limits) == fields(b.limits) && a.redis == b.redis && a.log == b.log;
}

Config defaults() {
  return {};
}

Result<Config> load(const std::string& path) {
  const Result<std::string> text = read_file(path);
  if (!text) return text.error();
  Result<Config> config = parse(text.value(), path);
  if (config) resolve_paths(config.value(), folder_of(path));
  return config;
}

Result<Config> parse(std::string_view toml, std::string_view name) {
  if (toml.size() > kFileBytesMax) {
    return Error{std::string(name) + ": is larger than " + std::to_string(kFileBytesMax) +
                 " bytes"};
  }
  Errors errors(name);
  if (const auto where = find_long_key(toml)) {
    errors.add(*where, {}, "more than " + std::to_string(kDotsInKeyMax) + " dots in one key");
    return Error{errors.text()};
  }
  const toml::parse_result document = toml::parse(toml);
  if (!document) {
    errors.add(to_position(document.error().source()), {}, document.error().description());
    return Error{errors.text()};
  }
  Config config;
  read_document(document.table(), config, errors);
  if (!errors.empty()) return Error{errors.text()};
  return config;
}

std::string to_toml(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Key& key : schema()) {
    if (key.section != section) {
      if (section == kSectionBeforeGrants) out += grants_text(config.auth.grants);
      section = key.section;
      if (!out.empty()) out += '\n';
      out += "[" + std::string(section) + "]\n";
    }
    out += std::string(key.name) + " = " + (key.show ? key.show : key.write)(config);
    if (!key.comment.empty()) out += "  # " + std::string(key.comment);
    out += '\n';
  }
  return out;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> names;
  for (const Key& key : schema()) names.push_back(full_name(key.section, key.name));
  std::ranges::move(grants_keys(), std::back_inserter(names));
  return names;
}

std::vector<std::string> restart_keys(const Config& running, const Config& fresh) {
  // [auth.grants] is not in the table: it always takes effect at once.
  std::vector<std::string> names;
  for (const Key& key : schema()) {
    if (key.effect == Effect::restart && key.write(running) != key.write(fresh)) {
      names.push_back(full_name(key.section, key.name));
    }
  }
  return names;
}

}  // namespace ringcast::config
