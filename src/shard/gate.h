#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringcast/auth/token.h"
#include "ringcast/base/ip_address.h"
#include "ringcast/http/origin.h"
#include "ringcast/http/request.h"

#include "connection.h"
#include "context.h"

namespace ringcast::shard {

/// Where a request comes from, as far as it can be trusted.
struct Visitor {
  enum class From : std::uint8_t {
    nowhere,  ///< no Origin: a program, or a page of our own that only reads
    own,      ///< a page of our own
    allowed,  ///< a page of an origin that [cors] allows
    foreign,  ///< any other page
  };
  IpAddress address;  ///< of the client, behind trusted proxies
  bool by_proxy = false;
  bool secure = false;  ///< the client speaks TLS with us or with a trusted proxy
  From from = From::nowhere;
  std::optional<http::Origin> origin;  ///< nothing when it is absent, or not an origin at all
};

/// Who a request speaks for.
struct Identity {
  Identity() = default;
  Identity(const Identity&) = delete;  // `grants` may point into `claims`
  Identity& operator=(const Identity&) = delete;

  bool signed_in = false;  ///< false: auth.required is off, so anybody may do anything
  auth::Claims claims;     ///< when signed in
  const auth::Grants* grants = nullptr;

  [[nodiscard]] bool may_read(std::string_view topic) const;
  [[nodiscard]] bool may_publish(std::string_view topic) const;
};

/// Decides who asks and what they may, by the policy in effect. Of the shard's thread.
class Gate {
 public:
  explicit Gate(Context& context) : context_(context) { take_policy(); }

  /// The policy was replaced.
  void take_policy();

  [[nodiscard]] Visitor visitor(const Connection& connection, const http::Request& request) const;

  /// Fills `identity`, which refers to the policy, or says why the request speaks for nobody:
  /// `no-token`, or the fault of the token.
  [[nodiscard]] std::string_view identify(const http::Request& request, Identity& identity);

  /// A request that changes something was sent by somebody else's page, with the cookie that the
  /// browser added to it (cross-site request forgery): the origin is foreign or one that [cors]
  /// does not allow cookies, or is not named while the browser says that it is another one (Fetch
  /// Metadata, `Sec-Fetch-Site`). A bearer token was not added by a browser; other credentials in
  /// Authorization may be.
  [[nodiscard]] bool is_forged(const Visitor& visitor, const http::Request& request) const;

  /// The request names its token itself, `Authorization: Bearer …`.
  [[nodiscard]] static bool has_bearer(const http::Request& request);

  /// Keys of the client in the tables of limits.
  [[nodiscard]] RateTable::Key address_key(const IpAddress& address) const;
  [[nodiscard]] RateTable::Key user_key(std::string_view user) const {
    return context_.services.users.key(user);
  }

  void audit(auth::AuditAction action, const Connection& connection, const Visitor& visitor,
             std::string_view user, std::string_view reason);

 private:
  [[nodiscard]] Visitor::From from(const Visitor& visitor, const http::Request& request) const;

  Context& context_;
  std::shared_ptr<const auth::Access> access_;
  std::optional<auth::TokenVerifier> verifier_;
};

}  // namespace ringcast::shard
