#include "grants_section.h"

#include <algorithm>
#include <array>

#include "ringcast/admin/log.h"
#include "ringcast/auth/grants.h"
#include "ringcast/config/config.h"

#include "access_values.h"
#include "value.h"

namespace ringcast::config {
namespace {

struct GrantKey {
  std::string_view name;
  std::vector<std::string> auth::Grants::*patterns;
};
constexpr GrantKey kKeys[] = {{"subscribe", &auth::Grants::subscribe},
                              {"publish", &auth::Grants::publish}};

/// `auth.grants."alice"`, for one line of a terminal.
std::string section_name(std::string_view user) {
  return std::string(kGrantsSection) + ".\"" + admin::safe_text(user, 64) + "\"";
}

void unknown_key(const toml::key& key, const std::string& section, Errors& errors) {
  const std::string name = section + "." + admin::safe_text(key.str(), 64);
  std::array<std::string_view, std::size(kKeys)> names;
  std::ranges::transform(kKeys, names.begin(), &GrantKey::name);
  std::string reason = "unknown key " + name;
  if (const std::string_view near = closest(key.str(), names); !near.empty()) {
    reason += "; did you mean " + section + "." + std::string(near) + "?";
  }
  errors.add(to_position(key.source()), name, reason);
}

void read_user(const toml::table& table, const std::string& section, auth::Grants& out,
               Errors& errors) {
  for (const auto& [key, node] : table) {
    const auto known = std::ranges::find(kKeys, key.str(), &GrantKey::name);
    if (known == std::end(kKeys)) {
      unknown_key(key, section, errors);
    } else {
      read_topic_patterns(Value(section + "." + std::string(known->name), node, errors),
                          out.*(known->patterns));
    }
  }
}

}  // namespace

void read_grants(const toml::table& table, auth::GrantTable& out, Errors& errors) {
  if (table.size() > kGrantsMax) {
    errors.add(to_position(table.source()), kGrantsSection,
               std::string(kGrantsSection) + ": must hold at most " + std::to_string(kGrantsMax) +
                   " users, not " + std::to_string(table.size()));
    return;
  }
  for (const auto& [key, node] : table) {
    const std::string_view user = key.str();
    const std::string section = section_name(user);
    if (const std::string_view fault = auth::user_name_fault(user); !fault.empty()) {
      errors.add(to_position(key.source()), section,
                 section + ": cannot be the name of a user: " + std::string(fault));
    } else if (const toml::table* const grants = node.as_table()) {
      read_user(*grants, section, out[std::string(user)], errors);
    } else {
      errors.add(to_position(node.source()), section,
                 section + ": expected a table with subscribe and publish, found " +
                     std::string(type_name(node)));
    }
  }
}

std::string grants_text(const auth::GrantTable& grants) {
  std::string out;
  for (const auto& [user, of_user] : grants) {
    out += "\n[" + std::string(kGrantsSection) + "." + string_text(user) + "]\n";
    for (const GrantKey& key : kKeys) {
      out += std::string(key.name) + " = " + strings_text(of_user.*(key.patterns)) + "\n";
    }
  }
  return out;
}

std::vector<std::string> grants_keys() {
  std::vector<std::string> names;
  for (const GrantKey& key : kKeys) {
    names.push_back(std::string(kGrantsSection) + ".*." + std::string(key.name));
  }
  return names;
}

}  // namespace ringcast::config
