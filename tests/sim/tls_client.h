#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

#include "ringcast/base/free_by.h"

namespace ringcast::sim {

using SslContextHandle = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;
using SslHandle = std::unique_ptr<SSL, FreeBy<SSL_free>>;
using TicketHandle = std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>>;

/// What a client offers.
struct TlsKind {
  int version = TLS1_3_VERSION;
  std::string suite;           ///< by OpenSSL's name
  std::string protocol;        ///< ALPN; empty = says nothing
  bool retries = false;        ///< its first key share is of a group that the server does not know
  bool short_records = false;  ///< RFC 6066 section 4
};

/// OpenSSL as the client, over memory BIOs. It trusts everybody: who a certificate is of is not
/// what is simulated.
class TlsClient {
 public:
  enum class State {
    handshaking,
    open,
    closed,   ///< by a close_notify of the server
    alerted,  ///< by another alert of it: reason()
    broken,   ///< what it got is not TLS: reason()
  };

  /// For all clients of a run.
  [[nodiscard]] static SslContextHandle make_context();

  TlsClient(SSL_CTX* context, const TlsKind& kind, SSL_SESSION* resumes);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() = default;

  /// Takes one whole record and appends the text in it.
  void feed(std::string_view record, std::string& text);
  void write(std::string_view text);
  void key_update(bool requested);
  void say_close();
  /// What is to be sent to the server.
  [[nodiscard]] std::string take_output();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// KeyUpdates of the server.
  [[nodiscard]] std::uint64_t key_updates() const { return key_updates_; }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  [[nodiscard]] bool is_tls13() const { return SSL_version(ssl_.get()) == TLS1_3_VERSION; }
  [[nodiscard]] const char* version() const { return SSL_get_version(ssl_.get()); }
  [[nodiscard]] const char* suite() const { return SSL_get_cipher_name(ssl_.get()); }
  /// The newest ticket since the last call, if there is one.
  [[nodiscard]] TicketHandle take_ticket() { return std::move(ticket_); }

 private:
  static int on_ticket(SSL* ssl, SSL_SESSION* ticket);
  static void on_message(int writing, int version, int type, const void* bytes, std::size_t size,
                         SSL* ssl, void* argument);
  void run(std::string* text);

  SslHandle ssl_;
  BIO* in_;  // both of ssl_
  BIO* out_;
  State state_ = State::handshaking;
  std::string reason_;
  std::uint64_t key_updates_ = 0;
  TicketHandle ticket_;
};

}  // namespace ringcast::sim
