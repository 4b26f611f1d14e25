#include "crypt_hash.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <memory>

#include <crypt.h>
#include <openssl/crypto.h>

#include "ringcast/auth/password_file.h"

namespace ringcast::auth {
namespace {

constexpr std::string_view kBcryptDigits =
    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kCryptDigits =
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::size_t kBcryptSaltBytes = 22;
constexpr std::size_t kBcryptDigestBytes = 31;
constexpr std::size_t kBcryptSettingBytes = 7 + kBcryptSaltBytes;
constexpr std::size_t kBcryptPasswordBytesMax = 72;
constexpr std::size_t kSha512SaltBytesMax = 16;
constexpr std::size_t kSha512DigestBytes = 86;
constexpr std::uint32_t kSha512RoundsMin = 1000;  // libcrypt takes no less
constexpr std::uint32_t kSha512RoundsDefault = 5000;
constexpr std::size_t kYescryptSaltBytesMax = 86;
constexpr std::size_t kYescryptDigestBytes = 43;

static_assert(kPasswordBytesMax + 1 == CRYPT_MAX_PASSPHRASE_SIZE, "which counts the NUL");

bool all_of(std::string_view text, std::string_view digits) {
  return text.find_first_not_of(digits) == std::string_view::npos;
}

Error damaged(std::string_view what) {
  return Error{"the hash is damaged: " + std::string(what)};
}

// Text of six-bit digits, lowest bits first: the last one is not full, and the rest of it zero.
bool ends_in_zero_bits(std::string_view text) {
  if (text.empty()) return false;
  const std::size_t last = kCryptDigits.find(text.back());
  switch (text.size() % 4) {
    case 0:
      return true;
    case 2:
      return last < 4;  // 8 of 12 bits
    case 3:
      return last < 16;  // 16 of 18 bits
    default:
      return false;
  }
}

Result<HashForm> read_bcrypt(std::string_view hash) {
  constexpr std::string_view kWhole = "a bcrypt hash has 60 characters, `$2y$10$` and 53 behind it";
  if (hash.size() != kBcryptSettingBytes + kBcryptDigestBytes || hash[6] != '$') {
    return damaged(kWhole);
  }
  int cost = 0;
  const auto [end, failure] = std::from_chars(hash.data() + 4, hash.data() + 6, cost);
  if (failure != std::errc{} || end != hash.data() + 6 || cost < 4) {
    return damaged("its cost is no number from 04 to 15");
  }
  const std::string_view salt = hash.substr(7, kBcryptSaltBytes);
  const std::string_view digest = hash.substr(kBcryptSettingBytes);
  if (!all_of(salt, kBcryptDigits) || !all_of(digest, kBcryptDigits)) return damaged(kWhole);
  // 128 bits in 22 digits, 184 in 31, highest bits first.
  if (kBcryptDigits.find(salt.back()) % 16 != 0 || kBcryptDigits.find(digest.back()) % 4 != 0) {
    return damaged("no password has this one");
  }
  if (cost > kBcryptCostMax) {
    return Error{"a check at bcrypt cost " + std::to_string(cost) + " takes " +
                 (cost < 20 ? "seconds" : "minutes") + "; the cost may be " +
                 std::to_string(kBcryptCostMax) + " at most"};
  }
  return HashForm{HashKind::bcrypt, std::uint64_t{65} << cost, kBcryptSettingBytes};
}

Result<HashForm> read_sha512(std::string_view hash) {
  constexpr std::string_view kRounds = "rounds=";
  std::string_view rest = hash.substr(3);
  std::uint32_t rounds = kSha512RoundsDefault;
  if (rest.starts_with(kRounds)) {
    rest.remove_prefix(kRounds.size());
    const std::string_view number = rest.substr(0, rest.find('$'));
    const char* const number_end = number.data() + number.size();
    const auto [end, failure] = std::from_chars(number.data(), number_end, rounds);
    if (failure == std::errc::result_out_of_range) {
      rounds = UINT32_MAX;
    } else if (failure != std::errc{} || end != number_end || number.starts_with('0') ||
               number.size() == rest.size() || rounds < kSha512RoundsMin) {
      return damaged("`rounds=` and `$` do not enclose a number of 1000 or more");
    }
    rest.remove_prefix(number.size() + 1);
  }
  const std::size_t salt_bytes = rest.find('$');
  if (salt_bytes == std::string_view::npos || salt_bytes == 0 || salt_bytes > kSha512SaltBytesMax) {
    return damaged("a salt of 1 to 16 characters and a `$` are not there");
  }
  const std::string_view salt = rest.substr(0, salt_bytes);
  const std::string_view digest = rest.substr(salt_bytes + 1);
  const bool salt_is_plain = std::all_of(salt.begin(), salt.end(), [](char c) {
    return c > ' ' && c <= '~' && std::string_view(":;*!\\").find(c) == std::string_view::npos;
  });
  if (!salt_is_plain || digest.size() != kSha512DigestBytes || !all_of(digest, kCryptDigits)) {
    return damaged("a SHA-512 crypt hash ends in 86 letters, digits, `.` and `/`");
  }
  if (!ends_in_zero_bits(digest)) return damaged("no password has this one");
  if (rounds > kSha512RoundsMax) {
    return Error{"a check of so many SHA-512 rounds takes many seconds; there may be " +
                 std::to_string(kSha512RoundsMax) + " at most"};
  }
  return HashForm{HashKind::sha512, std::uint64_t{rounds} * 35 / 100,
                  hash.size() - kSha512DigestBytes};
}

Result<HashForm> read_yescrypt(std::string_view hash) {
  const std::string_view rest = hash.substr(3);
  const std::size_t parameters_end = rest.find('$');
  const std::size_t salt_end = parameters_end == std::string_view::npos
                                   ? parameters_end
                                   : rest.find('$', parameters_end + 1);
  if (salt_end == std::string_view::npos) {
    return damaged("a yescrypt hash has parameters, salt and digest with a `$` between them");
  }
  const std::string_view parameters = rest.substr(0, parameters_end);
  const std::string_view salt = rest.substr(parameters_end + 1, salt_end - parameters_end - 1);
  const std::string_view digest = rest.substr(salt_end + 1);

  if (salt.empty() || salt.size() > kYescryptSaltBytesMax || !all_of(salt, kCryptDigits) ||
      !ends_in_zero_bits(salt)) {
    return damaged("its salt is not one of yescrypt");
  }
  if (digest.size() != kYescryptDigestBytes || !all_of(digest, kCryptDigits)) {
    return damaged("a yescrypt hash ends in 43 letters, digits, `.` and `/`");
  }
  if (!ends_in_zero_bits(digest)) return damaged("no password has this one");

  // Only what crypt_gensalt(3) writes: the flavour `j`, then the logarithm of the number of blocks
  // and their size, of which both count from 1. Longer numbers begin with a digit above 47.
  const std::size_t blocks_log2 = parameters.size() == 3 ? kCryptDigits.find(parameters[1]) : 64;
  const std::size_t block_size = parameters.size() == 3 ? kCryptDigits.find(parameters[2]) : 64;
  if (!parameters.starts_with('j') || blocks_log2 > 47 || block_size > 47) {
    return Error{
        "the yescrypt parameters are other than those that mkpasswd(1) and passwd(1) write"};
  }
  const std::uint64_t bytes = (std::uint64_t{128} * (block_size + 1)) << (blocks_log2 + 1);
  if (bytes < kYescryptBytesMin) return Error{"the yescrypt cost is too low: less than 1"};
  if (bytes > kYescryptBytesMax) {
    return Error{
        "a check at this yescrypt cost needs more than 256 MiB of memory; the cost may be 9 at "
        "most"};
  }
  return HashForm{HashKind::yescrypt, bytes / 1024, hash.size() - kYescryptDigestBytes};
}

// What a hash of a kind that is not taken most likely is.
std::string_view other_kind(std::string_view hash) {
  struct Kind {
    std::string_view prefix;
    std::string_view name;
  };
  constexpr Kind kKinds[] = {
      {"$1$", "MD5 (`$1$`) is too weak"},
      {"$apr1$", "MD5 of Apache (`$apr1$`) is too weak"},
      {"{SHA}", "SHA-1 without a salt (`{SHA}`) is too weak"},
      {"{SSHA}", "SHA-1 (`{SSHA}`) is too weak"},
      {"$sha1", "SHA-1 (`$sha1`) is too weak"},
      {"$md5", "MD5 (`$md5`) is too weak"},
      {"$3$", "NT (`$3$`) is too weak"},
      {"$2x$", "bcrypt with the fault of its first years (`$2x$`) is too weak"},
      {"$5$", "SHA-256 crypt (`$5$`) is not taken"},
      {"_", "DES (`_`) is too weak"},
      {"!", "a locked password is not taken: leave the user out"},
      {"*", "a locked password is not taken: leave the user out"},
      {"$", "this kind of hash is not taken"},
  };
  if (hash.empty()) return "there is no hash";
  for (const Kind& kind : kKinds) {
    if (hash.starts_with(kind.prefix)) return kind.name;
  }
  constexpr std::size_t kDesBytes = 13;
  return hash.size() == kDesBytes && all_of(hash, kCryptDigits)
             ? "DES, or a password in plain text, is too weak"
             : "a password in plain text is no hash";
}

// The hash of the password, empty when it cannot be. Gives it to `use`, then wipes all traces.
template <class Use>
auto with_hash(std::string_view password, std::string_view setting, Use use) {
  // 32 KiB to work in: too much for a stack, and nothing beside the time that the hash takes.
  const auto memory = std::make_unique<crypt_data>();
  crypt_data& data = *memory;
  std::string_view hash;
  if (password.size() < sizeof data.input && setting.size() < sizeof data.setting &&
      password.find('\0') == std::string_view::npos) {
    std::copy(password.begin(), password.end(), data.input);
    data.input[password.size()] = '\0';
    std::copy(setting.begin(), setting.end(), data.setting);
    data.setting[setting.size()] = '\0';
    const char* const made = crypt_r(data.input, data.setting, &data);
    // A star begins what stands for a failure.
    if (made != nullptr && *made != '*') hash = made;
  }
  auto outcome = use(hash);
  explicit_bzero(&data, sizeof data);
  return outcome;
}

bool is_taken(std::string_view hash) {
  constexpr std::string_view kPrefixes[] = {"$2y$", "$2b$", "$2a$", "$y$", "$6$"};
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [hash](std::string_view prefix) { return hash.starts_with(prefix); });
}

}  // namespace

