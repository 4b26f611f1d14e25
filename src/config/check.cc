#include <ostream>

#include "ringcast/auth/keys.h"
#include "ringcast/auth/password_file.h"
#include "ringcast/base/time.h"
#include "ringcast/config/command_line.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/tls/context.h"
#include "ringcast/tls/ticket_keys.h"

namespace ringcast::config {
namespace {

using Faults = std::vector<std::string>;

/// What is wrong with the files that [auth] names. Those that the server would make by itself are
/// not looked at: they may not be there yet.
void add_faults(const auth::AuthOptions& options, Faults& faults) {
  if (!options.required) return;
  if (options.keys != auth::KeySources{}) {
    const auto keys = auth::KeySet::load(options.keys, options.algorithms);
    if (!keys) faults.push_back("auth: " + keys.error().message);
  }
  if (!options.users_file.empty()) {
    const auto users = auth::PasswordFile::load(options.users_file);
    if (!users) faults.push_back("auth.users_file: " + users.error().message);
  }
}

void add_faults(const hub::RedisOptions& options, Faults& faults) {
  if (options.url.empty()) return;
  const auto whole = hub::with_password(options);
  if (!whole) faults.push_back(whole.error().message);
}

void add_faults(const TlsOptions& options, Faults& faults, Faults& warnings) {
  if (options.listen.empty()) return;
  const Time now = read_clock();
  const auto loaded = tls::Context::load(certificate_files(options),
                                         std::make_shared<const tls::TicketKeys>(now), now);
  if (!loaded) {
    faults.push_back("tls: " + loaded.error().message);
  } else {
    warnings = loaded.value().warnings;
  }
}

}  // namespace

int run_check(const std::string& path, std::ostream& out, std::ostream& err) {
  const Result<Config> config = load(path);
  if (!config) {
    err << config.error().message << '\n';
    return kUsageExitCode;
  }
  Faults faults;
  Faults warnings;
  add_faults(config.value().tls, faults, warnings);
  add_faults(config.value().auth, faults);
  add_faults(config.value().redis, faults);
  for (const std::string& fault : faults) err << path << ": " << fault << '\n';
  for (const std::string& text : warnings) err << path << ": warning: tls: " << text << '\n';
  if (!faults.empty()) return kUsageExitCode;
  out << to_toml(config.value());
  return 0;
}

}  // namespace ringcast::config
