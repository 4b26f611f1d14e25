#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ringcast/config/config.h"

#include "value.h"

namespace ringcast::config {

/// When a changed value takes effect.
enum class Effect : std::uint8_t {
  restart,  ///< at the next start
  reload,   ///< in the running server, too
};

/// One key: the only place that knows its name, its limits and how it is written. Reading, printing
/// and the list of what is known are all made from it.
struct Key {
  std::string_view section;  ///< as between the brackets: `stream.event_names`
  std::string_view name;
  Effect effect;
  std::string_view comment;  ///< unit, special values
  void (*read)(const Value&, Config&);
  std::string (*write)(const Config&);  ///< the value in TOML
  /// Where not everybody may see that: what is shown instead.
  std::string (*show)(const Config&) = nullptr;
};

/// Those of a section stand together. What [auth.grants] may hold is in grants_section.h: its
/// sections have names that the user chooses.
[[nodiscard]] std::span<const Key> schema();

}  // namespace ringcast::config