Result<HashForm> read_hash(std::string_view hash) {
  if (!is_taken(hash)) return Error{std::string(other_kind(hash))};
  if (hash.starts_with("$2")) return read_bcrypt(hash);
  return hash.starts_with("$6$") ? read_sha512(hash) : read_yescrypt(hash);
}

std::string decoy_like(std::string_view hash, const HashForm& form) {
  // The highest digit has all bits, those behind the digest's end too. Each alphabet has its own.
  const char highest = form.kind == HashKind::bcrypt ? kBcryptDigits.back() : kCryptDigits.back();
  std::string decoy(hash.substr(0, form.setting_bytes));
  decoy.resize(hash.size(), highest);
  return decoy;
}

std::string default_decoy() {
  std::string hash = "$2y$10$";
  hash.resize(kBcryptSettingBytes + kBcryptDigestBytes, '.');
  return decoy_like(hash, HashForm{HashKind::bcrypt, 0, kBcryptSettingBytes});
}

bool password_fits(std::string_view password, std::string_view hash) {
  if (!is_taken(hash)) return false;
  return with_hash(password, hash, [hash](std::string_view made) {
    return made.size() == hash.size() && CRYPTO_memcmp(made.data(), hash.data(), hash.size()) == 0;
  });
}

Result<std::string> hash_password(std::string_view password) {
  constexpr unsigned long kCost = 10;
  if (password.size() > kBcryptPasswordBytesMax) {
    return Error{"the password is longer than 72 bytes, and bcrypt looks at no more"};
  }
  if (password.find('\0') != std::string_view::npos) return Error{"the password has a NUL in it"};
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  if (crypt_gensalt_rn("$2y$", kCost, nullptr, 0, setting, sizeof setting) == nullptr) {
    return system_error("cannot make a salt", errno);
  }
  std::string hash =
      with_hash(password, setting, [](std::string_view made) { return std::string(made); });
  if (hash.empty()) return Error{"libcrypt cannot make a bcrypt hash"};
  return hash;
}

}  // namespace ringcast::auth
