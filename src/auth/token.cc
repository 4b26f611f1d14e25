#include "ringcast/auth/token.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include <simdjson.h>
#include <xxhash.h>

#include "ringcast/base/assert.h"

#include "base64url.h"
#include "json.h"
#include "key_impl.h"
#include "signature.h"

namespace ringcast::auth {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kDecodedBytesMax = base64url_bytes(kTokenBytesMax);
constexpr std::uint64_t kSecondsMax = 253'402'300'799;  // the end of the year 9999
constexpr std::size_t kTriesMax = 8;                    // keys that one token is tried with

/// The parts of the compact form (RFC 7515 section 7.1).
struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view signed_text;  ///< header and payload with the dot between them
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  // A third dot would be in the signature, where it is no digit.
  return Parts{.header = token.substr(0, first),
               .payload = token.substr(first + 1, second - first - 1),
               .signature = token.substr(second + 1),
               .signed_text = token.substr(0, second)};
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}

/// `typ` is a media type, whose case does not count and which may go without its `application/`
/// (RFC 7515 section 4.1.9). RFC 7519 section 5.1 recommends `JWT`; RFC 9068 section 4 wants
/// `at+jwt` of an access token. Many issuers write none. Anything else is a token for another
/// purpose, such as `logout+jwt` or `dpop+jwt`, which must not pass for one of ours (RFC 8725
/// section 3.11).
bool is_good_type(std::string_view type) {
  constexpr std::string_view kPrefix = "application/";
  if (type.size() > kPrefix.size() && equals_ignoring_case(type.substr(0, kPrefix.size()), kPrefix))
    type.remove_prefix(kPrefix.size());
  return equals_ignoring_case(type, "jwt") || equals_ignoring_case(type, "at+jwt");
}

struct Header {
  Algorithm algorithm{};
  std::optional<std::string_view> kid;
};

/// `jku`, `jwk`, `x5u` and `x5c` are not looked at: a token does not bring its own key.
TokenFault read_header(dom::object object, const Algorithms& accepted, Header& header) {
  std::optional<Algorithm> algorithm;
  bool is_critical = false;
  bool is_wrong_type = false;
  for (const auto [name, value] : object) {
    std::string_view text;
    if (name == "crit") {
      is_critical = true;
    } else if (name == "alg") {
      if (value.get(text) == simdjson::SUCCESS) algorithm = parse_algorithm(text);
    } else if (name == "kid") {
      if (value.get(text) != simdjson::SUCCESS) return TokenFault::malformed;
      header.kid = text;
    } else if (name == "typ") {
      if (value.get(text) != simdjson::SUCCESS) return TokenFault::malformed;
      is_wrong_type = !is_good_type(text);
    }
  }
  if (is_critical) return TokenFault::critical_header;
  if (!algorithm || !contains(accepted, *algorithm)) return TokenFault::algorithm;
  header.algorithm = *algorithm;
  return is_wrong_type ? TokenFault::wrong_type : TokenFault::none;
}

/// NumericDate (RFC 7519 section 2), in milliseconds. Nothing if it is no number, or one before
/// 1970 or after the year 9999.
std::optional<std::uint64_t> read_date_ms(dom::element value) {
  std::uint64_t seconds = 0;
  if (value.get(seconds) == simdjson::SUCCESS) {
    if (seconds > kSecondsMax) return std::nullopt;
    return seconds * 1000;
  }
  if (!value.is_double()) return std::nullopt;
  double fraction = 0;
  // So that what is no number would be refused too.
  if (value.get(fraction) != simdjson::SUCCESS ||
      !(fraction >= 0 && fraction <= static_cast<double>(kSecondsMax))) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(fraction * 1000);
}

bool read_patterns(dom::element value, std::vector<std::string>& patterns) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS || array.size() > kPatternsMax) return false;
  patterns.reserve(array.size());
  for (const dom::element item : array) {
    std::string_view pattern;
    if (item.get(pattern) != simdjson::SUCCESS || !check_pattern(pattern)) return false;
    patterns.emplace_back(pattern);
  }
  return true;
}

/// A member that we do not know might forbid something: it is refused, not passed over.
bool read_grants(dom::object object, std::vector<std::string_view>& names, Grants& grants) {
  if (!names_differ(object, names)) return false;
  for (const auto [name, value] : object) {
    if (name == "subscribe") {
      if (!read_patterns(value, grants.subscribe)) return false;
    } else if (name == "publish") {
      if (!read_patterns(value, grants.publish)) return false;
    } else {
      return false;
    }
  }
  return true;
}

/// The members of the payload that we look at, of the right type.
struct Payload {
  std::optional<std::uint64_t> exp_ms, nbf_ms, iat_ms;
  std::optional<std::string_view> sub;
  bool issuer_fits = false;
  bool audience_fits = false;
  std::optional<dom::object> ringcast;
};

