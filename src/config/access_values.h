#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringcast/auth/algorithm.h"
#include "ringcast/base/ip_address.h"

#include "value.h"

// Values of [auth], [cors] and of what belongs to them in [server]. As with the members of Value,
// what fits is stored, and else there is an error and `out` stays as it is.
namespace ringcast::config {

/// At least one, none twice.
void read_algorithms(const Value& value, auth::Algorithms& out);
/// At most `most` file names, none empty, none twice.
void read_paths(const Value& value, std::vector<std::string>& out, std::size_t most);
/// Addresses or networks, none twice.
void read_networks(const Value& value, std::vector<IpNetwork>& out, std::size_t most);
/// Origins that can be a server's own, so not `null`; stored as a browser sends them; none twice.
void read_own_origins(const Value& value, std::vector<std::string>& out, std::size_t most);
/// What `http::check_origin_pattern` lets through, stored as a browser would send it; none twice.
void read_origin_patterns(const Value& value, std::vector<std::string>& out, std::size_t most);
/// At most auth::kPatternsMax of what `auth::check_pattern` lets through, none twice.
void read_topic_patterns(const Value& value, std::vector<std::string>& out);
/// A `token` of RFC 6265 section 4.1.1.
void read_cookie_name(const Value& value, std::string& out);
/// A text of a claim; "" is none.
void read_claim(const Value& value, std::string& out);

/// The array in TOML that the readers above take.
[[nodiscard]] std::string strings_text(const std::vector<std::string>& texts);
[[nodiscard]] std::string algorithms_text(const auth::Algorithms& algorithms);
[[nodiscard]] std::string networks_text(const std::vector<IpNetwork>& networks);

}  // namespace ringcast::config
