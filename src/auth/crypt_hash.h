#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/result.h"

namespace ringcast::auth {

/// Hashes of passwords as libcrypt writes them (crypt(5)):
///
///     $2y$ 10 $ qjIrZaHKKXHgJukxnVx/RO cWrfLfmuf6QwiCZ86eMCHrQnqn0Hf7y
///     kind cost salt (128 bits)        digest (184 bits)
///     └────── the setting ───────────┘
enum class HashKind : std::uint8_t { bcrypt, yescrypt, sha512 };

struct HashForm {
  HashKind kind = HashKind::bcrypt;
  std::uint64_t cost_us = 0;      ///< roughly what one check costs, to compare kinds
  std::size_t setting_bytes = 0;  ///< in front of the digest
};

/// Upper bounds of what a check may cost. Measured on a CPU of 2023: each stays below 4 s, and
/// needs less than 256 MiB.
inline constexpr int kBcryptCostMax = 15;                                     // 2 s
inline constexpr std::uint32_t kSha512RoundsMax = 1'000'000;                  // 0.35 to 3 s
inline constexpr std::uint64_t kYescryptBytesMax = std::uint64_t{256} << 20;  // 0.3 s
inline constexpr std::uint64_t kYescryptBytesMin = std::uint64_t{1} << 20;    // 1 ms

/// Reads a hash of a kind that is taken, and refuses what crypt_r(3) could never produce, so that
/// no password would fit. The error says what is wrong with it, without the hash: it may be a
/// password.
[[nodiscard]] Result<HashForm> read_hash(std::string_view hash);

/// A hash with the same setting, and so the same cost, whose digest no password has: bits of its
/// last character that are always zero are not.
[[nodiscard]] std::string decoy_like(std::string_view hash, const HashForm& form);

/// The same for a file without users: bcrypt of cost 10.
[[nodiscard]] std::string default_decoy();

}  // namespace ringcast::auth