/// RFC 7519 section 4.1.3.
bool read_audience(dom::element value, std::string_view wanted, bool& fits) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    fits = text == wanted;
    return true;
  }
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return false;
  for (const dom::element item : array) {
    if (item.get(text) != simdjson::SUCCESS) return false;
    fits = fits || text == wanted;
  }
  return true;
}

/// False: a member is of the wrong type or out of range.
bool read_member(std::string_view name, dom::element value, const TokenPolicy& policy,
                 Payload& payload) {
  const auto read_date = [&](std::optional<std::uint64_t>& date) {
    date = read_date_ms(value);
    return date.has_value();
  };
  std::string_view text;
  if (name == "exp") return read_date(payload.exp_ms);
  if (name == "nbf") return read_date(payload.nbf_ms);
  if (name == "iat") return read_date(payload.iat_ms);
  if (name == "sub") {
    if (value.get(text) != simdjson::SUCCESS) return false;
    payload.sub = text;
  } else if (name == "iss" && !policy.issuer.empty()) {
    if (value.get(text) != simdjson::SUCCESS) return false;
    payload.issuer_fits = text == policy.issuer;
  } else if (name == "aud" && !policy.audience.empty()) {
    return read_audience(value, policy.audience, payload.audience_fits);
  } else if (name == "ringcast") {
    dom::object grants;
    if (value.get(grants) != simdjson::SUCCESS) return false;
    payload.ringcast = grants;
  }
  return true;
}

TokenFault check_payload(const Payload& payload, const TokenPolicy& policy, std::uint64_t now_ms) {
  const std::uint64_t leeway_ms = std::uint64_t{policy.leeway_seconds} * 1000;
  if (!payload.exp_ms) return TokenFault::no_expiry;
  // RFC 7519 section 4.1.4: on that time or after it.
  if (now_ms >= *payload.exp_ms + leeway_ms) return TokenFault::expired;
  if (payload.nbf_ms && *payload.nbf_ms > now_ms + leeway_ms) return TokenFault::not_yet_valid;
  if (payload.iat_ms && *payload.iat_ms > now_ms + leeway_ms) return TokenFault::issued_in_future;
  if (!policy.issuer.empty() && !payload.issuer_fits) return TokenFault::issuer;
  if (!policy.audience.empty() && !payload.audience_fits) return TokenFault::audience;
  if (!payload.sub || !user_name_fault(*payload.sub).empty()) return TokenFault::no_user;
  return TokenFault::none;
}

/// Of the signed text, not of the whole token. A second signature of the same text can be made out
/// of a good one without the key: with ECDSA, (r, n - s) holds whenever (r, s) does. Were it
/// another session, whoever signed out could go on with it, and a thief could too.
std::uint64_t session_of(std::string_view signed_text) {
  const std::uint64_t hash = XXH3_64bits(signed_text.data(), signed_text.size());
  return hash == 0 ? 1 : hash;
}

}  // namespace

struct TokenVerifier::Impl {
  std::shared_ptr<const KeySet> keys;
  TokenPolicy policy;
  // For each key and algorithm, made when a token first needs it.
  std::vector<std::unique_ptr<SignatureCheck>> checks;
  dom::parser parser;
  std::size_t parser_capacity = 0;
  std::vector<std::string_view> names;
  // The header, and later the payload.
  std::array<unsigned char, kDecodedBytesMax + simdjson::SIMDJSON_PADDING> json;
  std::array<unsigned char, kDecodedBytesMax> signature;

  Impl(std::shared_ptr<const KeySet> with_keys, TokenPolicy with_policy)
      : keys(std::move(with_keys)), policy(std::move(with_policy)) {
    checks.resize(keys->impl().keys.size() * kAlgorithms);
    reserve(1024);
    names.reserve(32);
  }

  bool reserve(std::size_t bytes);
  TokenFault parse(std::string_view part, TokenFault if_no_object, dom::object& object);
  bool signature_holds(std::size_t key, Algorithm algorithm, std::string_view text,
                       std::size_t signature_bytes);
  TokenFault check_signature(const Header& header, const Parts& parts);
  TokenFault verify(std::string_view token, std::uint64_t now_ms, Claims& claims);
};

bool TokenVerifier::Impl::reserve(std::size_t bytes) {
  if (bytes <= parser_capacity) return true;
  while (parser_capacity < bytes)
    parser_capacity = std::max<std::size_t>(1024, parser_capacity * 2);
  if (parser.allocate(parser_capacity, kJsonDepthMax) == simdjson::SUCCESS &&
      parser.doc.allocate(parser_capacity) == simdjson::SUCCESS) {
    return true;
  }
  parser_capacity = 0;
  return false;
}

