#include "tls_server.h"

#include <array>

#include <openssl/err.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls::test {
namespace {

int take_first_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                        const unsigned char* offered, unsigned int /*size*/, void* taken) {
  *out = offered + 1;
  *out_size = offered[0];
  static_cast<std::string*>(taken)->assign(reinterpret_cast<const char*>(*out), *out_size);
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsServer::TlsServer(const Issued& issued, int version, const std::string& groups)
    : context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* const context = context_.get();
  RC_ASSERT(SSL_CTX_set_max_proto_version(context, version) == 1);
  RC_ASSERT(groups.empty() || SSL_CTX_set1_groups_list(context, groups.c_str()) == 1);
  RC_ASSERT(SSL_CTX_use_cert_and_key(context, issued.certificate.get(), issued.key.get(), nullptr,
                                     1) == 1);
  SSL_CTX_set_alpn_select_cb(context, take_first_protocol, &protocol_);
  ssl_.reset(SSL_new(context));
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl_.get(), in_, out_);
  SSL_set_accept_state(ssl_.get());
}

void TlsServer::feed(std::string_view bytes, std::string& plaintext) {
  if (!bytes.empty()) {
    RC_ASSERT(BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())) ==
              static_cast<int>(bytes.size()));
  }
  std::array<char, 4096> buffer{};
  ERR_clear_error();
  std::size_t size = 0;
  int result = 0;
  while ((result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size)) == 1) {
    plaintext.append(buffer.data(), size);
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (failure_.empty() && (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL)) {
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    failure_ = reason == nullptr ? "unknown" : reason;
  }
  ERR_clear_error();
}

std::string TlsServer::take_output() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  std::string output(bytes, static_cast<std::size_t>(size));
  RC_ASSERT(BIO_reset(out_) == 1);
  return output;
}

void TlsServer::write(std::string_view plaintext) {
  std::size_t written = 0;
  RC_ASSERT(SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written) == 1);
}

void TlsServer::key_update(int type) {
  RC_ASSERT(SSL_key_update(ssl_.get(), type) == 1);
  RC_ASSERT(SSL_do_handshake(ssl_.get()) == 1);
}

std::string TlsServer::asked_name() const {
  const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

std::string TlsServer::protocol() const {
  return protocol_;
}

}  // namespace ringcast::tls::test
