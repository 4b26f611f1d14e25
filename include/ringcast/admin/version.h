#pragma once

#include <string_view>

namespace ringcast::admin {

/// The version of this program, `major.minor.patch`, as the build names it.
[[nodiscard]] std::string_view version();

}  // namespace ringcast::admin
