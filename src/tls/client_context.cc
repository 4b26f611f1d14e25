#include "ringcast/tls/client_context.h"

#include <ctime>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "ringcast/base/assert.h"

#include "client_context_impl.h"
#include "ssl_end.h"

namespace ringcast::tls {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kProtocols = "\x08http/1.1"sv;  // as RFC 7301 section 3.1 writes it

int keep_ticket(SSL* ssl, SSL_SESSION* ticket) {
  auto* const impl = static_cast<ClientContext::Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  impl->keep(ticket);
  return 0;  // the reference stays OpenSSL's
}

/// With nothing to verify, OpenSSL would build the chain all the same.
int trust_all(X509_STORE_CTX* /*chain*/, void* /*unused*/) {
  return 1;
}

bool is_address(const std::string& name) {
  in6_addr place{};
  return inet_pton(AF_INET, name.c_str(), &place) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &place) == 1;
}

Result<void> set_suite(SSL_CTX* context, const ClientOptions& options) {
  if (options.cipher_suite.empty()) return {};
  const char* const name = options.cipher_suite.c_str();
  const bool tls_1_3 = options.version == Version::tls_1_3;
  // TLS 1.2's list takes patterns as well, so that ALL would not be refused.
  const bool set = tls_1_3 ? SSL_CTX_set_ciphersuites(context, name) == 1
                           : SSL_CTX_set_cipher_list(context, name) == 1;
  ERR_clear_error();
  if (set) return {};
  return Error{"cipher suite " + options.cipher_suite + ": OpenSSL knows none of this name for " +
               (tls_1_3 ? "TLS 1.3" : "TLS 1.2")};
}

Result<void> set_trust(SSL_CTX* context, const ClientOptions& options, Time now) {
  if (!options.verify) {
    SSL_CTX_set_cert_verify_callback(context, trust_all, nullptr);
    return {};
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_time(rules, static_cast<std::time_t>(now.unix_ms / 1000));
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const char* const name = options.server_name.c_str();
  RC_ASSERT(is_address(options.server_name) ? X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1
                                            : X509_VERIFY_PARAM_set1_host(rules, name, 0) == 1);
  const bool loaded = options.ca_file.empty()
                          ? SSL_CTX_set_default_verify_paths(context) == 1
                          : SSL_CTX_load_verify_file(context, options.ca_file.c_str()) == 1;
  ERR_clear_error();
  if (loaded) return {};
  if (options.ca_file.empty()) return Error{"the system's certificates cannot be read"};
  return Error{options.ca_file + ": no certificate in PEM form can be read there"};
}

}  // namespace

TicketHandle ClientContext::Impl::ticket() const {
  const std::lock_guard lock{mutex_};
  return TicketHandle(newest_ == nullptr ? nullptr : SSL_SESSION_dup(newest_.get()));
}

void ClientContext::Impl::keep(SSL_SESSION* ticket) {
  TicketHandle copy(SSL_SESSION_dup(ticket));
  const std::lock_guard lock{mutex_};
  newest_.swap(copy);
}

Result<std::shared_ptr<const ClientContext>> ClientContext::create(const ClientOptions& options,
                                                                   Time now) {
  if (options.server_name.empty()) return Error{"TLS needs the name of the server"};
  auto impl = std::make_unique<Impl>();
  impl->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = impl->context.get();
  RC_ASSERT(context != nullptr);
  const int version = options.version == Version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  RC_ASSERT(SSL_CTX_set_min_proto_version(context, version) == 1);
  RC_ASSERT(SSL_CTX_set_max_proto_version(context, version) == 1);
  RC_ASSERT(SSL_CTX_set_alpn_protos(context,
                                    reinterpret_cast<const unsigned char*>(kProtocols.data()),
                                    static_cast<unsigned>(kProtocols.size())) == 0);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (options.resume) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
  }
  SSL_CTX_set_app_data(context, impl.get());
  SslEnd::observe(context);
  if (auto set = set_suite(context, options); !set) return set.error();
  if (auto set = set_trust(context, options, now); !set) return set.error();
  if (!is_address(options.server_name)) impl->told_name = options.server_name;
  return std::shared_ptr<const ClientContext>(new ClientContext(std::move(impl)));
}

ClientContext::ClientContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientContext::~ClientContext() = default;

bool ClientContext::has_ticket() const {
  return impl_->ticket() != nullptr;
}

}  // namespace ringcast::tls
