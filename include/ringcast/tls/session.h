#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringcast/tls/context.h"
#include "ringcast/tls/record_cipher.h"
#include "ringcast/tls/traffic.h"

namespace ringcast::tls {

class SslEnd;

/// Of either side.
enum class SessionState : std::uint8_t {
  handshaking,
  open,
  half_closed,  ///< the client said close_notify: nothing more is read, writing goes on
  closed,       ///< close_notify is said; nothing more is read or written
  failed,       ///< see fault() and reason(); the output may end with an alert for the peer
  taken_over,   ///< the record layer goes on with the connection
};

/// Why a session failed, for counters and for what the caller does next.
enum class SessionFault : std::uint8_t {
  none,
  plain_http,    ///< the peer speaks HTTP without TLS: a `400` in clear text will be understood
  not_tls,       ///< the first bytes are neither
  no_agreement,  ///< no version, cipher suite, group, signature or protocol in common
  refused_by_client,  ///< it sent an alert: mostly, it does not trust the certificate
  left,               ///< it said close_notify in the middle of the handshake
  protocol,           ///< anything else that breaks TLS
};
[[nodiscard]] std::string_view to_string(SessionFault fault);

/// Bounds for one session, with what they cost.
struct SessionLimits {
  std::uint32_t handshake_bytes = 32 * 1024;  ///< from the client; OpenSSL would keep 128 KiB
  std::uint32_t key_updates = 64;             ///< of the client; each costs us a derivation
  /// Records under one key: AES-GCM is safe for 2^24.5 (RFC 8446 section 5.5). TLS 1.3 then takes
  /// the next key, TLS 1.2 closes.
  std::uint64_t records_per_key = std::uint64_t{1} << 24;
};

/// The server's side of one TLS connection, on OpenSSL: handshake and request, and the whole life
/// of a connection whose records cannot be taken over. Bytes in, bytes out: no sockets, no clock.
///
///                    feed                     take_over
///   handshaking ───────────────► open ──────────────────────► taken_over
///        │                        │ close_notify of the client        close()
///        │ broken, refused        ├───────────────► half_closed ───────────────► closed
///        │                        │ close()                                        ▲
///        │                        ├────────────────────────────────────────────────┘
///        └────────────► failed ◄──┘
///
/// OpenSSL is given whole records only. So a record of which the last bytes have not arrived is
/// here, not inside the `SSL` object, and can be handed over.
///
/// One thread at a time. Costs about 16 KiB while open, and the buffers of OpenSSL while
/// handshaking. Not movable: OpenSSL keeps its address.
class Session {
 public:
  explicit Session(std::shared_ptr<const Context> context, const SessionLimits& limits = {});
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Takes what the peer has sent and appends what it says to `plaintext`, at most as many bytes.
  /// Look at the output afterwards, whatever the state is: a handshake answers, and a failure
  /// mostly with an alert. Bytes after the end are dropped.
  SessionState feed(std::string_view bytes, std::string& plaintext);

  /// Encrypts into the output. False when the session is not open or half closed (any more):
  /// nothing was written.
  bool write(std::string_view plaintext);

  /// Says close_notify (RFC 8446 section 6.1), once, unless the session failed or is not open yet.
  void close();

  /// What is to be sent to the peer, in this order with what was taken before.
  [[nodiscard]] std::string take_output();
  [[nodiscard]] bool has_output() const;

  [[nodiscard]] SessionState state() const { return state_; }
  [[nodiscard]] SessionFault fault() const { return fault_; }
  /// In words, for a log; holds nothing that a client chose. Empty when nothing failed.
  [[nodiscard]] const std::string& reason() const { return reason_; }

  /// Of a record of the client that has arrived in part, and is kept: 18 KiB at most.
  [[nodiscard]] std::size_t partial_bytes() const;

  /// "TLSv1.3" and "TLS_AES_128_GCM_SHA256", or "" while handshaking, after a failure and when
  /// taken over.
  [[nodiscard]] std::string_view version() const;
  [[nodiscard]] std::string_view cipher() const;
  /// Whether a ticket spared the certificate.
  [[nodiscard]] bool resumed() const;

  using Handover = tls::Handover;
  /// Only for TLS 1.3 while open, and not for a client that wants short records (RFC 6066 section
  /// 4): nothing then, and the session goes on. Otherwise the `SSL` object is freed. Take the
  /// output afterwards and send it before any record of one's own: it may have an answer to a
  /// KeyUpdate. `cipher` is the shard's, for the hashes of key updates that were before.
  [[nodiscard]] std::optional<Handover> take_over(RecordCipher& cipher);

 private:
  void sniff(std::string_view front);
  void process(std::string_view record, std::string& plaintext);
  void fail(SessionFault fault, std::string reason);
  void fail_by_openssl();
  [[nodiscard]] bool live() const {
    return state_ == SessionState::handshaking || state_ == SessionState::open;
  }
  [[nodiscard]] bool writable() const {
    return state_ == SessionState::open || state_ == SessionState::half_closed;
  }

  SessionState state_ = SessionState::handshaking;
  SessionFault fault_ = SessionFault::none;
  bool sniffed_ = false;
  SessionLimits limits_;
  std::uint32_t handshake_bytes_ = 0;
  std::shared_ptr<const Context> context_;
  std::unique_ptr<SslEnd> end_;
  std::string reason_;
};

}  // namespace ringcast::tls
