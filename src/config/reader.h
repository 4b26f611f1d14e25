#pragma once

#include <string>
#include <string_view>

#include "ringcast/config/config.h"

#include "errors.h"
#include "toml.h"

namespace ringcast::config {

/// Stores in `config` what the document says, and adds an error for each thing that is wrong in it.
void read_document(const toml::table& document, Config& config, Errors& errors);

/// `section.name`, or the name alone.
[[nodiscard]] std::string full_name(std::string_view section, std::string_view name);

}  // namespace ringcast::config
