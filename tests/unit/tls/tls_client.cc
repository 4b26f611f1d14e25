#include "tls_client.h"

#include <algorithm>
#include <array>

#include <openssl/err.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls::test {
namespace {

int keep_ticket(SSL* ssl, SSL_SESSION* ticket) {
  auto& tickets = *static_cast<std::vector<ResumptionHandle>*>(SSL_get_app_data(ssl));
  tickets.emplace_back(ticket);
  return 1;  // the reference is ours
}

}  // namespace

TlsClient::TlsClient(const Offer& offer) : context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX* const context = context_.get();
  // As generous as can be: what is refused is refused by the server.
  SSL_CTX_set_security_level(context, 0);
  RC_ASSERT(SSL_CTX_set_min_proto_version(context, offer.min_version) == 1);
  RC_ASSERT(SSL_CTX_set_max_proto_version(context, offer.max_version) == 1);
  SSL_CTX_set_options(context, offer.options);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(context, keep_ticket);
  if (offer.trusted != nullptr) {
    RC_ASSERT(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), offer.trusted) == 1);
    X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(context),
                               static_cast<std::time_t>(kNowMs / 1000));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  const auto set = [](const std::string& text, auto&& setter) {
    RC_ASSERT(text.empty() || setter(text.c_str()) == 1);
  };
  set(offer.ciphers, [&](const char* text) { return SSL_CTX_set_cipher_list(context, text); });
  set(offer.suites, [&](const char* text) { return SSL_CTX_set_ciphersuites(context, text); });
  set(offer.signatures, [&](const char* text) { return SSL_CTX_set1_sigalgs_list(context, text); });
  set(offer.groups, [&](const char* text) { return SSL_CTX_set1_groups_list(context, text); });
  std::string protocols;
  for (const std::string& name : offer.protocols) {
    protocols += static_cast<char>(name.size()) + name;
  }
  if (!protocols.empty()) {
    RC_ASSERT(SSL_CTX_set_alpn_protos(context,
                                      reinterpret_cast<const unsigned char*>(protocols.data()),
                                      static_cast<unsigned>(protocols.size())) == 0);
  }
  RC_ASSERT(SSL_CTX_set_tlsext_max_fragment_length(context, offer.max_fragment) == 1);

  ssl_.reset(SSL_new(context));
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl(), in_, out_);
  RC_ASSERT(SSL_set_app_data(ssl(), &tickets_) == 1);
  if (!offer.server_name.empty()) {
    RC_ASSERT(SSL_set_tlsext_host_name(ssl(), offer.server_name.c_str()) == 1);
    if (offer.trusted != nullptr) RC_ASSERT(SSL_set1_host(ssl(), offer.server_name.c_str()) == 1);
  }
  if (offer.resumes != nullptr) {
    // A copy: OpenSSL makes what it has used unusable.
    const ResumptionHandle copy(SSL_SESSION_dup(offer.resumes));
    RC_ASSERT(SSL_set_session(ssl(), copy.get()) == 1);
  }
  SSL_set_connect_state(ssl());
  run();
}

void TlsClient::run() {
  std::array<char, 4096> buffer{};
  while (failure_.empty()) {
    ERR_clear_error();
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl(), buffer.data(), buffer.size(), &size);
    if (result == 1) {
      plaintext_.append(buffer.data(), size);
      continue;
    }
    const int error = SSL_get_error(ssl(), result);
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) {
      const char* const reason = ERR_reason_error_string(ERR_peek_error());
      failure_ = reason == nullptr ? "unknown" : reason;
    }
    break;
  }
  ERR_clear_error();
}

void TlsClient::feed(std::string_view bytes) {
  RC_ASSERT(BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())) ==
            static_cast<int>(bytes.size()));
  run();
}

std::string TlsClient::take_output() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  std::string output(bytes, static_cast<std::size_t>(size));
  RC_ASSERT(BIO_reset(out_) == 1);
  return output;
}

std::string TlsClient::take_plaintext() {
  return std::exchange(plaintext_, {});
}

void TlsClient::write(std::string_view plaintext) {
  std::size_t written = 0;
  RC_ASSERT(SSL_write_ex(ssl(), plaintext.data(), plaintext.size(), &written) == 1);
}

void TlsClient::key_update(int type) {
  RC_ASSERT(SSL_key_update(ssl(), type) == 1);
  RC_ASSERT(SSL_do_handshake(ssl()) == 1);
}

void TlsClient::close() {
  (void)SSL_shutdown(ssl());
  ERR_clear_error();
}

bool TlsClient::connected() const {
  return SSL_is_init_finished(ssl()) == 1;
}

bool TlsClient::closed() const {
  return (SSL_get_shutdown(ssl()) & SSL_RECEIVED_SHUTDOWN) != 0;
}

std::string TlsClient::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl(), &name, &size);
  return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(name), size);
}

std::size_t TlsClient::chain_size() const {
  return static_cast<std::size_t>(std::max(0, sk_X509_num(SSL_get_peer_cert_chain(ssl()))));
}

std::string converse(TlsClient& client, Session& session, std::size_t piece_bytes) {
  std::string said;
  for (;;) {
    const std::string to_server = client.take_output();
    for (std::size_t at = 0; at < to_server.size(); at += std::min(piece_bytes, to_server.size())) {
      session.feed(std::string_view(to_server).substr(at, piece_bytes), said);
    }
    const std::string to_client = session.take_output();
    if (!to_client.empty()) client.feed(to_client);
    if (to_server.empty() && to_client.empty()) return said;
  }
}

CertificateFiles Site::write(const std::string& stem, const Issued& issued,
                             const std::string& more) const {
  return {folder.write(stem + ".crt", issued.certificate_pem() + more),
          folder.write(stem + ".key", issued.key_pem())};
}

std::shared_ptr<const Context> Site::context(const std::vector<Wish>& wishes) const {
  std::vector<CertificateFiles> files;
  for (const Wish& wish : wishes) {
    files.push_back(write(std::to_string(files.size()), authority.issue(wish)));
  }
  auto loaded = Context::load(files, ticket_keys, Time{0, kNowMs});
  RC_ASSERT(loaded.ok() && loaded.value().warnings.empty());
  return loaded.value().context;
}

const Site& common_site() {
  static const Site site;
  return site;
}

std::shared_ptr<const Context> common_context() {
  static const auto context = common_site().context({Wish(), {.key = "RSA-2048"}});
  return context;
}

}  // namespace ringcast::tls::test
