#include "ringcast/tls/client_session.h"

#include <utility>

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509.h>

#include "ringcast/base/assert.h"

#include "client_context_impl.h"
#include "ssl_end.h"

namespace ringcast::tls {
namespace {

constexpr char kAlertRecord = 21;  // RFC 8446 appendix B.1
constexpr char kHandshakeRecord = 22;
// As SessionLimits has it.
constexpr std::uint64_t kRecordsPerKeyMax = std::uint64_t{1} << 24;

}  // namespace

std::string_view to_string(ClientFault fault) {
  switch (fault) {
    case ClientFault::none:
      return "none";
    case ClientFault::not_tls:
      return "not TLS";
    case ClientFault::certificate:
      return "certificate";
    case ClientFault::no_agreement:
      return "no agreement";
    case ClientFault::refused_by_server:
      return "refused by the server";
    case ClientFault::protocol:
      return "protocol";
  }
  return {};
}

ClientSession::ClientSession(std::shared_ptr<const ClientContext> context)
    : context_(std::move(context)),
      end_(std::make_unique<SslEnd>(context_->impl().context.get(), SslEnd::Side::client)) {
  SSL* const ssl = end_->ssl();
  const std::string& name = context_->impl().told_name;
  if (!name.empty()) RC_ASSERT(SSL_set_tlsext_host_name(ssl, name.c_str()) == 1);
  if (const TicketHandle ticket = context_->impl().ticket(); ticket != nullptr) {
    RC_ASSERT(SSL_set_session(ssl, ticket.get()) == 1);
  }
  if (!end_->begin_handshake()) fail_by_openssl();
}

ClientSession::~ClientSession() = default;

SessionState ClientSession::feed(std::string_view bytes, std::string& plaintext) {
  if (!heard_ && !bytes.empty()) {
    heard_ = true;
    // Others would not be waited for as long as their "length" says.
    if (bytes.front() != kHandshakeRecord && bytes.front() != kAlertRecord) {
      fail(ClientFault::not_tls, "what the server speaks is not TLS");
    }
  }
  while (live() && !bytes.empty()) {
    const auto record = end_->take_record(bytes);
    if (record) process(*record, plaintext);
  }
  return state_;
}

void ClientSession::process(std::string_view record, std::string& plaintext) {
  switch (end_->read(record, plaintext)) {
    case SslEnd::Read::good:
      break;
    case SslEnd::Read::closed:
      state_ = SessionState::closed;
      return;
    case SslEnd::Read::failed:
      fail_by_openssl();
      return;
  }
  if (end_->finished()) state_ = SessionState::open;
}

void ClientSession::fail(ClientFault fault, std::string reason) {
  state_ = SessionState::failed;
  fault_ = fault;
  reason_ = std::move(reason);
}

void ClientSession::fail_by_openssl() {
  const unsigned long code = ERR_peek_error();  // the first is the cause of those that follow
  ERR_clear_error();
  const int reason = ERR_GET_REASON(code);
  if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL) {
    if (reason > SSL_AD_REASON_OFFSET) {
      return fail(ClientFault::refused_by_server,
                  std::string("the server gave up: alert \"") +
                      SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET) + '"');
    }
    switch (reason) {
      case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return fail(ClientFault::certificate,
                    std::string("the server's certificate is not accepted: ") +
                        X509_verify_cert_error_string(SSL_get_verify_result(end_->ssl())));
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
        return fail(ClientFault::not_tls, "what the server speaks is not TLS");
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_WRONG_SSL_VERSION:
      case SSL_R_VERSION_TOO_LOW:
        return fail(ClientFault::no_agreement, "the server speaks another version of TLS");
      case SSL_R_NO_CIPHERS_AVAILABLE:
      case SSL_R_WRONG_CIPHER_RETURNED:
        return fail(ClientFault::no_agreement, "no cipher suite in common");
      default:
        break;
    }
  }
  const char* const text = code == 0 ? nullptr : ERR_reason_error_string(code);
  fail(ClientFault::protocol, text == nullptr ? "OpenSSL gives no reason" : text);
}

bool ClientSession::write(std::string_view plaintext) {
  if (state_ != SessionState::open) return false;
  switch (end_->write(plaintext, kRecordsPerKeyMax)) {
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

void ClientSession::close() {
  if (state_ != SessionState::open && state_ != SessionState::closed) return;
  end_->shutdown();
  state_ = SessionState::closed;
}

std::string ClientSession::take_output() {
  return end_->take_output();
}

bool ClientSession::has_output() const {
  return end_->has_output();
}

std::string_view ClientSession::version() const {
  return end_->version();
}

std::string_view ClientSession::cipher() const {
  return end_->cipher();
}

bool ClientSession::resumed() const {
  return end_->resumed();
}

std::optional<Handover> ClientSession::take_over(RecordCipher& cipher) {
  if (state_ != SessionState::open || !end_->can_be_taken_over()) return std::nullopt;
  if (!end_->answer_key_update()) {
    fail_by_openssl();
    return std::nullopt;
  }
  auto handover = end_->hand_over(cipher);
  if (handover) {
    state_ = SessionState::taken_over;
  } else {
    fail(ClientFault::protocol, "OpenSSL cannot derive the next key");
  }
  return handover;
}

}  // namespace ringcast::tls
