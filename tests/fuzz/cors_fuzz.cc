/// Origins and cross-origin rules on any bytes. The first byte chooses the options, the first line
/// is what a client sent, the others are patterns of a configuration. What is allowed is what a
/// simple matcher allows, and nothing but known lines is written.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringcast/base/assert.h"
#include "ringcast/http/cors.h"

#include "../unit/http/cors_reference.h"

namespace {

using namespace ringcast::http;

constexpr std::string_view kOriginCharacters = "abcdefghijklmnopqrstuvwxyz0123456789.-_:/[]";

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

void check_origin(std::string_view text) {
  const auto origin = parse_origin(text);
  if (!origin) return;
  RC_ASSERT(origin->text.find_first_not_of(kOriginCharacters) == std::string::npos);
  RC_ASSERT(parse_origin(origin->text) == origin);
  RC_ASSERT(check_origin_pattern(text).ok());
  if (origin->text == "null") return;
  const std::string host = origin->text.substr(origin->text.find("://") + 3);
  const bool https = origin->text.starts_with("https:");
  RC_ASSERT(is_same_origin(*origin, host, https));
  RC_ASSERT(is_same_origin(*origin, host, false));
  RC_ASSERT(!is_same_origin(*origin, host + "0", https));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view sent = take_line(text);
  check_origin(sent);
  const auto origin = parse_origin(sent);

  CorsOptions options;
  options.allow_credentials = (data[0] & 1) != 0;
  options.max_age_seconds = data[0] * 16'000'000U;
  bool any = false;
  bool match = false;
  while (!text.empty()) {
    const std::string_view pattern = take_line(text);
    check_origin(pattern);
    if (const auto checked = check_origin_pattern(pattern); !checked) {
      const std::string& reason = checked.error().message;
      RC_ASSERT(!reason.empty() && reason.size() < 200);
      for (const char c : reason) RC_ASSERT(c >= 0x20 && c < 0x7f);
      continue;
    }
    options.allow_origins.emplace_back(pattern);
    any = any || pattern == "*";
    match = match || (origin && test::reference_allows(pattern, origin->text));
  }
  const CorsPolicy policy(options);
  RC_ASSERT((origin && policy.allows(*origin)) == match);
  const std::string_view answer = !match ? "" : any ? "*" : std::string_view(origin->text);
  std::string lines;
  std::string preflight;
  policy.append_lines(lines, origin ? &*origin : nullptr);
  policy.append_preflight_lines(preflight, origin ? &*origin : nullptr);
  const bool credentials = options.allow_credentials && !any;
  test::require_cors_lines(lines, answer, credentials, false, 0);
  test::require_cors_lines(preflight, answer, credentials, true, options.max_age_seconds);
  return 0;
}
