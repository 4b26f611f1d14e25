#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringcast/auth/algorithm.h"
#include "ringcast/auth/grants.h"
#include "ringcast/auth/keys.h"
#include "ringcast/base/result.h"

namespace ringcast::auth {

/// What is asked of a token besides its signature.
struct TokenPolicy {
  Algorithms algorithms;             ///< accepted; what the token says only chooses among them
  std::string issuer;                ///< `iss` must be this; "" = not looked at
  std::string audience;              ///< `aud` must be or contain this; "" = not looked at
  std::uint32_t leeway_seconds = 5;  ///< of `exp`, `nbf` and `iat`, for clocks that differ

  friend bool operator==(const TokenPolicy&, const TokenPolicy&) = default;
};

inline constexpr std::size_t kTokenBytesMax = 8192;  // longer is refused unread

/// What a verified token says.
struct Claims {
  std::string user;              ///< `sub`: a good user name
  std::optional<Grants> grants;  ///< `ringcast`: {"subscribe":[…],"publish":[…]}; absent = none
  std::uint64_t expires_ms = 0;  ///< `exp` with the leeway, unix milliseconds
  std::uint64_t session = 0;     ///< names this very token: a hash of what is signed, never 0
};

/// Why a token is refused: for the audit line, never for the client.
enum class TokenFault : std::uint8_t {
  none,
  too_long,
  malformed,        ///< not three parts of base64url without padding, not JSON, names repeated
  critical_header,  ///< `crit`: extensions that we do not know (RFC 7515 section 4.1.11)
  wrong_type,       ///< `typ` names what is neither a JWT nor an access token (RFC 9068)
  algorithm,        ///< absent, unknown or not accepted
  unknown_key,      ///< no key of that `kid`, or of the kind that the algorithm needs
  signature,
  bad_claim,  ///< of the wrong type, repeated, or out of range
  no_expiry,
  expired,
  not_yet_valid,     ///< `nbf`
  issued_in_future,  ///< `iat`
  issuer,
  audience,
  no_user,  ///< `sub` absent or no good user name
};
[[nodiscard]] std::string_view to_string(TokenFault fault);  ///< `expired`, `unknown-key`, …

/// Verifies JSON Web Tokens in the compact form (RFC 7519, RFC 7515). Follows RFC 8725: the
/// algorithm is one of the policy's and fits the kind of the key, whatever the token says; nothing
/// of the payload is read before the signature holds.
///
/// One for each thread: holds contexts of OpenSSL and a JSON parser, which are reused, so that a
/// verification allocates little and fetches nothing. Cost of HS256: a few microseconds.
class TokenVerifier {
 public:
  TokenVerifier(std::shared_ptr<const KeySet> keys, TokenPolicy policy);
  TokenVerifier(TokenVerifier&&) noexcept;
  TokenVerifier& operator=(TokenVerifier&&) noexcept;
  ~TokenVerifier();

  /// `claims` is filled only for TokenFault::none. `now_ms` is unix time.
  [[nodiscard]] TokenFault verify(std::string_view token, std::uint64_t now_ms, Claims& claims);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct NewToken {
  std::string_view user;
  const Grants* grants = nullptr;  ///< written into the claim `ringcast`; null = no such claim
  std::uint64_t issued_s = 0;      ///< unix seconds
  std::uint64_t seconds = 3600;    ///< until it expires
  std::string_view issuer;         ///< "" = no such claim
  std::string_view audience;
};

/// Makes a token, signed with the secret of the secret file under the first HS… algorithm of
/// `algorithms`. With a random `jti`, so that no two are alike. Any thread. The error: `keys`
/// cannot sign, or the token would be one that TokenVerifier refuses: the user's name, the time, a
/// pattern, more patterns than fit.
[[nodiscard]] Result<std::string> make_token(const KeySet& keys, const Algorithms& algorithms,
                                             const NewToken& token);

}  // namespace ringcast::auth
