// Signing in with a password, signing out, and who one is.

#include <algorithm>
#include <cstring>

#include "ringcast/auth/token.h"
#include "ringcast/base/assert.h"

#include "credentials.h"
#include "requests.h"

namespace ringcast::shard {
namespace {

constexpr std::uint32_t kOverloadRetrySeconds = 2;

std::string_view to_text(auth::SameSite same_site) {
  switch (same_site) {
    case auth::SameSite::lax:
      return "Lax";
    case auth::SameSite::strict:
      return "Strict";
    case auth::SameSite::none:
      break;
  }
  return "None";
}

}  // namespace

std::string Requests::cookie(std::string_view token) const {
  const auth::Access& access = *context_.policy->access;
  std::string text = access.cookie;
  text += '=';
  text += token;
  text += "; Path=/; Max-Age=";
  text += std::to_string(token.empty() ? 0 : access.token_seconds);
  text += "; HttpOnly; SameSite=";
  text += to_text(access.same_site);
  // Browsers drop SameSite=None without Secure.
  if (visitor_.secure || access.same_site == auth::SameSite::none) text += "; Secure";
  return text;
}

void Requests::refuse_login(Connection& connection, std::uint64_t wait_ns) {
  context_.counters.limited_login.add();
  gate_.audit(auth::AuditAction::login_failed, connection, visitor_, connection.user,
              "too-many-attempts");
  answer_error(connection, 429, "too many attempts to sign in", whole_seconds(wait_ns));
}

void Requests::handle_login(Connection& connection, const http::Request& request) {
  const auth::Access& access = *context_.policy->access;
  const Services& services = context_.services;
  if (!access.required || access.users == nullptr || services.passwords == nullptr) {
    answer_error(connection, 404, "there is no sign-in by password here");
    return;
  }
  if (refuse_forged(connection, request)) return;
  Credentials given = read_credentials(request.content_type, request.body);
  if (given.status != 0) {
    answer_error(connection, given.status, given.fault);
    return;
  }
  connection.user = given.username;
  const LimitOptions& limits = context_.policy->limits;
  if (const std::uint64_t wait_ns = services.addresses.try_take(
          gate_.address_key(visitor_.address), static_cast<std::size_t>(AddressBucket::login),
          TokenRate::per_minute(limits.login_per_minute_per_address,
                                limits.login_per_minute_per_address),
          context_.now);
      wait_ns != 0) {
    refuse_login(connection, wait_ns);
    return;
  }
  if (const std::uint64_t wait_ns = services.users.try_take(
          gate_.user_key(given.username), static_cast<std::size_t>(UserBucket::login),
          TokenRate::per_minute(limits.login_per_minute_per_user, limits.login_per_minute_per_user),
          context_.now);
      wait_ns != 0) {
    refuse_login(connection, wait_ns);
    return;
  }
  const auth::PasswordFile::Entry entry = access.users->find(given.username);
  if (!services.passwords->submit({.shard = context_.options.index,
                                   .request = connection.at.request_id,
                                   .password = std::move(given.password),
                                   .hash = std::string(entry.hash),
                                   .known = entry.known})) {
    context_.counters.logins_overloaded.add();
    gate_.audit(auth::AuditAction::login_failed, connection, visitor_, connection.user,
                "too-many-waiting");
    answer_error(connection, 503, "too many people are signing in", kOverloadRetrySeconds);
    return;
  }
  waiting_for_password_.emplace(connection.at.request_id,
                                context_.table.handle(connection.at.slot));
  connection.at.state = Connection::State::waiting;
  set_deadline(connection, Deadline::password);
}

void Requests::give_up_password(const Connection& connection) {
  waiting_for_password_.erase(connection.at.request_id);
  context_.services.passwords->cancel(context_.options.index, connection.at.request_id);
}

void Requests::take_verdicts() {
  auth::PasswordDesk* const desk = context_.services.passwords;
  if (desk == nullptr || !desk->has_verdicts(context_.options.index)) return;
  desk->take(context_.options.index, verdicts_);
  for (const auth::PasswordVerdict& verdict : verdicts_) handle_verdict(verdict);
}

void Requests::handle_verdict(const auth::PasswordVerdict& verdict) {
  const auto waiting = waiting_for_password_.find(verdict.request);
  if (waiting == waiting_for_password_.end()) return;
  Connection* const found = find(waiting->second);
  waiting_for_password_.erase(waiting);
  RC_ASSERT(found != nullptr && found->at.deadline == Deadline::password);
  Connection& connection = *found;
  const http::Request& request = connection.parser.request();
  prepare(connection);
  set_deadline(connection, Deadline::none);
  if (!verdict.fits) {
    context_.counters.logins_refused.add();
    gate_.audit(auth::AuditAction::login_failed, connection, visitor_, connection.user,
                "invalid-credentials");
    answer_error(connection, 401, "invalid credentials");
    return;
  }
  const auth::Access& access = *context_.policy->access;
  const std::uint64_t now_s = context_.now.unix_ms / 1000;
  const auto token = access.required ? auth::make_token(*access.keys, access.tokens.algorithms,
                                                        {.user = connection.user,
                                                         .issued_s = now_s,
                                                         .seconds = access.token_seconds,
                                                         .issuer = access.tokens.issuer,
                                                         .audience = access.tokens.audience})
                                     : Error{"signing in was switched off"};
  if (!token) {
    gate_.audit(auth::AuditAction::login_failed, connection, visitor_, connection.user,
                token.error().message);
    answer_error(connection, 503, "signing in does not work at the moment", kOverloadRetrySeconds);
    return;
  }
  context_.counters.logins_accepted.add();
  gate_.audit(auth::AuditAction::login, connection, visitor_, connection.user, {});
  const bool keep = keep_alive(request);
  add_request_id(connection);
  add_line("Cache-Control", "no-store");
  add_line("Set-Cookie", cookie(token.value()));
  http::ResponseWriter(connection.output, 200, head(keep))
      .body("application/json", R"({"status":"ok"})");
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

void Requests::handle_logout(Connection& connection, const http::Request& request) {
  if (!context_.policy->access->required) {
    answer_error(connection, 404, "there is no sign-in here");
    return;
  }
  if (refuse_forged(connection, request)) return;
  const std::string_view fault = gate_.identify(request, identity_);
  if (!fault.empty()) {
    gate_.audit(auth::AuditAction::token_refused, connection, visitor_, {}, fault);
    // Nobody to sign out; the cookie, whatever it was, is of no use any more.
    const bool keep = keep_alive(request);
    add_request_id(connection);
    add_line("Set-Cookie", cookie({}));
    http::ResponseWriter(connection.output, 204, head(keep)).no_body();
    answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
    return;
  }
  const hub::SignOut what{.session = identity_.claims.session,
                          .expires_ms = identity_.claims.expires_ms};
  std::string data(sizeof what, '\0');
  std::memcpy(data.data(), &what, sizeof what);
  std::string topic(auth::kUserTopicPrefix);
  topic += identity_.claims.user;
  if (!send_command(connection, {.kind = hub::RecordKind::sign_out},
                    {.topic = topic, .data = data})) {
    answer_error(connection, 503, "too many events are waiting to be sent", kOverloadRetrySeconds);
    return;
  }
  gate_.audit(auth::AuditAction::logout, connection, visitor_, identity_.claims.user, {});
  // From now on nobody takes the token. Every shard ends its streams when it comes to the record,
  // before it sends them anything that was published after the answer.
  context_.services.signed_out.add(identity_.claims.session, identity_.claims.expires_ms,
                                   context_.now.unix_ms);
}

void Requests::handle_session(Connection& connection, const http::Request& request) {
  if (!identify(connection, request)) return;
  std::string json = R"({"required":false,"user":null,"expires_in":null})";
  if (identity_.signed_in) {
    const std::uint64_t leeway_ms =
        std::uint64_t{1000} * context_.policy->access->tokens.leeway_seconds;
    const std::uint64_t expires_ms =
        std::max(identity_.claims.expires_ms - leeway_ms, context_.now.unix_ms);
    json = R"({"required":true,"user":")";
    http::append_json_escaped(json, identity_.claims.user);
    json += R"(","expires_in":)";
    json += std::to_string((expires_ms - context_.now.unix_ms) / 1000);
    json += '}';
  }
  const bool keep = keep_alive(request);
  add_line("Cache-Control", "no-store");
  http::ResponseWriter(connection.output, 200, head(keep)).body("application/json", json);
  answer(connection, keep ? AfterOutput::next_request : AfterOutput::close);
}

}  // namespace ringcast::shard
