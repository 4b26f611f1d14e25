#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringcast/auth/grants.h"
#include "ringcast/auth/keys.h"
#include "ringcast/auth/password_file.h"
#include "ringcast/auth/token.h"
#include "ringcast/base/result.h"

namespace ringcast::auth {

/// SameSite of the cookie (RFC 6265bis section 4.1.2.7). `none` always goes with Secure.
enum class SameSite : std::uint8_t { lax, strict, none };

/// Grants by user; the entry `*` is for all who have none of their own.
using GrantTable = std::map<std::string, Grants, std::less<>>;

/// As configured, section [auth].
struct AuthOptions {
  bool required = true;  ///< false: everybody is anonymous and may do everything
  Algorithms algorithms{Algorithm::hs256};
  KeySources keys;  ///< all empty: the secret of the state directory, made at the first start
  std::string users_file;  ///< "": that of the state directory if the secret is, else no sign-in
  std::string cookie = "token";
  SameSite same_site = SameSite::lax;
  std::uint32_t token_seconds = 3600;
  std::string issuer;
  std::string audience;
  std::uint32_t leeway_seconds = 5;
  GrantTable grants;

  friend bool operator==(const AuthOptions&, const AuthOptions&) = default;
};

/// Who may do what: the options and the files that they name, read. Immutable, shared by all
/// shards, replaced whole on reload.
struct Access {
  bool required = true;
  TokenPolicy tokens;
  std::shared_ptr<const KeySet> keys;         ///< null only when not required
  std::shared_ptr<const PasswordFile> users;  ///< null: there is no sign-in by password
  std::string cookie = "token";
  SameSite same_site = SameSite::lax;
  std::uint32_t token_seconds = 3600;
  GrantTable grants;

  /// The grants of a user whose token has none in itself. Never null; may be empty ones.
  [[nodiscard]] const Grants& grants_of(std::string_view user) const;
};

/// A user and password that were made just now.
struct FirstUser {
  std::string name;
  std::string password;
  std::string users_file;
  std::string secret_file;
};

struct LoadedAccess {
  std::shared_ptr<const Access> access;
  std::optional<FirstUser> first_user;  ///< to be shown once, to the person who started us
};

/// Reads the files that the options name. Without any key source: `jwt.secret` (48 random bytes,
/// base64url) and `users.htpasswd` (the user `demo` with a random password, who may do everything
/// unless [auth.grants] says otherwise) in `state_directory`, which are made when they are missing,
/// readable for the owner alone. The error names key, file and reason. Blocks; not on an event
/// loop.
[[nodiscard]] Result<LoadedAccess> load_access(const AuthOptions& options,
                                               const std::string& state_directory);

}  // namespace ringcast::auth
