#include "tls_client.h"

#include <array>

#include <openssl/err.h>

#include "ringcast/base/assert.h"

namespace ringcast::sim {
namespace {

// The server has X25519 and the curves of NIST.
constexpr const char* kGroups = "X25519:P-256";
constexpr const char* kForeignGroupFirst = "X448:X25519";

}  // namespace

SslContextHandle TlsClient::make_context() {
  SslContextHandle context(SSL_CTX_new(TLS_client_method()));
  RC_ASSERT(context != nullptr);
  SSL_CTX_set_security_level(context.get(), 0);  // so that it can offer what nobody should take
  SSL_CTX_set_session_cache_mode(context.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(context.get(), on_ticket);
  SSL_CTX_set_msg_callback(context.get(), on_message);
  return context;
}

TlsClient::TlsClient(SSL_CTX* context, const TlsKind& kind, SSL_SESSION* resumes)
    : ssl_(SSL_new(context)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  SSL* const ssl = ssl_.get();
  SSL_set_bio(ssl, in_, out_);
  RC_ASSERT(SSL_set_app_data(ssl, this) == 1);
  RC_ASSERT(SSL_set_min_proto_version(ssl, kind.version) == 1);
  RC_ASSERT(SSL_set_max_proto_version(ssl, kind.version) == 1);
  if (!kind.suite.empty()) {
    RC_ASSERT((kind.version == TLS1_3_VERSION ? SSL_set_ciphersuites(ssl, kind.suite.c_str())
                                              : SSL_set_cipher_list(ssl, kind.suite.c_str())) == 1);
  }
  RC_ASSERT(SSL_set1_groups_list(ssl, kind.retries ? kForeignGroupFirst : kGroups) == 1);
  if (kind.short_records) {
    RC_ASSERT(SSL_set_tlsext_max_fragment_length(ssl, TLSEXT_max_fragment_length_512) == 1);
  }
  if (!kind.protocol.empty()) {
    const std::string list = static_cast<char>(kind.protocol.size()) + kind.protocol;
    RC_ASSERT(SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(list.data()),
                                  static_cast<unsigned>(list.size())) == 0);
  }
  RC_ASSERT(SSL_set_tlsext_host_name(ssl, "sim") == 1);
  if (resumes != nullptr) {
    const TicketHandle copy(SSL_SESSION_dup(resumes));  // OpenSSL makes the used one unusable
    RC_ASSERT(SSL_set_session(ssl, copy.get()) == 1);
  }
  SSL_set_connect_state(ssl);
  run(nullptr);
}

int TlsClient::on_ticket(SSL* ssl, SSL_SESSION* ticket) {
  // A copy: OpenSSL makes that of a connection useless which ends without close_notify.
  static_cast<TlsClient*>(SSL_get_app_data(ssl))->ticket_.reset(SSL_SESSION_dup(ticket));
  return 0;
}

void TlsClient::on_message(int writing, int /*version*/, int type, const void* bytes,
                           std::size_t size, SSL* ssl, void* /*argument*/) {
  if (writing != 0 || type != SSL3_RT_HANDSHAKE || size == 0) return;
  if (*static_cast<const unsigned char*>(bytes) == SSL3_MT_KEY_UPDATE) {
    ++static_cast<TlsClient*>(SSL_get_app_data(ssl))->key_updates_;
  }
}

void TlsClient::run(std::string* text) {
  std::array<char, 4096> buffer{};
  while (true) {
    ERR_clear_error();
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
    if (state_ == State::handshaking && SSL_is_init_finished(ssl_.get()) == 1) state_ = State::open;
    if (result == 1) {
      RC_ASSERT(text != nullptr);
      text->append(buffer.data(), size);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) state_ = State::closed;
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) {
      const unsigned long code = ERR_peek_error();
      const bool alert = ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
      state_ = alert ? State::alerted : State::broken;
      const char* const words = ERR_reason_error_string(code);
      reason_ = words == nullptr ? "unknown" : words;
    }
    break;
  }
  ERR_clear_error();
}

void TlsClient::feed(std::string_view record, std::string& text) {
  const auto size = static_cast<int>(record.size());
  RC_ASSERT(BIO_write(in_, record.data(), size) == size);
  run(&text);
}

void TlsClient::write(std::string_view text) {
  RC_ASSERT(state_ == State::open);
  std::size_t written = 0;
  RC_ASSERT(SSL_write_ex(ssl_.get(), text.data(), text.size(), &written) == 1);
  RC_ASSERT(written == text.size());
}

void TlsClient::key_update(bool requested) {
  RC_ASSERT(SSL_key_update(ssl_.get(), requested ? SSL_KEY_UPDATE_REQUESTED
                                                 : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
  RC_ASSERT(SSL_do_handshake(ssl_.get()) == 1);
}

void TlsClient::say_close() {
  static_cast<void>(SSL_shutdown(ssl_.get()));
  ERR_clear_error();
}

std::string TlsClient::take_output() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  std::string output(bytes, static_cast<std::size_t>(size));
  RC_ASSERT(BIO_reset(out_) == 1);
  return output;
}

}  // namespace ringcast::sim
