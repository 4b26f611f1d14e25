#pragma once

#include <cstdint>
#include <memory>

#include "ringcast/base/time.h"
#include "ringcast/tls/context.h"
#include "ringcast/tls/ticket_keys.h"

#include "random.h"
#include "seeded_openssl.h"
#include "tls_client.h"
#include "watched_cipher.h"

namespace ringcast::sim {

/// What the server and the clients of a run with TLS share: certificate, ticket keys, the cipher of
/// the shards, and all randomness of OpenSSL.
class TlsSite {
 public:
  TlsSite(World& world, Time now);

  [[nodiscard]] std::shared_ptr<const tls::Context> context() const { return context_; }
  [[nodiscard]] WatchedCipher& cipher() { return cipher_; }
  [[nodiscard]] const WatchedCipher& cipher() const { return cipher_; }
  [[nodiscard]] SSL_CTX* client_context() const { return client_context_.get(); }

  /// As a reload of the configuration does: a new context, and new ticket keys if it is time.
  void reload(Time now);
  [[nodiscard]] static TlsKind draw_kind(Random& random);

 private:
  SeededOpenssl seeded_;  // first: all below draw from it
  WatchedCipher cipher_;
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  std::shared_ptr<const tls::Context> context_;
  SslContextHandle client_context_;
};

}  // namespace ringcast::sim
