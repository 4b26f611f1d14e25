#include <ostream>

#include "ringcast/auth/access.h"
#include "ringcast/auth/grants.h"
#include "ringcast/auth/token.h"
#include "ringcast/base/time.h"
#include "ringcast/config/command_line.h"

namespace ringcast::config {
namespace {

/// Why no token can be made, and what the process then ends with.
struct Failure {
  std::string reason;
  int exit_code = kFailedExitCode;
};

Failure wrong(std::string reason) {
  return {std::move(reason), kUsageExitCode};
}

std::optional<Failure> check_patterns(std::string_view option,
                                      const std::vector<std::string>& patterns) {
  const std::string name(option);
  if (patterns.size() > auth::kPatternsMax) {
    return wrong(name + ": at most " + std::to_string(auth::kPatternsMax) + " times");
  }
  for (const std::string& pattern : patterns) {
    const Result<void> checked = auth::check_pattern(pattern);
    if (!checked) return wrong(name + ": " + checked.error().message);
  }
  return std::nullopt;
}

std::optional<Failure> check(const TokenCommand& command) {
  const std::string_view fault = auth::user_name_fault(command.user);
  if (!fault.empty()) return wrong("--user: " + std::string(fault));
  if (auto failure = check_patterns("--subscribe", command.subscribe)) return failure;
  return check_patterns("--publish", command.publish);
}

Result<auth::LoadedAccess> load_access(const Config& config, const Environment& environment) {
  const Result<std::string> directory =
      find_state_directory(config.server.state_directory, environment);
  // Only a secret that nobody named lies in that directory.
  const bool needed = config.auth.keys == auth::KeySources{};
  if (needed && !directory) return directory.error();
  return auth::load_access(config.auth, directory ? directory.value() : std::string());
}

/// The token, or the failure.
std::variant<std::string, Failure> make(const TokenCommand& command, const Environment& environment,
                                        std::ostream& err) {
  if (auto failure = check(command)) return std::move(*failure);
  const Result<Config> config = effective_config({.config_file = command.config_file});
  if (!config) return wrong(config.error().message);
  if (!config.value().auth.required) {
    return Failure{"auth.required is false: nobody needs a token, and none is looked at"};
  }
  const Result<auth::LoadedAccess> loaded = load_access(config.value(), environment);
  if (!loaded) return Failure{loaded.error().message};
  if (const auto& made = loaded.value().first_user) {
    err << "ringcast: made the user " << made->name << " with the password " << made->password
        << " in " << made->users_file << '\n';
  }

  const auth::Access& access = *loaded.value().access;
  if (!access.keys->can_sign()) {
    return Failure{
        "a token is signed with the secret in auth.secret_file, under one of HS256, HS384 and "
        "HS512 "
        "in auth.algorithms; the configuration lacks one of the two"};
  }
  const auth::Grants grants{command.subscribe, command.publish};
  const bool restricted = grants != auth::Grants{};
  const Result<std::string> token =
      auth::make_token(*access.keys, access.tokens.algorithms,
                       {.user = command.user,
                        .grants = restricted ? &grants : nullptr,
                        .issued_s = read_clock().unix_ms / 1000,
                        .seconds = command.seconds.value_or(access.token_seconds),
                        .issuer = access.tokens.issuer,
                        .audience = access.tokens.audience});
  // The keys can sign, so what is wrong comes from the arguments: too many topics for one token.
  if (!token) return wrong(token.error().message);
  return token.value();
}

}  // namespace

int run_token(const TokenCommand& command, const Environment& environment, std::ostream& out,
              std::ostream& err) {
  const auto made = make(command, environment, err);
  if (const Failure* const failure = std::get_if<Failure>(&made)) {
    err << "ringcast: " << failure->reason << '\n';
    return failure->exit_code;
  }
  out << std::get<std::string>(made) << std::endl;
  if (out) return 0;
  err << "ringcast: the token cannot be written\n";
  return kFailedExitCode;
}

}  // namespace ringcast::config
