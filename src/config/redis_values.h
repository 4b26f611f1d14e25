#pragma once

#include <string>

#include "value.h"

// Values of [redis]. As with the members of Value, what fits is stored, and else there is an error
// and `out` stays as it is.
namespace ringcast::config {

/// What `hub::parse_redis_url` lets through; "" is none.
void read_redis_url(const Value& value, std::string& out);
/// Of a key or a channel: UTF-8 of 1 to 256 bytes without control characters.
void read_redis_name(const Value& value, std::string& out);

}  // namespace ringcast::config
