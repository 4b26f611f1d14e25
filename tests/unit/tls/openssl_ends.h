#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <openssl/ssl.h>

#include "ringcast/tls/traffic.h"

#include "record_peer.h"

namespace ringcast::tls::test {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

/// A client and a server of OpenSSL that have shaken hands over memory, until our record layer goes
/// on in the server's place.
class OpensslEnds {
 public:
  /// With `tickets` session tickets, which the client reads.
  OpensslEnds(CipherSuite suite, std::size_t tickets);

  /// The client's request and the server's answer, both by OpenSSL: one record each.
  void exchange(std::string_view request, std::string_view answer);

  /// Ends the server's SSL object. The caller counted its records.
  [[nodiscard]] Takeover take_over(std::uint64_t written, std::uint64_t read);

  /// Gives `wire` to the client in pieces of `piece_bytes`, and returns what it reads of it.
  [[nodiscard]] Bytes client_reads(std::span<const std::byte> wire, std::size_t piece_bytes);
  /// What the client sends for the given plaintext; whatever else it had to send comes first.
  [[nodiscard]] Bytes client_writes(std::span<const std::byte> plaintext);
  [[nodiscard]] Bytes client_key_update(UpdateRequest request);
  [[nodiscard]] Bytes client_close();
  /// What the client has written of its own accord.
  [[nodiscard]] Bytes client_output();
  [[nodiscard]] bool client_saw_close() const {
    return (SSL_get_shutdown(client_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  [[nodiscard]] bool client_failed() const { return client_failed_; }

 private:
  static void on_key_line(const SSL* ssl, const char* line);
  [[nodiscard]] Bytes output_of(SSL* ssl) const;
  void pass_on(SSL* from, SSL* to) const;

  CipherSuite suite_;
  TrafficSecret server_secret_;
  TrafficSecret client_secret_;
  std::unique_ptr<SSL_CTX, FreeSsl> server_context_;
  std::unique_ptr<SSL_CTX, FreeSsl> client_context_;
  std::unique_ptr<SSL, FreeSsl> server_;
  std::unique_ptr<SSL, FreeSsl> client_;
  bool client_failed_ = false;
};

}  // namespace ringcast::tls::test
