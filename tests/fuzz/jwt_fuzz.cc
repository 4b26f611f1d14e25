/// Tokens and key sets of any bytes. The first byte says what the rest is:
///
///   p   a payload, signed with the secret under a plain header
///   h   a header, a line end and a payload, signed with the secret
///   j   a JSON Web Key Set
///   …   anything else: the whole is a token as it comes over the wire
///
/// What is accepted must keep its bounds, what is refused must leave the claims as they were, and
/// no token may change how the next one is read.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "ringcast/auth/grants.h"
#include "ringcast/auth/token.h"
#include "ringcast/base/assert.h"

#include "jwks.h"
#include "signing.h"

namespace {

using namespace ringcast;
using auth::TokenFault;

const auth::Algorithms kAccepted = {auth::Algorithm::hs256, auth::Algorithm::rs256,
                                    auth::Algorithm::es256, auth::Algorithm::eddsa};

std::shared_ptr<const auth::KeySet> keys() {
  // The keys of RFC 7515 appendices A.2 and A.3 and of RFC 8037 appendix A.2, so that the same
  // input is the same everywhere.
  static const auto loaded = test::keys_of_jwks(
      {test::jwk(test::kSecret),
       R"({"kty":"RSA","e":"AQAB","kid":"r","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})",
       R"({"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
       R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"},
      kAccepted);
  return loaded;
}

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

void check_accepted(const auth::Claims& claims) {
  RC_ASSERT(auth::user_name_fault(claims.user).empty());
  RC_ASSERT(claims.expires_ms > test::kNowMs);
  RC_ASSERT(claims.expires_ms <=
            253'402'300'799'999 + std::uint64_t{auth::TokenPolicy{}.leeway_seconds} * 1000);
  RC_ASSERT(claims.session != 0);
  if (!claims.grants) return;
  for (const auto* patterns : {&claims.grants->subscribe, &claims.grants->publish}) {
    RC_ASSERT(patterns->size() <= auth::kPatternsMax);
    for (const std::string& pattern : *patterns) RC_ASSERT(auth::check_pattern(pattern).ok());
  }
}

TokenFault verify(std::string_view token) {
  static auth::TokenVerifier kept(keys(), {.algorithms = kAccepted});
  auth::TokenVerifier fresh(keys(), {.algorithms = kAccepted});
  auth::Claims claims{.user = "untouched", .session = 7};
  const TokenFault fault = kept.verify(token, test::kNowMs, claims);
  RC_ASSERT(!auth::to_string(fault).empty());
  if (fault == TokenFault::none) {
    check_accepted(claims);
  } else {
    RC_ASSERT(claims.user == "untouched" && claims.session == 7 && !claims.grants &&
              claims.expires_ms == 0);
  }
  auth::Claims again;
  RC_ASSERT(fresh.verify(token, test::kNowMs, again) == fault);
  RC_ASSERT(fault != TokenFault::none ||
            (again.user == claims.user && again.session == claims.session));
  return fault;
}

void read_payload(std::string_view payload) {
  const TokenFault fault = verify(test::token(auth::Algorithm::hs256, payload));
  switch (fault) {
    case TokenFault::malformed:
    case TokenFault::critical_header:
    case TokenFault::wrong_type:
    case TokenFault::algorithm:
    case TokenFault::unknown_key:
    case TokenFault::signature:
      // The header and the signature are good.
      RC_ASSERT(fault == TokenFault::none);
      break;
    case TokenFault::none: {
      static simdjson::dom::parser whole;
      simdjson::dom::object object;
      RC_ASSERT(whole.parse(payload.data(), payload.size()).get(object) == simdjson::SUCCESS);
      break;
    }
    default:
      break;
  }
}

void read_header(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return;
  const TokenFault fault =
      verify(test::token(auth::Algorithm::hs256, text.substr(0, end), text.substr(end + 1)));
  if (fault != TokenFault::none) return;
  static simdjson::dom::parser whole;
  std::string_view algorithm;
  RC_ASSERT(whole.parse(text.data(), end)["alg"].get(algorithm) == simdjson::SUCCESS &&
            algorithm == "HS256");
}

void read_key_set(std::string_view text) {
  std::vector<auth::Key> read;
  const auto parsed = auth::parse_jwks(text, "keys", read);
  RC_ASSERT(read.size() <= auth::kKeysMax + 1);
  for (const auth::Key& key : read) {
    RC_ASSERT(key.name.starts_with("keys: key "));
    RC_ASSERT(!key.only || auth::key_kind(*key.only) == key.kind);
    if (key.kind == auth::KeyKind::secret) {
      RC_ASSERT(key.secret.size() > 0 && key.pkey == nullptr);
    } else {
      RC_ASSERT(key.secret.size() == 0 && key.pkey != nullptr);
      RC_ASSERT(EVP_PKEY_get_bits(key.pkey.get()) >= 253);
    }
  }
  if (parsed.ok()) return;
  const std::string& message = parsed.error().message;
  RC_ASSERT(message.starts_with("keys: ") && message.size() < 1000 && is_utf8(message));
  for (const char c : message) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  switch (text.front()) {
    case 'p':
      read_payload(text.substr(1));
      break;
    case 'h':
      read_header(text.substr(1));
      break;
    case 'j':
      read_key_set(text.substr(1));
      break;
    default:
      verify(text);
  }
  return 0;
}
