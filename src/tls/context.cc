#include "ringcast/tls/context.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include <openssl/err.h>

#include "ringcast/base/assert.h"

#include "context_impl.h"
#include "ssl_end.h"

namespace ringcast::tls {
namespace {

using namespace std::string_view_literals;

// The cheapest first. CBC, static RSA and DHE are not here on purpose.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
// Not P-384: OpenSSL 3.0 takes ten times as long for it, and the client would choose.
constexpr const char* kGroups = "X25519:P-256";
// The order decides which certificate a client gets that can verify several.
constexpr const char* kSignatures =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:"
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
// 2 is 112 bits: RSA from 2048 bits, no SHA-1.
constexpr int kSecurityLevelMin = 2;
// A session of one certificate set may be resumed on another: it is one server.
constexpr std::string_view kSessionContext = "ringcast";

int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int size, void* /*unused*/) {
  const std::string_view list(reinterpret_cast<const char*>(offered), size);
  for (const std::string_view ours : {"http/1.1"sv, "http/1.0"sv}) {
    // Each name with a byte for its length in front; OpenSSL has checked that they add up.
    for (std::size_t at = 0; at < list.size(); at += 1 + static_cast<unsigned char>(list[at])) {
      const std::string_view name = list.substr(at + 1, static_cast<unsigned char>(list[at]));
      if (name != ours) continue;
      *out = offered + at + 1;
      *out_size = static_cast<unsigned char>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;  // no_application_protocol (RFC 7301 section 3.2)
}

/// The wildcard that stands for the first label alone (RFC 6125 section 6.4.3).
std::string wildcard_of(const std::string& name) {
  const std::size_t dot = name.find('.');
  return dot == std::string::npos ? std::string() : '*' + name.substr(dot);
}

int choose_certificates(SSL* ssl, int* /*alert*/, void* argument) {
  const auto& impl = *static_cast<const Context::Impl*>(argument);
  const char* const asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (asked == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const std::string name = normal_name(asked);
  auto found = impl.by_name.find(name);
  if (found == impl.by_name.end()) found = impl.by_name.find(wildcard_of(name));
  if (found == impl.by_name.end()) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(ssl, found->second);
  return SSL_TLSEXT_ERR_OK;
}

/// All but the certificates. Nothing here depends on the outside, so a failure is a bug.
SslContextHandle make_ssl_context(const Context::Impl& impl) {
  SslContextHandle made(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = made.get();
  RC_ASSERT(context != nullptr);
  RC_ASSERT(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
  RC_ASSERT(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
  RC_ASSERT(SSL_CTX_set_cipher_list(context, kCiphers12) == 1);
  RC_ASSERT(SSL_CTX_set_ciphersuites(context, kCiphers13) == 1);
  RC_ASSERT(SSL_CTX_set1_groups_list(context, kGroups) == 1);
  RC_ASSERT(SSL_CTX_set1_sigalgs_list(context, kSignatures) == 1);
  SSL_CTX_set_security_level(context,
                             std::max(SSL_CTX_get_security_level(context), kSecurityLevelMin));
  // ChaCha20 goes first for clients that put it first: they have no AES in hardware.
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // The policy of the system may have set these.
  SSL_CTX_clear_options(context, SSL_OP_NO_TICKET | SSL_OP_ALLOW_NO_DHE_KEX |
                                     SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // The certificates in the files are all that is sent: no search in the system's store.
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  RC_ASSERT(SSL_CTX_set_session_id_context(
                context, reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                static_cast<unsigned>(kSessionContext.size())) == 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context, choose_certificates);
  SSL_CTX_set_tlsext_servername_arg(context, const_cast<Context::Impl*>(&impl));
  use_ticket_keys(context, *impl.ticket_keys);
  SslEnd::observe(context);
  return made;
}

Result<void> add_certificate(SSL_CTX* context, const Certificate& certificate) {
  ERR_clear_error();
  STACK_OF(X509)* const chain = sk_X509_new_null();
  RC_ASSERT(chain != nullptr);
  for (const CertificateHandle& link : certificate.chain) {
    RC_ASSERT(sk_X509_push(chain, link.get()) > 0);
  }
  const bool used = SSL_CTX_use_cert_and_key(context, certificate.leaf.get(), certificate.key.get(),
                                             chain, 1) == 1;
  sk_X509_free(chain);
  if (used) return {};
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return Error{certificate.file + ": OpenSSL refuses the certificate: " +
               (reason == nullptr ? "no reason given" : reason)};
}

/// Which certificates a client gets that asks for `name`: of each kind the first that has exactly
/// this name, else the first with its wildcard.
std::vector<std::size_t> choose_for(const Context::Impl& impl, const std::string& name) {
  std::vector<std::size_t> chosen;
  for (const KeyKind kind : {KeyKind::ecdsa, KeyKind::ed25519, KeyKind::rsa}) {
    std::size_t best = impl.certificates.size();
    for (const std::string& wanted : {name, wildcard_of(name)}) {
      for (std::size_t i = 0; i < impl.certificates.size() && best == impl.certificates.size();
           ++i) {
        const Certificate& certificate = impl.certificates[i];
        const auto& names = certificate.names;
        if (certificate.kind == kind &&
            std::find(names.begin(), names.end(), wanted) != names.end()) {
          best = i;
        }
      }
    }
    if (best != impl.certificates.size()) chosen.push_back(best);
  }
  return chosen;
}

Result<SSL_CTX*> context_of(Context::Impl& impl, const std::vector<std::size_t>& chosen) {
  SslContextHandle& context = impl.contexts[chosen];
  if (context == nullptr) {
    context = make_ssl_context(impl);
    for (const std::size_t i : chosen) {
      if (auto added = add_certificate(context.get(), impl.certificates[i]); !added) {
        return added.error();
      }
    }
  }
  return context.get();
}

Result<void> arrange(Context::Impl& impl) {
  for (const Certificate& certificate : impl.certificates) {
    for (const std::string& name : certificate.names) {
      if (impl.by_name.contains(name)) continue;
      const auto context = context_of(impl, choose_for(impl, name));
      if (!context) return context.error();
      impl.by_name.emplace(name, context.value());
    }
  }
  const Certificate& first = impl.certificates.front();
  // A first certificate that names nothing, or only addresses, is for those who name nothing.
  const auto fallback = context_of(
      impl, first.names.empty() ? std::vector<std::size_t>{0} : choose_for(impl, first.names[0]));
  if (!fallback) return fallback.error();
  impl.fallback = fallback.value();
  return {};
}

void warn_of_unused(const Context::Impl& impl, std::vector<std::string>& warnings) {
  std::set<std::size_t> used;
  for (const auto& [chosen, context] : impl.contexts) used.insert(chosen.begin(), chosen.end());
  for (std::size_t i = 0; i < impl.certificates.size(); ++i) {
    if (used.contains(i)) continue;
    warnings.push_back(impl.certificates[i].file +
                       ": no client will get this certificate: one of the same kind comes before "
                       "it for every name");
  }
}

}  // namespace

Result<Context::Loaded> Context::load(const std::vector<CertificateFiles>& certificates,
                                      std::shared_ptr<const TicketKeys> ticket_keys, Time now) {
  RC_ASSERT(ticket_keys != nullptr);
  if (certificates.empty()) return Error{"TLS needs a certificate and its private key"};
  if (certificates.size() > kCertificatesMax) {
    return Error{"more than " + std::to_string(kCertificatesMax) + " certificates"};
  }
  Loaded loaded;
  auto impl = std::make_unique<Impl>();
  impl->ticket_keys = std::move(ticket_keys);
  for (const CertificateFiles& files : certificates) {
    auto read = read_certificate(files, now, loaded.warnings);
    if (!read) return read.error();
    impl->certificates.push_back(std::move(read).value());
  }
  if (auto arranged = arrange(*impl); !arranged) return arranged.error();
  warn_of_unused(*impl, loaded.warnings);
  loaded.context = std::shared_ptr<const Context>(new Context(std::move(impl)));
  return loaded;
}

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Context::~Context() = default;

std::uint64_t Context::first_expiry_unix_ms() const {
  std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
  for (const Certificate& certificate : impl_->certificates) {
    first = std::min(first, certificate.expires_unix_ms);
  }
  return first;
}

}  // namespace ringcast::tls
