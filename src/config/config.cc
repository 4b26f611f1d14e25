#include "ringcast/config/config.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>

#include <fcntl.h>
#include <unistd.h>

#include "ringcast/admin/log.h"

#include "errors.h"
#include "schema.h"
#include "value.h"

namespace ringcast::config {
namespace {

std::string full_name(std::string_view section, std::string_view name) {
  std::string out(section);
  if (!out.empty()) out += '.';
  return out + std::string(name);
}

/// Walks one document and remembers where each key stood.
class Reader {
 public:
  Reader(Config& config, Errors& errors) : config_(config), errors_(errors) {}

  /// `section` is empty for the document itself.
  void read_table(const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
      const std::string name = full_name(section, key.str());
      if (is_section(name)) {
        if (const toml::table* const inner = node.as_table()) {
          read_table(*inner, name);
        } else {
          errors_.add(to_position(node.source()), name,
                      name + ": expected a table, found " + std::string(type_name(node)));
        }
      } else if (const Key* const known = find(section, key.str())) {
        positions_[name] = to_position(node.source());
        known->read(Value(name, node, errors_), config_);
      } else {
        unknown(key, node, section);
      }
    }
  }

  void add_contradictions() {
    for (const Contradiction& found : contradictions(config_)) {
      // A value that was refused is not in the configuration: what it would contradict is unknown.
      if (errors_.mention(found.key) || errors_.mention(found.other_key)) continue;
      const auto given = positions_.find(found.key);
      const auto other = positions_.find(found.other_key);
      const auto& where = given != positions_.end() ? given : other;
      errors_.add(where != positions_.end() ? where->second : Position{1, 1}, found.key,
                  std::string(found.key) + ": " + found.reason);
    }
  }

 private:
  static const Key* find(std::string_view section, std::string_view name) {
    const auto keys = schema();
    const auto found = std::ranges::find_if(
        keys, [&](const Key& key) { return key.section == section && key.name == name; });
    return found == keys.end() ? nullptr : &*found;
  }
  static bool is_section(std::string_view name) {
    return std::ranges::any_of(schema(), [name](const Key& key) { return key.section == name; });
  }

  void unknown(const toml::key& key, const toml::node& node, const std::string& section) {
    const std::string name = full_name(section, admin::safe_text(key.str(), 64));
    const bool table = node.is_table();
    std::string reason = (table ? "unknown section [" : "unknown key ") + name + (table ? "]" : "");
    if (const std::string hint = suggestion(key.str(), section, table); !hint.empty()) {
      reason += "; did you mean " + hint + "?";
    }
    errors_.add(to_position(key.source()), name, reason);
  }

  static std::string suggestion(std::string_view word, const std::string& section, bool table) {
    std::vector<std::string_view> candidates;
    for (const Key& key : schema()) {
      if (!table && key.section == section) candidates.push_back(key.name);
      if (table && section.empty()) candidates.push_back(key.section);
      if (table && key.section.starts_with(section + ".")) {
        candidates.push_back(key.section.substr(section.size() + 1));
      }
    }
    if (const std::string_view near = closest(word, candidates); !near.empty()) {
      const std::string name = full_name(section, near);
      return table ? "[" + name + "]" : name;
    }
    for (const Key& key : schema()) {
      if (!table && key.name == word) return full_name(key.section, key.name);
    }
    return {};
  }

  Config& config_;
  Errors& errors_;
  std::map<std::string, Position, std::less<>> positions_;
};

auto fields(const shard::StreamOptions& o) {
  return std::tie(o.heartbeat_ms, o.retry_ms, o.slow_consumer, o.replay_on_connect,
                  o.names.heartbeat, o.names.gap, o.names.refused, o.names.closing);
}
auto fields(const shard::HistoryOptions& o) {
  return std::tie(o.events, o.bytes);
}
auto fields(const shard::LimitOptions& o) {
  return std::tie(o.event_bytes, o.header_bytes, o.connect_per_second, o.connect_burst,
                  o.header_seconds, o.body_seconds, o.refusal);
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

// Tables nest as deep as a dotted key is long, and toml++ frees and sorts them by recursion: its
// limit of nested values does not count dots. A key is always on one line.
constexpr std::ptrdiff_t kDotsInLineMax = 512;

/// The first line with more dots than any configuration needs, counted from 1; 0 = none.
std::uint32_t overly_dotted_line(std::string_view toml) {
  for (std::uint32_t line = 1; !toml.empty(); ++line) {
    const std::string_view text = toml.substr(0, toml.find('\n'));
    if (std::ranges::count(text, '.') > kDotsInLineMax) return line;
    toml.remove_prefix(std::min(text.size() + 1, toml.size()));
  }
  return 0;
}

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

}  // namespace

bool operator==(const Config& a, const Config& b) {
  return a.server == b.server && fields(a.stream) == fields(b.stream) &&
         fields(a.history) == fields(b.history) && fields(a.limits) == fields(b.limits) &&
         a.log == b.log;
}

Config defaults() {
  return {};
}

Result<Config> load(const std::string& path) {
  const Result<std::string> text = read_file(path);
  if (!text) return text.error();
  return parse(text.value(), path);
}

Result<Config> parse(std::string_view toml, std::string_view name) {
  if (toml.size() > kFileBytesMax) {
    return Error{std::string(name) + ": is larger than " + std::to_string(kFileBytesMax) +
                 " bytes"};
  }
  Errors errors(name);
  if (const std::uint32_t line = overly_dotted_line(toml); line != 0) {
    errors.add({line, 1}, {}, "more than " + std::to_string(kDotsInLineMax) + " dots in one line");
    return Error{errors.text()};
  }
  const toml::parse_result document = toml::parse(toml);
  if (!document) {
    errors.add(to_position(document.error().source()), {}, document.error().description());
    return Error{errors.text()};
  }
  Config config;
  Reader reader(config, errors);
  reader.read_table(document.table(), {});
  reader.add_contradictions();
  if (!errors.empty()) return Error{errors.text()};
  return config;
}

std::string to_toml(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Key& key : schema()) {
    if (key.section != section) {
      section = key.section;
      if (!out.empty()) out += '\n';
      out += "[" + std::string(section) + "]\n";
    }
    out += std::string(key.name) + " = " + key.write(config);
    if (!key.comment.empty()) out += "  # " + std::string(key.comment);
    out += '\n';
  }
  return out;
}

std::vector<Contradiction> contradictions(const Config& config) {
  std::vector<Contradiction> found;
  // Appending stops half a log ahead of the slowest stream, so that half must hold two events.
  constexpr std::size_t kFactor = 4 * shard::kFrameBytesFactor;
  const std::size_t needed = kFactor * config.limits.event_bytes;
  if (config.history.bytes < needed) {
    found.push_back({"history.bytes", "limits.event_bytes",
                     "must be at least " + std::to_string(kFactor) +
                         " times limits.event_bytes, here " + bytes_text(needed) + ", not " +
                         bytes_text(config.history.bytes)});
  }

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
  return found;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> names;
  for (const Key& key : schema()) names.push_back(full_name(key.section, key.name));
  return names;
}

}  // namespace ringcast::config
