#include "openssl_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>

namespace ringcast::tls {
namespace {

/// What both sides would have had to have in common; empty for other reasons.
std::string_view disagreement(int reason) {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
      return "the client speaks neither TLS 1.2 nor TLS 1.3";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
      return "no cipher suite in common that fits a certificate";
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SHARED_GROUPS:
      return "no group for the key exchange in common";
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
      return "the client cannot verify the kind of any certificate for its name";
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return "the client asks for another protocol than HTTP/1.1 (ALPN)";
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return "the client fell back to an older version although it knows a newer one";
    default:
      return {};
  }
}

}  // namespace

Failure take_failure() {
  const unsigned long code = ERR_peek_error();  // the first is the cause of those that follow
  ERR_clear_error();
  if (code == 0) return {SessionFault::protocol, "OpenSSL gives no reason"};
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    if (reason > SSL_AD_REASON_OFFSET) {
      const int alert = reason - SSL_AD_REASON_OFFSET;
      return {SessionFault::refused_by_client, std::string("the client gave up: alert \"") +
                                                   SSL_alert_desc_string_long(alert) + '"'};
    }
    if (const auto text = disagreement(reason); !text.empty()) {
      return {SessionFault::no_agreement, std::string(text)};
    }
  }
  const char* const text = ERR_reason_error_string(code);
  return {SessionFault::protocol, text == nullptr ? "an unknown error of OpenSSL" : text};
}

}  // namespace ringcast::tls
