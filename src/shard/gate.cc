#include "gate.h"

#include <algorithm>

#include "ringcast/http/cookies.h"
#include "ringcast/http/forwarded.h"

namespace ringcast::shard {
namespace {

/// RFC 6750 section 2.1; the scheme ignores case (RFC 9110 section 11.1).
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kScheme[i]) return {};
  }
  authorization.remove_prefix(kScheme.size());
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!authorization.empty() && blank(authorization.front())) authorization.remove_prefix(1);
  return authorization;
}

std::string_view as_text(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()};
}

}  // namespace

bool Identity::may_read(std::string_view topic) const {
  return !signed_in || topic.empty() || auth::is_own_topic(topic, claims.user) ||
         auth::allows(grants->subscribe, topic, claims.user);
}

bool Identity::may_publish(std::string_view topic) const {
  return !signed_in || auth::allows(grants->publish, topic, claims.user);
}

void Gate::take_policy() {
  if (access_ == context_.policy->access) return;
  access_ = context_.policy->access;
  verifier_.reset();
  if (access_->required) verifier_.emplace(access_->keys, access_->tokens);
}

Visitor Gate::visitor(const Connection& connection, const http::Request& request) const {
  const Policy& policy = *context_.policy;
  Visitor visitor;
  visitor.by_proxy = http::is_trusted(connection.peer, policy.trusted_proxies);
  visitor.address = connection.peer;
  visitor.secure = connection.at.tls;  // unless a proxy knows better
  if (visitor.by_proxy) {
    visitor.address =
        http::client_address(connection.peer, request.forwarded_for, policy.trusted_proxies);
    if (!request.forwarded_proto.empty()) visitor.secure = request.forwarded_proto == "https";
  }
  if (!request.origin.empty()) {
    visitor.origin = http::parse_origin(request.origin);
    visitor.from = from(visitor, request);
  }
  return visitor;
}

Visitor::From Gate::from(const Visitor& visitor, const http::Request& request) const {
  if (!visitor.origin) return Visitor::From::foreign;
  const Policy& policy = *context_.policy;
  if (http::is_same_origin(*visitor.origin, request.host, visitor.secure)) {
    return Visitor::From::own;
  }
  if (std::ranges::find(policy.public_origins, *visitor.origin) != policy.public_origins.end()) {
    return Visitor::From::own;
  }
  return policy.cors.allows(*visitor.origin) ? Visitor::From::allowed : Visitor::From::foreign;
}

std::string_view Gate::identify(const http::Request& request, Identity& identity) {
  identity.signed_in = false;
  identity.claims = {};
  identity.grants = nullptr;
  if (!access_->required) return {};
  // Other credentials in Authorization are for a proxy in front of us.
  std::string_view token = bearer_token(request.authorization);
  if (token.empty()) {
    token = http::find_cookie(request.cookie, access_->cookie).value_or(std::string_view());
  }
  if (token.empty()) return "no-token";
  const auth::TokenFault fault = verifier_->verify(token, context_.now.unix_ms, identity.claims);
  if (fault != auth::TokenFault::none) return auth::to_string(fault);
  if (context_.services.signed_out.contains(identity.claims.session)) return "signed-out";
  identity.signed_in = true;
  identity.grants =
      identity.claims.grants ? &*identity.claims.grants : &access_->grants_of(identity.claims.user);
  return {};
}

bool Gate::is_forged(const Visitor& visitor, const http::Request& request) const {
  if (has_bearer(request)) return false;
  if (!request.origin.empty()) {
    const bool cookies_allowed =
        visitor.from == Visitor::From::allowed && context_.policy->cors.allows_credentials();
    return visitor.from != Visitor::From::own && !cookies_allowed;
  }
  const std::string_view site = request.sec_fetch_site;
  return !site.empty() && site != "same-origin" && site != "none";
}

bool Gate::has_bearer(const http::Request& request) {
  return !bearer_token(request.authorization).empty();
}

RateTable::Key Gate::address_key(const IpAddress& address) const {
  return context_.services.addresses.key(as_text(address.limited()));
}

void Gate::audit(auth::AuditAction action, const Connection& connection, const Visitor& visitor,
                 std::string_view user, std::string_view reason) {
  if (context_.services.audit == nullptr) return;
  context_.services.audit->record({.action = action,
                                   .request_id = connection.at.request_id,
                                   .address = visitor.address,
                                   .user = std::string(user),
                                   .reason = std::string(reason)});
}

}  // namespace ringcast::shard
