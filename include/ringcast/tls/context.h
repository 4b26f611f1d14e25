#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/tls/ticket_keys.h"

namespace ringcast::tls {

/// Files in PEM form. The certificate comes first in its file, then those that lead to the root.
/// Both may be in one file.
struct CertificateFiles {
  std::string certificate;
  std::string private_key;

  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

/// Limits of what is read.
inline constexpr std::size_t kCertificatesMax = 64;
inline constexpr std::size_t kChainMax = 10;
inline constexpr std::size_t kPemFileBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kCertificateRsaBitsMin = 2048;

/// What a TLS server is configured with: certificates, keys, versions, cipher suites. Immutable,
/// for any thread; replaced whole on reload, while sessions keep the one that they began with.
///
/// A client gets the certificate for the name that it asks for (SNI, RFC 6066 section 3): the exact
/// name before a wildcard, the first in the configuration before a later one. For each name there
/// may be one of each kind (ECDSA, Ed25519, RSA): of these the client gets the first that it can
/// verify, in this order, which is that of the cost for us. A client that names nothing, or nothing
/// that is known here, gets what is for the first name of the first certificate.
///
/// TLS 1.2 (with ECDHE and AEAD ciphers only) and 1.3; X25519, P-256; ALPN (RFC 7301)
/// `http/1.1` and `http/1.0`; session tickets, no session cache; no compression, no renegotiation,
/// no early data, no client certificates.
class Context {
 public:
  struct Loaded {
    std::shared_ptr<const Context> context;
    /// What works, but not as it was meant: expired or not valid yet, a chain with a hole, a
    /// certificate that no client will ever get.
    std::vector<std::string> warnings;
  };

  /// Reads all files. Blocks; not on an event loop. Errors and warnings name the file: unreadable,
  /// damaged, a key behind a passphrase, a key of another certificate, a kind or size of key that
  /// clients refuse. `now.unix_ms` is what the dates are compared with.
  [[nodiscard]] static Result<Loaded> load(const std::vector<CertificateFiles>& certificates,
                                           std::shared_ptr<const TicketKeys> ticket_keys, Time now);
  ~Context();

  /// When the first of the certificates expires, in milliseconds since 1970.
  [[nodiscard]] std::uint64_t first_expiry_unix_ms() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  explicit Context(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::tls
