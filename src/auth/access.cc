#include "ringcast/auth/access.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "first_start.h"

namespace ringcast::auth {
namespace {

Error at_key(std::string_view key, const Error& error) {
  return Error{std::string(key) + ": " + error.message};
}

bool has_secret_algorithm(const Algorithms& algorithms) {
  return std::any_of(algorithms.begin(), algorithms.end(),
                     [](Algorithm algorithm) { return key_kind(algorithm) == KeyKind::secret; });
}

// The key of the configuration that an error in the keys is about: it begins with the file's name.
std::string_view key_of(const KeySources& sources, std::string_view message) {
  const auto is_about = [message](const std::string& file) {
    return !file.empty() && message.size() > file.size() && message.starts_with(file) &&
           (message[file.size()] == ':' || message[file.size()] == ' ');
  };
  if (is_about(sources.secret_file)) return "auth.secret_file";
  if (is_about(sources.jwks_file)) return "auth.jwks_file";
  return std::any_of(sources.key_files.begin(), sources.key_files.end(), is_about)
             ? "auth.key_files"
             : "auth.algorithms";
}

struct Sources {
  KeySources keys;
  std::string users_file;  // "": no sign-in
  bool from_state = false;
  std::optional<FirstUser> first_user;
};

Result<Sources> find_sources(const AuthOptions& options, const std::string& state_directory) {
  Sources sources{.keys = options.keys, .users_file = options.users_file};
  if (options.keys != KeySources{}) return sources;
  if (!has_secret_algorithm(options.algorithms)) {
    return Error{
        "auth.algorithms: there is no key for any of them. Name public keys in auth.key_files or "
        "auth.jwks_file, or add HS256: without a key of yours the server makes itself a secret, "
        "which only HS256, HS384 and HS512 can use"};
  }
  auto files = make_state_files(state_directory, options.users_file.empty());
  if (!files) return at_key("server.state_directory", files.error());
  sources.from_state = true;
  sources.keys.secret_file = std::move(files.value().secret_file);
  if (options.users_file.empty()) sources.users_file = std::move(files.value().users_file);
  sources.first_user = std::move(files.value().first_user);
  return sources;
}

}  // namespace

const Grants& Access::grants_of(std::string_view user) const {
  static const Grants none;
  auto at = grants.find(user);
  if (at == grants.end()) at = grants.find(std::string_view("*"));
  return at == grants.end() ? none : at->second;
}

Result<LoadedAccess> load_access(const AuthOptions& options, const std::string& state_directory) {
  auto access = std::make_shared<Access>();
  access->required = options.required;
  access->tokens = TokenPolicy{.algorithms = options.algorithms,
                               .issuer = options.issuer,
                               .audience = options.audience,
                               .leeway_seconds = options.leeway_seconds};
  access->cookie = options.cookie;
  access->same_site = options.same_site;
  access->token_seconds = options.token_seconds;
  access->grants = options.grants;
  if (!options.required) return LoadedAccess{std::move(access), std::nullopt};

  auto found = find_sources(options, state_directory);
  if (!found) return found.error();
  Sources& sources = found.value();

  auto keys = KeySet::load(sources.keys, options.algorithms);
  if (!keys) {
    return at_key(
        sources.from_state ? "server.state_directory" : key_of(sources.keys, keys.error().message),
        keys.error());
  }
  access->keys = std::move(keys).value();

  if (!sources.users_file.empty()) {
    auto users = PasswordFile::load(sources.users_file);
    const bool users_from_state = sources.from_state && options.users_file.empty();
    if (!users) {
      return at_key(users_from_state ? "server.state_directory" : "auth.users_file", users.error());
    }
    if (!access->keys->can_sign()) {
      return Error{
          "auth.users_file: who signs in is given a token, and there is nothing to sign it with. "
          "Set "
          "auth.secret_file and add HS256 to auth.algorithms, or leave auth.users_file away"};
    }
    access->users = std::move(users).value();
    const bool has_demo = users_from_state && access->users->find(kFirstUser).known;
    if (has_demo && !access->grants.contains(kFirstUser) && !access->grants.contains("*")) {
      access->grants.emplace(kFirstUser, Grants{.subscribe = {"*"}, .publish = {"*"}});
    }
  }
  return LoadedAccess{std::move(access), std::move(sources.first_user)};
}

}  // namespace ringcast::auth
