#include "ringcast/auth/password_file.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ringcast/auth/grants.h"

#include "crypt_hash.h"

namespace ringcast::auth {
namespace {

// Of a shell, for the command that a message proposes.
std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+@/";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Result<std::string> read_text(const std::string& path) {
  // Without O_NONBLOCK, a pipe in the place of the file would wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error(path, errno);
  struct stat status {};
  std::string text;
  Result<void> outcome;
  if (fstat(fd, &status) != 0) {
    outcome = system_error(path, errno);
  } else if (!S_ISREG(status.st_mode)) {
    outcome = Error{path + ": is not a file"};
  } else {
    constexpr std::size_t kChunk = std::size_t{64} << 10;
    ssize_t got = 0;
    do {
      const std::size_t before = text.size();
      text.resize(before + kChunk);
      got = ::read(fd, text.data() + before, kChunk);
      text.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
    } while (text.size() <= kPasswordFileBytesMax && (got > 0 || (got < 0 && errno == EINTR)));
    if (got < 0) outcome = system_error(path, errno);
  }
  ::close(fd);
  if (!outcome) return outcome.error();
  return text;
}

}  // namespace

Result<std::shared_ptr<const PasswordFile>> PasswordFile::load(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return text.error();
  return parse(text.value(), path);
}

Result<std::shared_ptr<const PasswordFile>> PasswordFile::parse(std::string_view text,
                                                                std::string_view name) {
  static_assert(kPasswordFileBytesMax == std::size_t{16} << 20, "the message says so");
  if (text.size() > kPasswordFileBytesMax) return Error{std::string(name) + ": larger than 16 MiB"};

  // Some editors put this mark first; it would belong to a name.
  if (constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
      text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  auto file = std::make_shared<PasswordFile>();
  std::unordered_map<std::string_view, std::size_t> lines;  // where each user is
  std::uint64_t highest_cost_us = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.starts_with('#') || line.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string place = std::string(name) + ": line " + std::to_string(number) + ": ";

    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return Error{place + "has no colon; a line is NAME:HASH, as `htpasswd -B` writes it"};
    }
    const std::string_view user = line.substr(0, colon);
    const std::string_view hash = line.substr(colon + 1);
    if (const auto fault = user_name_fault(user); !fault.empty()) {
      return Error{place + "the name: " + std::string(fault)};
    }
    const std::string whose = place + "user \"" + std::string(user) + "\": ";
    if (const auto [at, is_new] = lines.emplace(user, number); !is_new) {
      return Error{whose + "is there already, in line " + std::to_string(at->second)};
    }
    const auto form = read_hash(hash);
    if (!form) {
      return Error{whose + form.error().message + "; make a new one: htpasswd -B -C 10 " +
                   shell_word(name) + " " + shell_word(user)};
    }
    if (form.value().cost_us > highest_cost_us) {
      highest_cost_us = form.value().cost_us;
      file->decoy_ = decoy_like(hash, form.value());
    }
    file->hashes_.emplace(user, hash);
  }
  if (file->hashes_.empty()) file->decoy_ = default_decoy();
  return std::shared_ptr<const PasswordFile>(std::move(file));
}

PasswordFile::Entry PasswordFile::find(std::string_view user) const {
  const auto at = hashes_.find(user);
  if (at == hashes_.end()) return Entry{decoy_, false};
  return Entry{at->second, true};
}

}  // namespace ringcast::auth
