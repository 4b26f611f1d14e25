/// The request parser on any bytes. The first byte seeds the cuts; the rest is what a client sends.
/// However they are cut, the same requests must come out, within the limits.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/assert.h"
#include "ringcast/base/ip_address.h"
#include "ringcast/http/cookies.h"
#include "ringcast/http/forwarded.h"
#include "ringcast/http/query.h"
#include "ringcast/http/request.h"
#include "ringcast/http/response.h"

namespace {

using namespace ringcast::http;

constexpr ParserLimits kLimits{512, 256};

void append(std::string& to, std::string_view field) {
  to += '[';
  to += field;
  to += ']';
}

/// What reads the values further: each result lies within them, and a client that no proxy stands
/// in front of is who it is.
void read_values(const Request& r) {
  if (const auto token = find_cookie(r.cookie, "token")) {
    RC_ASSERT(token->data() >= r.cookie.data() &&
              token->data() + token->size() <= r.cookie.data() + r.cookie.size());
    RC_ASSERT(token->find(';') == std::string_view::npos);
  }
  static const std::vector<ringcast::IpNetwork> trusted = {
      ringcast::parse_ip_network("10.0.0.0/8").value()};
  const auto proxy = ringcast::parse_ip_address("10.0.0.1").value();
  const auto stranger = ringcast::parse_ip_address("192.0.2.7").value();
  RC_ASSERT(client_address(stranger, r.forwarded_for, trusted) == stranger);
  const auto client = client_address(proxy, r.forwarded_for, trusted);
  RC_ASSERT(ringcast::parse_ip_address(to_string(client)).value() == client);
  const std::string appended = std::string(r.forwarded_for) + ", 192.0.2.7";
  RC_ASSERT(client_address(proxy, appended, trusted) == stranger);
}

/// What was read up to here, as text to compare.
void append_outcome(std::string& to, const RequestParser& parser) {
  to += std::to_string(static_cast<int>(parser.state()));
  if (parser.state() == ParseState::failed) {
    const ParseFailure& failure = parser.failure();
    RC_ASSERT(failure.status >= 400 && failure.status <= 505 && !failure.reason.empty());
    RC_ASSERT(!reason_phrase(failure.status).empty());
    to += std::to_string(failure.status);
    append(to, failure.reason);
    return;
  }
  if (parser.state() == ParseState::head) return;
  const Request& r = parser.request();
  RC_ASSERT(r.body.size() <= kLimits.body_bytes);
  RC_ASSERT(r.minor_version <= 1);
  RC_ASSERT(!r.path.empty());
  RC_ASSERT(r.path.front() == '/' || (r.path == "*" && r.method == Method::options));
  to += std::to_string(static_cast<int>(r.method));
  to += std::to_string(r.minor_version);
  to += r.keep_alive ? 'k' : 'c';
  to += r.last_event_id.has_value() ? 'l' : '-';
  std::size_t head_bytes = 0;
  for (const std::string_view field :
       {r.path, r.query, r.last_event_id.value_or(""), r.accept, r.content_type, r.origin, r.host,
        r.if_none_match, r.authorization, r.cookie, r.sec_fetch_site, r.request_method,
        r.forwarded_for, r.forwarded_proto}) {
    RC_ASSERT(field.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    head_bytes += field.size();
    append(to, field);
  }
  RC_ASSERT(head_bytes <= kLimits.header_bytes);
  read_values(r);
  append(to, r.body);
}

/// Parses all requests, each `feed` with at most so many bytes as the next of `sizes` says.
std::string parse(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  std::string seen;
  RequestParser parser(kLimits);
  std::size_t next = 0;
  while (!bytes.empty()) {
    const std::string piece(bytes.substr(0, sizes[next++ % sizes.size()]));
    const std::size_t taken = parser.feed(piece);
    RC_ASSERT(taken <= piece.size());
    bytes.remove_prefix(taken);
    if (parser.state() == ParseState::complete) {
      append_outcome(seen, parser);
      parser.reset(next % 2 == 0 ? 0 : 4096);
    } else if (parser.state() == ParseState::failed) {
      break;
    } else {
      RC_ASSERT(taken == piece.size());
    }
  }
  append_outcome(seen, parser);
  return seen + " left " + std::to_string(bytes.size());
}

void read_query(std::string_view bytes) {
  std::string decoded;
  QueryFields fields(bytes);
  while (const auto field = fields.next()) {
    if (percent_decode(field->value, decoded)) RC_ASSERT(decoded.size() <= field->value.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t cut = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = parse(bytes, {std::max<std::size_t>(bytes.size(), 1)});
  RC_ASSERT(parse(bytes, {1}) == whole);
  RC_ASSERT(parse(bytes, {1 + cut % 16, 1 + cut / 16, 1 + cut}) == whole);
  read_query(bytes);
  return 0;
}
