#include "load/url.h"

#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>

namespace ringcast::load {
namespace {

/// `authority` is `HOST[:PORT]`, `whole` what an error calls it.
Result<void> resolve(Url& url, std::string_view authority, std::string_view default_port,
                     const std::string& whole) {
  url.host = authority;
  std::string_view name = authority;
  std::string_view port = default_port;
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    name = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') {
    name = name.substr(1, name.size() - 2);
  }
  if (name.empty() || port.empty()) return Error{whole + ": host or port is missing"};

  url.host_name = name;

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status =
      getaddrinfo(std::string{name}.c_str(), std::string{port}.c_str(), &hints, &found);
  if (status != 0) return Error{whole + ": " + gai_strerror(status)};
  std::memcpy(&url.address, found->ai_addr, found->ai_addrlen);
  url.address_bytes = found->ai_addrlen;
  freeaddrinfo(found);
  return {};
}

}  // namespace

bool Url::is_ipv4_loopback() const {
  if (address.ss_family != AF_INET) return false;
  const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(&address);
  return (ntohl(ipv4->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

std::string Url::target_for(std::string_view topic) const {
  std::string out = target;
  for (std::size_t at = out.find(kTopicPlace); at != std::string::npos;
       at = out.find(kTopicPlace, at + topic.size())) {
    out.replace(at, kTopicPlace.size(), topic);
  }
  return out;
}

std::string Url::target_with(std::string_view name, std::string_view value) const {
  std::string out = target;
  out += target.find('?') == std::string::npos ? '?' : '&';
  out.append(name);
  out += '=';
  out.append(value);
  return out;
}

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::string_view kSecureScheme = "https://";
  const std::string whole{text};
  Url url;
  url.secure = text.starts_with(kSecureScheme);
  if (!url.secure && !text.starts_with(kScheme)) {
    return Error{whole + ": only http:// and https:// are spoken here"};
  }
  text.remove_prefix(url.secure ? kSecureScheme.size() : kScheme.size());
  const std::size_t authority_bytes = std::min(text.find_first_of("/?"), text.size());
  const std::string_view authority = text.substr(0, authority_bytes);
  text.remove_prefix(authority_bytes);
  text = text.substr(0, text.find('#'));

  url.target = text.empty() || text.front() == '?' ? "/" + std::string{text} : std::string{text};
  const std::string_view default_port = url.secure ? "443" : "80";
  if (auto resolved = resolve(url, authority, default_port, whole); !resolved) {
    return resolved.error();
  }
  return url;
}

Result<Url> parse_redis_url(std::string_view text) {
  constexpr std::string_view kScheme = "redis://";
  const std::string whole{text};
  if (!text.starts_with(kScheme)) return Error{whole + ": not redis://HOST[:PORT]"};
  text.remove_prefix(kScheme.size());
  if (text.find_first_of("@/?#") != std::string_view::npos) {
    return Error{"redis://HOST[:PORT] is all that is spoken here, without user and database"};
  }
  Url url;
  if (auto resolved = resolve(url, text, "6379", whole); !resolved) return resolved.error();
  return url;
}

}  // namespace ringcast::load
