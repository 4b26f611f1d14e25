#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringcast::load {

/// A name for a set of options: what a run of its kind needs to begin with.
struct Scenario {
  struct Default {
    std::string_view option;
    std::string_view value;  ///< empty: a flag
  };

  std::string_view name;
  std::string_view what;  ///< one line
  std::vector<Default> defaults;
  /// Of each group one is to be given.
  std::vector<std::vector<std::string_view>> required;
  /// If `--events` is not given: as many as streams are to miss, and before, and so many more.
  std::optional<std::uint64_t> events_more;
};

[[nodiscard]] std::span<const Scenario> all_scenarios();
/// Null if there is none of this name.
[[nodiscard]] const Scenario* find_scenario(std::string_view name);

/// `--streams 10000 --hold 10`
[[nodiscard]] std::string describe(std::span<const Scenario::Default> defaults);

/// What `--help` says of them.
[[nodiscard]] std::string describe_scenarios();

}  // namespace ringcast::load
