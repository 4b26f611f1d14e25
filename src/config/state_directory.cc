#include <string_view>

#include "ringcast/config/server_options.h"

namespace ringcast::config {

Result<std::string> find_state_directory(const std::string& configured,
                                         const Environment& environment) {
  const auto variable = [&environment](const char* name) {
    const char* const value = environment(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  if (!configured.empty()) return configured;
  const std::string_view given = variable("STATE_DIRECTORY");
  if (const std::string_view first = given.substr(0, given.find(':')); !first.empty()) {
    return std::string(first);
  }
  if (const std::string_view xdg = variable("XDG_STATE_HOME"); xdg.starts_with('/')) {
    return std::string(xdg) + "/ringcast";
  }
  if (const std::string_view home = variable("HOME"); home.starts_with('/')) {
    return std::string(home) + "/.local/state/ringcast";
  }
  return Error{
      "no directory for the state of the server is known: set server.state_directory, or one of "
      "STATE_DIRECTORY, XDG_STATE_HOME and HOME in the environment"};
}

}  // namespace ringcast::config
