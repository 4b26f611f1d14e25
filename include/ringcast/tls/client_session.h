#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringcast/tls/client_context.h"
#include "ringcast/tls/record_cipher.h"
#include "ringcast/tls/session.h"
#include "ringcast/tls/traffic.h"

namespace ringcast::tls {

/// Why a client's session failed.
enum class ClientFault : std::uint8_t {
  none,
  not_tls,            ///< the server speaks something else on this port
  certificate,        ///< it does not prove that the server is who it should be
  no_agreement,       ///< no version or cipher suite in common, as far as this side can tell
  refused_by_server,  ///< it sent an alert
  protocol,           ///< anything else that breaks TLS
};
[[nodiscard]] std::string_view to_string(ClientFault fault);

/// The client's side of one TLS connection, on OpenSSL, with the states and the memory of
/// `Session`. Bytes in, bytes out: no sockets, no clock.
///
/// The output has the first message of the handshake from the beginning. Under TLS 1.3 the session
/// can be taken over as soon as it is open; tickets that come later then come as `handshake` out of
/// `RecordLayer::read`, which may be ignored. Who wants tickets takes over later, since a server
/// sends them right after the handshake.
///
/// One thread at a time. Not movable: OpenSSL keeps its address.
class ClientSession {
 public:
  explicit ClientSession(std::shared_ptr<const ClientContext> context);
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;
  ~ClientSession();

  /// Takes what the server has sent and appends what it says to `plaintext`. Look at the output
  /// afterwards, whatever the state is. Bytes after the end are dropped.
  SessionState feed(std::string_view bytes, std::string& plaintext);

  /// Encrypts into the output. False when the session is not open (yet, or any more): nothing was
  /// written.
  bool write(std::string_view plaintext);

  /// Says close_notify (RFC 8446 section 6.1), once, unless the session failed or is not open yet.
  void close();

  /// What is to be sent to the server, in this order with what was taken before.
  [[nodiscard]] std::string take_output();
  [[nodiscard]] bool has_output() const;

  [[nodiscard]] SessionState state() const { return state_; }
  [[nodiscard]] ClientFault fault() const { return fault_; }
  /// In words. Empty when nothing failed.
  [[nodiscard]] const std::string& reason() const { return reason_; }

  /// As those of `Session`.
  [[nodiscard]] std::string_view version() const;
  [[nodiscard]] std::string_view cipher() const;
  [[nodiscard]] bool resumed() const;

  /// Only for TLS 1.3 while open: nothing otherwise, and the session goes on. Else the `SSL` object
  /// is freed; take the output afterwards and send it before any record of one's own.
  [[nodiscard]] std::optional<Handover> take_over(RecordCipher& cipher);

 private:
  void process(std::string_view record, std::string& plaintext);
  void fail(ClientFault fault, std::string reason);
  void fail_by_openssl();
  [[nodiscard]] bool live() const {
    return state_ == SessionState::handshaking || state_ == SessionState::open;
  }

  SessionState state_ = SessionState::handshaking;
  ClientFault fault_ = ClientFault::none;
  bool heard_ = false;  // something of the server
  std::shared_ptr<const ClientContext> context_;
  std::unique_ptr<SslEnd> end_;
  std::string reason_;
};

}  // namespace ringcast::tls
