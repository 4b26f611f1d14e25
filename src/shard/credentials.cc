#include "credentials.h"

#include <optional>
#include <utility>

#include <simdjson.h>

#include "ringcast/http/media_type.h"
#include "ringcast/http/query.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kNestingMax = 8;

Credentials refused(std::uint16_t status, std::string fault) {
  return {.username = {}, .password = {}, .status = status, .fault = std::move(fault)};
}

struct Found {
  std::optional<std::string> username;
  std::optional<std::string> password;
  std::string fault;
};

Found read_json(std::string_view body) {
  Found found;
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.allocate(body.size(), kNestingMax) != simdjson::SUCCESS ||
      parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    found.fault = "the body is not a JSON object";
    return found;
  }
  for (const auto& [name, field] :
       {std::pair{"username", &found.username}, std::pair{"password", &found.password}}) {
    simdjson::dom::element value;
    std::string_view text;
    if (object.at_key(name).get(value) != simdjson::SUCCESS) continue;
    if (value.get(text) != simdjson::SUCCESS) {
      found.fault = std::string(name) + ": must be a string";
      return found;
    }
    *field = text;
  }
  return found;
}

Found read_form(std::string_view body) {
  Found found;
  http::QueryFields fields(body);
  while (const auto field = fields.next()) {
    std::optional<std::string>* into = nullptr;
    if (field->name == "username") into = &found.username;
    if (field->name == "password") into = &found.password;
    if (into == nullptr) continue;
    if (into->has_value()) {
      found.fault = std::string(field->name) + ": is there twice";
      return found;
    }
    into->emplace();
    if (!http::percent_decode(field->value, **into)) {
      found.fault = std::string(field->name) + ": has a broken percent escape";
      return found;
    }
  }
  return found;
}

}  // namespace

Credentials read_credentials(std::string_view content_type, std::string_view body) {
  const bool json = http::is_media_type(content_type, "application/json");
  if (!json && !http::is_media_type(content_type, "application/x-www-form-urlencoded")) {
    return refused(415,
                   "Content-Type: must be application/json or application/x-www-form-urlencoded");
  }
  Found found = json ? read_json(body) : read_form(body);
  if (!found.fault.empty()) return refused(400, std::move(found.fault));
  if (!found.username || found.username->empty()) return refused(400, "username: is missing");
  if (!found.password || found.password->empty()) return refused(400, "password: is missing");
  return {.username = std::move(*found.username),
          .password = std::move(*found.password),
          .status = 0,
          .fault = {}};
}

}  // namespace ringcast::shard
