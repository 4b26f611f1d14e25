#include "openssl_ends.h"

#include <algorithm>
#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls::test {
namespace {

const char* suite_name(CipherSuite suite) {
  switch (suite) {
    case CipherSuite::aes_128_gcm_sha256:
      return "TLS_AES_128_GCM_SHA256";
    case CipherSuite::aes_256_gcm_sha384:
      return "TLS_AES_256_GCM_SHA384";
    default:
      return "TLS_CHACHA20_POLY1305_SHA256";
  }
}

/// A key and a certificate that nobody but this test has ever seen.
void certify(SSL_CTX* context) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  RC_ASSERT(X509_sign(certificate, key, EVP_sha256()) > 0);
  RC_ASSERT(SSL_CTX_use_certificate(context, certificate) == 1);
  RC_ASSERT(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

SSL* new_ssl(SSL_CTX* context) {
  SSL* const ssl = SSL_new(context);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  return ssl;
}

}  // namespace

OpensslEnds::OpensslEnds(CipherSuite suite, std::size_t tickets)
    : suite_(suite),
      server_context_(SSL_CTX_new(TLS_server_method())),
      client_context_(SSL_CTX_new(TLS_client_method())) {
  for (SSL_CTX* const context : {server_context_.get(), client_context_.get()}) {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    RC_ASSERT(SSL_CTX_set_ciphersuites(context, suite_name(suite)) == 1);
  }
  certify(server_context_.get());
  SSL_CTX_set_num_tickets(server_context_.get(), tickets);
  SSL_CTX_set_app_data(server_context_.get(), this);
  SSL_CTX_set_keylog_callback(server_context_.get(), on_key_line);
  server_.reset(new_ssl(server_context_.get()));
  client_.reset(new_ssl(client_context_.get()));
  SSL_set_accept_state(server_.get());
  SSL_set_connect_state(client_.get());
  for (int turn = 0; turn < 3; ++turn) {
    SSL_do_handshake(client_.get());
    pass_on(client_.get(), server_.get());
    SSL_do_handshake(server_.get());
    pass_on(server_.get(), client_.get());
  }
  RC_ASSERT(SSL_is_init_finished(client_.get()) && SSL_is_init_finished(server_.get()));
}

void OpensslEnds::on_key_line(const SSL* ssl, const char* line) {
  auto* const ends = static_cast<OpensslEnds*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const std::string_view text(line);
  const Bytes secret = from_hex(text.substr(text.rfind(' ') + 1));
  if (text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) ends->server_secret_ = secret_of(secret);
  if (text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) ends->client_secret_ = secret_of(secret);
}

Bytes OpensslEnds::output_of(SSL* ssl) const {
  BIO* const out = SSL_get_wbio(ssl);
  Bytes bytes(BIO_ctrl_pending(out));
  if (bytes.empty()) return bytes;
  RC_ASSERT(BIO_read(out, bytes.data(), static_cast<int>(bytes.size())) ==
            static_cast<int>(bytes.size()));
  return bytes;
}

void OpensslEnds::pass_on(SSL* from, SSL* to) const {
  const Bytes bytes = output_of(from);
  if (!bytes.empty()) {
    BIO_write(SSL_get_rbio(to), bytes.data(), static_cast<int>(bytes.size()));
  }
}

void OpensslEnds::exchange(std::string_view request, std::string_view answer) {
  Bytes read(1000);
  const auto say = [&](SSL* from, SSL* to, std::string_view text) {
    RC_ASSERT(SSL_write(from, text.data(), static_cast<int>(text.size())) > 0);
    pass_on(from, to);
    RC_ASSERT(SSL_read(to, read.data(), static_cast<int>(read.size())) ==
              static_cast<int>(text.size()));
  };
  say(client_.get(), server_.get(), request);
  say(server_.get(), client_.get(), answer);
}

Takeover OpensslEnds::take_over(std::uint64_t written, std::uint64_t read) {
  RC_ASSERT(BIO_ctrl_pending(SSL_get_wbio(server_.get())) == 0);
  server_.reset();
  Takeover taken{.suite = suite_, .write = server_secret_, .read = client_secret_};
  taken.write.sequence = written;
  taken.read.sequence = read;
  return taken;
}

Bytes OpensslEnds::client_reads(std::span<const std::byte> wire, std::size_t piece_bytes) {
  Bytes all;
  Bytes read(20'000);
  while (!wire.empty()) {
    const auto piece = wire.first(std::min(piece_bytes, wire.size()));
    wire = wire.subspan(piece.size());
    BIO_write(SSL_get_rbio(client_.get()), piece.data(), static_cast<int>(piece.size()));
    int bytes = 0;
    while ((bytes = SSL_read(client_.get(), read.data(), static_cast<int>(read.size()))) > 0) {
      all.insert(all.end(), read.begin(), read.begin() + bytes);
    }
    const int error = SSL_get_error(client_.get(), bytes);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN) client_failed_ = true;
  }
  return all;
}

Bytes OpensslEnds::client_writes(std::span<const std::byte> plaintext) {
  const int bytes = static_cast<int>(plaintext.size());
  if (SSL_write(client_.get(), plaintext.data(), bytes) != bytes) client_failed_ = true;
  return output_of(client_.get());
}

Bytes OpensslEnds::client_key_update(UpdateRequest request) {
  SSL_key_update(client_.get(), request == UpdateRequest::requested ? SSL_KEY_UPDATE_REQUESTED
                                                                    : SSL_KEY_UPDATE_NOT_REQUESTED);
  if (SSL_do_handshake(client_.get()) != 1) client_failed_ = true;
  return output_of(client_.get());
}

Bytes OpensslEnds::client_close() {
  SSL_shutdown(client_.get());
  return output_of(client_.get());
}

Bytes OpensslEnds::client_output() {
  return output_of(client_.get());
}

}  // namespace ringcast::tls::test
