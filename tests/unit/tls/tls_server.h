#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "certificates.h"
#include "tls_client.h"

namespace ringcast::tls::test {

/// OpenSSL as the server, in memory.
class TlsServer {
 public:
  /// `version` is the newest, `groups` all that it takes; empty: what OpenSSL takes by itself.
  explicit TlsServer(const Issued& issued, int version = TLS1_3_VERSION,
                     const std::string& groups = {});

  /// Reads all that it can, and goes on with the handshake.
  void feed(std::string_view bytes, std::string& plaintext);
  [[nodiscard]] std::string take_output();
  void write(std::string_view plaintext);
  void key_update(int type);

  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] std::string asked_name() const;
  [[nodiscard]] std::string protocol() const;  ///< ALPN: what was asked for first

 private:
  SslContextHandle context_;
  std::string protocol_;
  SslHandle ssl_;
  BIO* in_ = nullptr;  // both of ssl_
  BIO* out_ = nullptr;
  std::string failure_;
};

}  // namespace ringcast::tls::test
