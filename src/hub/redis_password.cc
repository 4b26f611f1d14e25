#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "ringcast/hub/redis_options.h"

namespace ringcast::hub {
namespace {

constexpr std::string_view kSchemeEnd = "://";

/// The parts of `scheme://user:password@rest`. Whatever stands before the last @ can be part of a
/// password that was not encoded as it should be.
struct UrlParts {
  std::string_view scheme;  ///< with its ://
  std::string_view user;
  std::string_view password;
  std::string_view rest;  ///< from behind the @
  bool has_password = false;
};

UrlParts split(std::string_view url) {
  UrlParts parts;
  const std::size_t scheme_end = url.find(kSchemeEnd);
  const std::size_t begin = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  parts.scheme = url.substr(0, begin);
  const std::string_view tail = url.substr(begin);
  // The path of a socket may hold an @ of its own.
  const bool socket = parts.scheme.starts_with('u') || parts.scheme.starts_with('U');
  const std::size_t at = socket ? tail.find("@/") : tail.rfind('@');
  const bool credentials = at != std::string_view::npos && !tail.starts_with('/');
  parts.rest = credentials ? tail.substr(at + 1) : tail;
  if (!credentials) return parts;
  const std::string_view both = tail.substr(0, at);
  const std::size_t colon = both.find(':');
  parts.user = both.substr(0, colon);
  parts.has_password = colon != std::string_view::npos;
  if (parts.has_password) parts.password = both.substr(colon + 1);
  return parts;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Result<std::string> first_line(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "re"));
  if (!file) return system_error(path, errno);
  std::string text(kRedisPasswordBytesMax + 2, '\0');  // room for a line end, and to see too many
  const std::size_t bytes = std::fread(text.data(), 1, text.size(), file.get());
  if (std::ferror(file.get()) != 0) return system_error(path, errno);
  text.resize(bytes);
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return Error{path + ": the first line is empty; it is to be the password"};
  if (text.size() > kRedisPasswordBytesMax) {
    return Error{path + ": the first line has more than " + std::to_string(kRedisPasswordBytesMax) +
                 " bytes"};
  }
  if (text.find('\0') != std::string::npos) return Error{path + ": holds NUL"};
  return text;
}

}  // namespace

Result<RedisOptions> with_password(RedisOptions options) {
  if (options.url.empty() || options.password_file.empty()) return options;
  const auto password = first_line(options.password_file);
  if (!password) return Error{"redis.password_file: " + password.error().message};
  const UrlParts parts = split(options.url);
  options.url = std::string(parts.scheme) + std::string(parts.user) + ":" +
                percent_encoded(password.value()) + "@" + std::string(parts.rest);
  options.password_file.clear();
  return options;
}

std::string masked_redis_url(std::string_view url) {
  const UrlParts parts = split(url);
  if (!parts.has_password) return std::string(url);
  return std::string(parts.scheme) + std::string(parts.user) + ":***@" + std::string(parts.rest);
}

}  // namespace ringcast::hub
