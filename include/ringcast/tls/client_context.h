#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ringcast/base/result.h"
#include "ringcast/base/time.h"

namespace ringcast::tls {

enum class Version : std::uint8_t { tls_1_2, tls_1_3 };

/// How a TLS client speaks with one server.
struct ClientOptions {
  /// A DNS name, which the server is told (SNI, RFC 6066 section 3), or an IP address, which it is
  /// not. Its certificate must be for it.
  std::string server_name;
  Version version = Version::tls_1_3;
  std::string cipher_suite;  ///< the only one to offer, by OpenSSL's name; empty: what it offers
  bool verify = true;        ///< the certificate: chain, dates and name
  std::string ca_file;       ///< certificates in PEM form to trust; empty: those of the system
  bool resume = false;       ///< with the newest ticket that the server has given to any session
};

/// What the sessions with one server have in common. ALPN offers `http/1.1`; no renegotiation, no
/// early data, no client certificate.
///
/// Threads: any. The newest ticket is behind a lock, held for some microseconds in a handshake.
class ClientContext {
 public:
  /// Reads the file, so it may block. `now.unix_ms` is what the dates of certificates are compared
  /// with for good. Errors: a suite that the version does not have, a file that has no certificate.
  [[nodiscard]] static Result<std::shared_ptr<const ClientContext>> create(
      const ClientOptions& options, Time now);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  /// Whether the next session will try to resume.
  [[nodiscard]] bool has_ticket() const;

  struct Impl;
  [[nodiscard]] Impl& impl() const { return *impl_; }

 private:
  explicit ClientContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::tls
