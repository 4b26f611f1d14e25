#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringcast/auth/access.h"

#include "errors.h"
#include "toml.h"

namespace ringcast::config {

/// The section whose subsections are named by users, `[auth.grants.alice]`; all others are in the
/// table of schema.h.
inline constexpr std::string_view kGrantsSection = "auth.grants";
/// Stands in front of them when the configuration is printed.
inline constexpr std::string_view kSectionBeforeGrants = "auth";

/// Adds to `out` what the table says. What is wrong leaves its part out and adds an error.
void read_grants(const toml::table& table, auth::GrantTable& out, Errors& errors);

/// The sections in TOML, each with an empty line in front; `read_grants` gives them again.
[[nodiscard]] std::string grants_text(const auth::GrantTable& grants);

/// `auth.grants.*.subscribe`, …
[[nodiscard]] std::vector<std::string> grants_keys();

}  // namespace ringcast::config
