#include <ostream>

#include "ringcast/auth/keys.h"
#include "ringcast/auth/password_file.h"
#include "ringcast/config/command_line.h"

namespace ringcast::config {
namespace {

/// What is wrong with the files that the section names. Those that the server would make by itself
/// are not looked at: they may not be there yet.
std::vector<std::string> faults_of_files(const auth::AuthOptions& options) {
  std::vector<std::string> faults;
  if (!options.required) return faults;
  if (options.keys != auth::KeySources{}) {
    const auto keys = auth::KeySet::load(options.keys, options.algorithms);
    if (!keys) faults.push_back("auth: " + keys.error().message);
  }
  if (!options.users_file.empty()) {
    const auto users = auth::PasswordFile::load(options.users_file);
    if (!users) faults.push_back("auth.users_file: " + users.error().message);
  }
  return faults;
}

}  // namespace

int run_check(const std::string& path, std::ostream& out, std::ostream& err) {
  const Result<Config> config = load(path);
  if (!config) {
    err << config.error().message << '\n';
    return kUsageExitCode;
  }
  const std::vector<std::string> faults = faults_of_files(config.value().auth);
  for (const std::string& fault : faults) err << path << ": " << fault << '\n';
  if (!faults.empty()) return kUsageExitCode;
  out << to_toml(config.value());
  return 0;
}

}  // namespace ringcast::config