/// Decodes a part of the token. What it gives lives until the next call.
TokenFault TokenVerifier::Impl::parse(std::string_view part, TokenFault if_no_object,
                                      dom::object& object) {
  const auto bytes = decode_base64url(part, json);
  if (!bytes) return TokenFault::malformed;
  std::memset(json.data() + *bytes, 0, simdjson::SIMDJSON_PADDING);
  dom::element root;
  if (!reserve(*bytes) || parser.parse(json.data(), *bytes, false).get(root) != simdjson::SUCCESS ||
      root.get(object) != simdjson::SUCCESS || !names_differ(object, names)) {
    return if_no_object;
  }
  return TokenFault::none;
}

bool TokenVerifier::Impl::signature_holds(std::size_t key, Algorithm algorithm,
                                          std::string_view text, std::size_t signature_bytes) {
  auto& check = checks[key * kAlgorithms + static_cast<std::size_t>(algorithm)];
  if (check == nullptr) {
    check = std::make_unique<SignatureCheck>(keys->impl().keys[key], algorithm);
  }
  return check->holds(text, std::span(signature.data(), signature_bytes));
}

TokenFault TokenVerifier::Impl::check_signature(const Header& header, const Parts& parts) {
  const auto signature_bytes = decode_base64url(parts.signature, signature);
  if (!signature_bytes) return TokenFault::malformed;

  const std::vector<Key>& all = keys->impl().keys;
  std::size_t tries = 0;
  const auto holds = [&](std::size_t i) {
    return all[i].serves(header.algorithm) && tries < kTriesMax && ++tries != 0 &&
           signature_holds(i, header.algorithm, parts.signed_text, *signature_bytes);
  };
  if (header.kid) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].kid == header.kid && holds(i)) return TokenFault::none;
    }
  }
  // Those without a kid stand first. A kid in the token leaves out the keys of another one.
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (header.kid && all[i].kid) break;
    if (holds(i)) return TokenFault::none;
  }
  return tries == 0 ? TokenFault::unknown_key : TokenFault::signature;
}

TokenFault TokenVerifier::Impl::verify(std::string_view token, std::uint64_t now_ms,
                                       Claims& claims) {
  if (token.size() > kTokenBytesMax) return TokenFault::too_long;
  const auto parts = split(token);
  if (!parts) return TokenFault::malformed;

  dom::object object;
  Header header;
  TokenFault fault = parse(parts->header, TokenFault::malformed, object);
  if (fault == TokenFault::none) fault = read_header(object, policy.algorithms, header);
  if (fault == TokenFault::none) fault = check_signature(header, *parts);
  if (fault != TokenFault::none) return fault;

  // Only now the payload is anything but bytes; the header's texts are gone with this.
  fault = parse(parts->payload, TokenFault::bad_claim, object);
  if (fault != TokenFault::none) return fault;
  Payload payload;
  for (const auto [name, value] : object) {
    if (!read_member(name, value, policy, payload)) return TokenFault::bad_claim;
  }
  std::optional<Grants> grants;
  if (payload.ringcast && !read_grants(*payload.ringcast, names, grants.emplace())) {
    return TokenFault::bad_claim;
  }
  fault = check_payload(payload, policy, now_ms);
  if (fault != TokenFault::none) return fault;

  claims.user.assign(*payload.sub);
  claims.grants = std::move(grants);
  claims.expires_ms = *payload.exp_ms + std::uint64_t{policy.leeway_seconds} * 1000;
  claims.session = session_of(parts->signed_text);
  return TokenFault::none;
}

TokenVerifier::TokenVerifier(std::shared_ptr<const KeySet> keys, TokenPolicy policy) {
  RC_ASSERT(keys != nullptr);
  impl_ = std::make_unique<Impl>(std::move(keys), std::move(policy));
}
TokenVerifier::TokenVerifier(TokenVerifier&&) noexcept = default;
TokenVerifier& TokenVerifier::operator=(TokenVerifier&&) noexcept = default;
TokenVerifier::~TokenVerifier() = default;

TokenFault TokenVerifier::verify(std::string_view token, std::uint64_t now_ms, Claims& claims) {
  return impl_->verify(token, now_ms, claims);
}

std::string_view to_string(TokenFault fault) {
  switch (fault) {
    case TokenFault::none:
      return "none";
    case TokenFault::too_long:
      return "too-long";
    case TokenFault::malformed:
      return "malformed";
    case TokenFault::critical_header:
      return "critical-header";
    case TokenFault::wrong_type:
      return "wrong-type";
    case TokenFault::algorithm:
      return "algorithm";
    case TokenFault::unknown_key:
      return "unknown-key";
    case TokenFault::signature:
      return "signature";
    case TokenFault::bad_claim:
      return "bad-claim";
    case TokenFault::no_expiry:
      return "no-expiry";
    case TokenFault::expired:
      return "expired";
    case TokenFault::not_yet_valid:
      return "not-yet-valid";
    case TokenFault::issued_in_future:
      return "issued-in-future";
    case TokenFault::issuer:
      return "issuer";
    case TokenFault::audience:
      return "audience";
    case TokenFault::no_user:
      return "no-user";
  }
  return "unknown";
}

}  // namespace ringcast::auth
