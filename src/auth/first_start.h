#pragma once

#include <optional>
#include <string>

#include "ringcast/auth/access.h"
#include "ringcast/base/result.h"

namespace ringcast::auth {

inline constexpr std::string_view kFirstUser = "demo";

/// What a server without configured keys works with.
struct StateFiles {
  std::string secret_file;
  std::string users_file;               ///< "" when they were not asked for
  std::optional<FirstUser> first_user;  ///< when this call made the users' file
};

/// Makes in `directory`, and the directory itself, what is missing: the secret, and the users' file
/// if it is asked for. A file appears whole or not at all, and never in the place of another: of
/// several processes that start at once, one makes each file and all use it. Blocks for the disk,
/// and 60 ms for the hash of the first password.
[[nodiscard]] Result<StateFiles> make_state_files(const std::string& directory, bool with_users);

}  // namespace ringcast::auth
