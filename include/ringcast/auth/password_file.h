#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ringcast/base/result.h"

namespace ringcast::auth {

inline constexpr std::size_t kPasswordFileBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kPasswordBytesMax = 511;  // crypt(3): 512 with the NUL at the end

/// Users and the hashes of their passwords, `name:hash` lines as `htpasswd -B` writes them. Kinds
/// (crypt(5)): bcrypt `$2y$` `$2b$` `$2a$`, yescrypt `$y$`, SHA-512 `$6$`. Empty lines and lines
/// that begin with `#` are left out. Immutable: any thread; replaced whole on reload.
class PasswordFile {
 public:
  /// The error names file and line: no colon, a name that is no user name or is there twice, a kind
  /// of hash that is too weak (and which to use), a cost that would take longer than seconds.
  [[nodiscard]] static Result<std::shared_ptr<const PasswordFile>> load(const std::string& path);
  [[nodiscard]] static Result<std::shared_ptr<const PasswordFile>> parse(std::string_view text,
                                                                         std::string_view name);

  struct Entry {
    std::string_view hash;  ///< lives as long as the file object
    bool known = false;
  };
  /// For an unknown user: a decoy with the setting of the costliest hash in the file, which no
  /// password fits, so that the answer takes the same time. Users whose hashes cost less than that
  /// can be told from unknown ones by a clock: give all users one kind and cost.
  [[nodiscard]] Entry find(std::string_view user) const;
  [[nodiscard]] std::size_t size() const { return hashes_.size(); }

 private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the container asks
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, std::string, Hash, std::equal_to<>> hashes_;
  std::string decoy_;
};

/// Whether the password fits the hash, by crypt_r(3). Takes as long as the hash demands (bcrypt of
/// cost 10: 60 ms): never on an event loop. Compares in constant time. Any thread.
///
/// No password with a NUL or of more than kPasswordBytesMax bytes fits. Of the others bcrypt looks
/// at the first 72 bytes, as it does in htpasswd(1): what is behind them makes no difference.
[[nodiscard]] bool password_fits(std::string_view password, std::string_view hash);

/// A bcrypt hash (`$2y$10$…`) with a random salt. The error: a NUL in the password, or more than
/// the 72 bytes that bcrypt looks at. Takes 60 ms. Any thread.
[[nodiscard]] Result<std::string> hash_password(std::string_view password);

}  // namespace ringcast::auth
