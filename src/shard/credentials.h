#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringcast::shard {

/// What somebody signs in with.
struct Credentials {
  std::string username;
  std::string password;
  std::uint16_t status = 0;  ///< why not: 400 or 415; 0 = both are there
  std::string fault;
};

/// Reads the body of `POST /login`: `application/json` `{"username","password"}`, or a form
/// (`application/x-www-form-urlencoded`). Other fields are ignored; a field that is there twice is
/// refused in a form.
[[nodiscard]] Credentials read_credentials(std::string_view content_type, std::string_view body);

}  // namespace ringcast::shard
