#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/tls/session.h"

#include "../temporary_folder.h"
#include "certificates.h"
#include "handles.h"

namespace ringcast::tls::test {

using SslHandle = std::unique_ptr<SSL, FreeBy<SSL_free>>;
using ResumptionHandle = std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>>;

/// What a client offers. Empty texts: what OpenSSL does by itself.
struct Offer {
  std::string server_name = "example.com";
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  std::string ciphers{};     ///< of TLS 1.2
  std::string suites{};      ///< of TLS 1.3
  std::string signatures{};  ///< what it can verify
  std::string groups{};
  std::vector<std::string> protocols{};  ///< ALPN
  X509* trusted = nullptr;               ///< verifies chain and name with it; null: trusts all
  SSL_SESSION* resumes = nullptr;
  unsigned char max_fragment = TLSEXT_max_fragment_length_DISABLED;
  std::uint64_t options = 0;
};

/// OpenSSL as the client, in memory.
class TlsClient {
 public:
  explicit TlsClient(const Offer& offer = {});

  /// Reads all that it can of `bytes`, and goes on with the handshake.
  void feed(std::string_view bytes);
  [[nodiscard]] std::string take_output();
  [[nodiscard]] std::string take_plaintext();
  void write(std::string_view plaintext);
  void key_update(int type);
  void close();

  [[nodiscard]] bool connected() const;
  [[nodiscard]] bool closed() const;  ///< by a close_notify of the server
  [[nodiscard]] bool failed() const { return !failure_.empty(); }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl()) == 1; }
  [[nodiscard]] std::string protocol() const;  ///< ALPN
  [[nodiscard]] X509* certificate() const { return SSL_get0_peer_certificate(ssl()); }
  [[nodiscard]] std::size_t chain_size() const;
  /// The newest ticket, or null.
  [[nodiscard]] SSL_SESSION* ticket() const {
    return tickets_.empty() ? nullptr : tickets_.back().get();
  }
  [[nodiscard]] std::size_t tickets() const { return tickets_.size(); }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

 private:
  void run();

  SslContextHandle context_;
  SslHandle ssl_;
  BIO* in_ = nullptr;  // both of ssl_
  BIO* out_ = nullptr;
  std::string plaintext_;
  std::string failure_;
  std::vector<ResumptionHandle> tickets_;
};

/// Carries bytes between the two, in pieces, until both are quiet. Returns what the client said.
std::string converse(TlsClient& client, Session& session, std::size_t piece_bytes = SIZE_MAX);

/// A folder with certificates, an authority, and keys for tickets.
struct Site {
  ringcast::test::TemporaryFolder folder;
  Authority authority;
  std::shared_ptr<TicketKeys> ticket_keys = std::make_shared<TicketKeys>(Time{0, kNowMs});

  /// Writes both files under `stem`; `more` follows the certificate.
  [[nodiscard]] CertificateFiles write(const std::string& stem, const Issued& issued,
                                       const std::string& more = {}) const;
  /// A context with a certificate for each wish; asserts that there is nothing to warn of.
  [[nodiscard]] std::shared_ptr<const Context> context(const std::vector<Wish>& wishes = {
                                                           Wish()}) const;
};

/// One for all tests that do not change it: a P-256 and an RSA certificate for example.com.
[[nodiscard]] const Site& common_site();
[[nodiscard]] std::shared_ptr<const Context> common_context();

}  // namespace ringcast::tls::test
