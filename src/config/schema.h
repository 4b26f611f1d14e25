#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ringcast/config/config.h"

#include "value.h"

namespace ringcast::config {

/// One key: the only place that knows its name, its limits and how it is written. Reading, printing
/// and the list of what is known are all made from it.
struct Key {
  std::string_view section;  ///< as between the brackets: `stream.event_names`
  std::string_view name;
  std::string_view comment;  ///< unit, special values
  void (*read)(const Value&, Config&);
  std::string (*write)(const Config&);  ///< the value in TOML
};

/// Those of a section stand together.
[[nodiscard]] std::span<const Key> schema();

}  // namespace ringcast::config
