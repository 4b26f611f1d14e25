#include "redis_values.h"

#include "ringcast/hub/publication.h"
#include "ringcast/hub/redis_options.h"

namespace ringcast::config {

void read_redis_url(const Value& value, std::string& out) {
  const std::string* const url = value.text();
  if (url == nullptr) return;
  if (!url->empty()) {
    if (const auto address = hub::parse_redis_url(*url); !address) {
      return value.fail(address.error().message);
    }
  }
  out = *url;
}

void read_redis_name(const Value& value, std::string& out) {
  const std::string* const name = value.text();
  if (name == nullptr) return;
  // Redis takes any bytes; a topic's rules keep names readable in logs and in redis-cli.
  if (const std::string_view fault = hub::topic_fault(*name); !fault.empty()) {
    return value.fail(fault);
  }
  out = *name;
}

}  // namespace ringcast::config
