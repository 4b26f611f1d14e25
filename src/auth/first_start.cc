#include "first_start.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64url.h"
#include "random.h"
#include "wipe.h"

namespace ringcast::auth {
namespace {

// 64 digits of base64url. As the bytes of the file are the secret, it is long enough for HS512 too
// (RFC 7518 section 3.2).
constexpr std::size_t kSecretBytes = 48;

// Without those that are taken for one another: 0 O o, 1 I l. As many as five bits have values.
constexpr std::string_view kTypeable = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(kTypeable.size() == 32);
constexpr std::size_t kPasswordLetters = 16;  // 80 bits
constexpr std::size_t kGroupLetters = 4;

Result<std::string> random_secret() {
  std::array<std::byte, kSecretBytes> bytes{};
  if (auto filled = fill_random(bytes); !filled) return filled.error();
  std::string text;
  append_base64url(text, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  explicit_bzero(bytes.data(), bytes.size());
  return text;
}

// `abcd-efgh-jkmn-pqrs`
Result<std::string> random_password() {
  std::array<std::byte, kPasswordLetters> bytes{};
  if (auto filled = fill_random(bytes); !filled) return filled.error();
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0 && i % kGroupLetters == 0) text += '-';
    text += kTypeable[std::to_integer<std::size_t>(bytes[i]) % kTypeable.size()];
  }
  explicit_bzero(bytes.data(), bytes.size());
  return text;
}

Result<std::string> random_suffix() {
  std::array<std::byte, 8> bytes{};
  if (auto filled = fill_random(bytes); !filled) return filled.error();
  std::string text;
  for (const std::byte byte : bytes) {
    text += kTypeable[std::to_integer<std::size_t>(byte) % kTypeable.size()];
  }
  return text;
}

Result<void> write_synced(const std::string& path, std::string_view text) {
  constexpr int kOwnerOnly = 0600;
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly);
  if (fd < 0) return system_error("cannot write " + path, errno);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool failed = written != static_cast<ssize_t>(text.size()) || fsync(fd) != 0;
  const int reason = written >= 0 && written < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
  ::close(fd);
  if (failed) return system_error("cannot write " + path, reason);
  return {};
}

// Gives the file its name unless that is taken; 0, or an errno value.
int rename_to_free_name(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  // File systems without this (NFS, for one) have links.
  if (errno != EINVAL && errno != ENOSYS) return errno;
  return ::link(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

Result<void> sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open " + directory, errno);
  const int synced = fsync(fd);  // the new name must survive a power cut too
  const int reason = errno;
  ::close(fd);
  if (synced != 0) return system_error("cannot synchronise " + directory, reason);
  return {};
}

// Whether there was no file of that name, so that there is this one now.
Result<bool> make_file(const std::string& directory, const std::string& path,
                       std::string_view text) {
  const auto suffix = random_suffix();
  if (!suffix) return suffix.error();
  const std::string fresh = path + ".new-" + suffix.value();
  auto written = write_synced(fresh, text);
  const int reason = written ? rename_to_free_name(fresh, path) : 0;
  ::unlink(fresh.c_str());  // gone already after a rename
  if (!written) return written.error();
  if (reason == EEXIST) return false;
  if (reason != 0) return system_error("cannot write " + path, reason);
  if (auto synced = sync_directory(directory); !synced) {
    ::unlink(path.c_str());  // or the next start would find a password that nobody was told
    return synced.error();
  }
  return true;
}

// What only seems missing, as behind a link that leads nowhere, is for the reader to complain
// about.
Result<bool> is_missing(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return false;
  if (errno == ENOENT) return true;
  return system_error(path, errno);
}

Result<void> make_secret(const std::string& directory, const std::string& path) {
  const auto missing = is_missing(path);
  if (!missing) return missing.error();
  if (!missing.value()) return {};
  auto secret = random_secret();
  if (!secret) return secret.error();
  std::string text = secret.value() + "\n";
  const auto made = make_file(directory, path, text);
  wipe(secret.value());
  wipe(text);
  if (!made) return made.error();
  return {};
}

// The password, if this call made the file.
Result<std::optional<std::string>> make_users(const std::string& directory,
                                              const std::string& path) {
  const auto missing = is_missing(path);
  if (!missing) return missing.error();
  if (!missing.value()) return std::optional<std::string>();
  const auto password = random_password();
  if (!password) return password.error();
  const auto hash = hash_password(password.value());
  if (!hash) return hash.error();
  const auto made = make_file(directory, path, std::string(kFirstUser) + ":" + hash.value() + "\n");
  if (!made) return made.error();
  return made.value() ? std::optional(password.value()) : std::nullopt;
}

}  // namespace

Result<StateFiles> make_state_files(const std::string& directory, bool with_users) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) return Error{"cannot create " + directory + ": " + failure.message()};

  StateFiles files{.secret_file = directory + "/jwt.secret"};
  if (auto made = make_secret(directory, files.secret_file); !made) return made.error();
  if (!with_users) return files;
  files.users_file = directory + "/users.htpasswd";
  auto password = make_users(directory, files.users_file);
  if (!password) return password.error();
  if (password.value()) {
    files.first_user = FirstUser{std::string(kFirstUser), std::move(*password.value()),
                                 files.users_file, files.secret_file};
  }
  return files;
}

}  // namespace ringcast::auth
