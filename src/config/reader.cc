#include "reader.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "ringcast/admin/log.h"

#include "grants_section.h"
#include "schema.h"
#include "value.h"

namespace ringcast::config {
namespace {

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
          if (name == kGrantsSection) {
            read_grants(*inner, config_.auth.grants, errors_);
          } else {
            read_table(*inner, name);
          }
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

  /// What the absence of a key means where that depends on another one.
  void fill_in() {
    const auto& origins = config_.cors.allow_origins;
    if (!positions_.contains("cors.allow_credentials") &&
        std::ranges::find(origins, "*") != origins.end()) {
      config_.cors.allow_credentials = false;
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
    return name == kGrantsSection ||
           std::ranges::any_of(schema(), [name](const Key& key) { return key.section == name; });
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
    if (table && kGrantsSection.starts_with(section + ".")) {
      candidates.push_back(kGrantsSection.substr(section.size() + 1));
    }
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

}  // namespace

std::string full_name(std::string_view section, std::string_view name) {
  std::string out(section);
  if (!out.empty()) out += '.';
  return out + std::string(name);
}

void read_document(const toml::table& document, Config& config, Errors& errors) {
  Reader reader(config, errors);
  reader.read_table(document, {});
  reader.fill_in();
  reader.add_contradictions();
}

}  // namespace ringcast::config
