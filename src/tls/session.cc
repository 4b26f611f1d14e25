#include "ringcast/tls/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ringcast/base/assert.h"

#include "context_impl.h"
#include "openssl_error.h"
#include "ssl_end.h"

namespace ringcast::tls {
namespace {

using namespace std::string_view_literals;

constexpr char kHandshakeRecord = 22;  // RFC 8446 appendix B.1

/// The beginnings of what an HTTP client says, as long as the header of a record.
constexpr std::array kHttpFronts = {"GET "sv,  "POST "sv, "HEAD "sv, "PUT "sv,  "OPTIO"sv,
                                    "DELET"sv, "PATCH"sv, "TRACE"sv, "CONNE"sv, "PRI *"sv};

}  // namespace

std::string_view to_string(SessionFault fault) {
  switch (fault) {
    case SessionFault::none:
      return "none";
    case SessionFault::plain_http:
      return "plain HTTP";
    case SessionFault::not_tls:
      return "not TLS";
    case SessionFault::no_agreement:
      return "no agreement";
    case SessionFault::refused_by_client:
      return "refused by the client";
    case SessionFault::left:
      return "left";
    case SessionFault::protocol:
      return "protocol";
  }
  return {};
}

Session::Session(std::shared_ptr<const Context> context, const SessionLimits& limits)
    : limits_(limits),
      context_(std::move(context)),
      end_(std::make_unique<SslEnd>(context_->impl().fallback, SslEnd::Side::server)) {}

Session::~Session() = default;

SessionState Session::feed(std::string_view bytes, std::string& plaintext) {
  while (live() && !bytes.empty()) {
    if (!sniffed_) sniff(end_->front(bytes));
    if (!live()) break;
    // While it is not known what speaks, there are fewer bytes than a header has.
    const auto record = end_->take_record(bytes);
    if (record) process(*record, plaintext);
  }
  return state_;
}

/// Looks at the first bytes of the connection: OpenSSL would only see a broken record.
void Session::sniff(std::string_view front) {
  if (front.front() == kHandshakeRecord) {
    sniffed_ = true;
    return;
  }
  for (const std::string_view http : kHttpFronts) {
    const std::size_t size = std::min(front.size(), http.size());
    if (front.substr(0, size) != http.substr(0, size)) continue;
    if (size == http.size()) {
      fail(SessionFault::plain_http, "plain HTTP on a port for TLS");
    }
    return;  // or wait for more
  }
  fail(SessionFault::not_tls, "what the client sends is not TLS");
}

void Session::process(std::string_view record, std::string& plaintext) {
  if (state_ == SessionState::handshaking) {
    handshake_bytes_ += static_cast<std::uint32_t>(record.size());
    if (handshake_bytes_ > limits_.handshake_bytes) {
      fail(SessionFault::protocol, "the handshake is too long");
      return;
    }
  }
  switch (end_->read(record, plaintext)) {
    case SslEnd::Read::good:
      break;
    case SslEnd::Read::closed:
      if (state_ == SessionState::handshaking) {
        fail(SessionFault::left, "the client left in the middle of the handshake");
      } else {
        state_ = SessionState::half_closed;
      }
      return;
    case SslEnd::Read::failed:
      fail_by_openssl();
      return;
  }
  if (state_ == SessionState::handshaking && end_->finished()) {
    state_ = SessionState::open;
  }
  // Each costs us something and the client next to nothing, and no client needs them.
  if (end_->refused_renegotiation()) {
    fail(SessionFault::protocol, "the client asks for a renegotiation");
  }
  if (end_->peer_key_updates() > limits_.key_updates) {
    fail(SessionFault::protocol, "the client changes its key too often");
  }
}

void Session::fail(SessionFault fault, std::string reason) {
  state_ = SessionState::failed;
  fault_ = fault;
  reason_ = std::move(reason);
}

void Session::fail_by_openssl() {
  auto [fault, reason] = take_failure();
  fail(fault, std::move(reason));
}

bool Session::write(std::string_view plaintext) {
  if (!writable()) return false;
  switch (end_->write(plaintext, limits_.records_per_key)) {
    case SslEnd::Written::good:
      return true;
    case SslEnd::Written::key_used_up:
      close();
      return false;
    case SslEnd::Written::failed:
      fail_by_openssl();
      return false;
  }
  return false;
}

void Session::close() {
  if (!writable()) return;
  end_->shutdown();
  state_ = SessionState::closed;
}

std::string Session::take_output() {
  return end_->take_output();
}

bool Session::has_output() const {
  return end_->has_output();
}

std::size_t Session::partial_bytes() const {
  return end_->partial_bytes();
}

std::string_view Session::version() const {
  return end_->version();
}

std::string_view Session::cipher() const {
  return end_->cipher();
}

bool Session::resumed() const {
  return end_->resumed();
}

std::optional<Session::Handover> Session::take_over(RecordCipher& cipher) {
  if (state_ != SessionState::open || !end_->can_be_taken_over()) return std::nullopt;
  if (!end_->answer_key_update()) {
    fail_by_openssl();
    return std::nullopt;
  }
  auto handover = end_->hand_over(cipher);
  context_.reset();
  if (handover) {
    state_ = SessionState::taken_over;
  } else {
    fail(SessionFault::protocol, "OpenSSL cannot derive the next key");
  }
  return handover;
}

}  // namespace ringcast::tls
