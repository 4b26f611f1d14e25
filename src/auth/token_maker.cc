#include <array>
#include <charconv>
#include <span>

#include "ringcast/auth/token.h"
#include "ringcast/http/response.h"

#include "base64url.h"
#include "key_impl.h"
#include "random.h"
#include "signature.h"

namespace ringcast::auth {
namespace {

constexpr std::uint64_t kSecondsMax = 253'402'300'799;  // the end of the year 9999
constexpr std::size_t kTokenIdBytes = 16;

void append_text(std::string& json, std::string_view text) {
  json += '"';
  http::append_json_escaped(json, text);
  json += '"';
}

void append_number(std::string& json, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  json.append(digits.data(), end.ptr);
}

Result<void> append_patterns(std::string& json, const std::vector<std::string>& patterns) {
  if (patterns.size() > kPatternsMax) return Error{"more than 256 topics"};
  static_assert(kPatternsMax == 256, "the message says so");
  json += '[';
  bool first = true;
  for (const std::string& pattern : patterns) {
    if (auto checked = check_pattern(pattern); !checked) return checked;
    if (!first) json += ',';
    first = false;
    append_text(json, pattern);
  }
  json += ']';
  return {};
}

Result<std::string> make_payload(const NewToken& token) {
  std::array<std::byte, kTokenIdBytes> id;
  if (auto filled = fill_random(id); !filled) return filled.error();

  std::string json = R"({"sub":)";
  append_text(json, token.user);
  json += R"(,"iat":)";
  append_number(json, token.issued_s);
  json += R"(,"exp":)";
  append_number(json, token.issued_s + token.seconds);
  json += R"(,"jti":")";
  append_base64url(json, std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
  json += '"';
  if (!token.issuer.empty()) {
    json += R"(,"iss":)";
    append_text(json, token.issuer);
  }
  if (!token.audience.empty()) {
    json += R"(,"aud":)";
    append_text(json, token.audience);
  }
  if (token.grants != nullptr) {
    json += R"(,"ringcast":{"subscribe":)";
    if (auto added = append_patterns(json, token.grants->subscribe); !added) return added.error();
    json += R"(,"publish":)";
    if (auto added = append_patterns(json, token.grants->publish); !added) return added.error();
    json += '}';
  }
  json += '}';
  return json;
}

/// The first that the key can sign with.
std::optional<Algorithm> choose(const KeySet& keys, const Algorithms& algorithms) {
  if (!keys.can_sign()) return std::nullopt;
  for (const Algorithm algorithm : algorithms) {
    if (keys.impl().signer->serves(algorithm)) return algorithm;
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> make_token(const KeySet& keys, const Algorithms& algorithms,
                               const NewToken& token) {
  const auto algorithm = choose(keys, algorithms);
  if (!algorithm) {
    return Error{"tokens cannot be made without a secret file and an HS… algorithm"};
  }
  if (const auto fault = user_name_fault(token.user); !fault.empty()) {
    return Error{"user: " + std::string(fault)};
  }
  if (token.seconds > kSecondsMax || token.issued_s > kSecondsMax - token.seconds) {
    return Error{"a token cannot be valid beyond the year 9999"};
  }
  const auto payload = make_payload(token);
  if (!payload) return payload.error();

  std::string made;
  append_base64url(made, R"({"alg":")" + std::string(to_string(*algorithm)) + R"(","typ":"JWT"})");
  made += '.';
  append_base64url(made, payload.value());
  Hmac hmac(keys.impl().signer->secret, hash_of(*algorithm));
  std::array<unsigned char, kHashBytesMax> signature;
  const std::size_t bytes = hmac.compute(made, signature);
  if (bytes == 0) return Error{"the token cannot be signed: no memory"};
  made += '.';
  append_base64url(made, std::span<const unsigned char>(signature.data(), bytes));
  if (made.size() > kTokenBytesMax) {
    return Error{"the topics make the token longer than " + std::to_string(kTokenBytesMax) +
                 " bytes"};
  }
  return made;
}

}  // namespace ringcast::auth
