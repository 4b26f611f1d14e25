#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

#include "ringcast/base/free_by.h"
#include "ringcast/tls/record_cipher.h"
#include "ringcast/tls/traffic.h"

namespace ringcast::tls {

/// One end of a TLS connection on OpenSSL, of either side, in memory: what the sessions of servers
/// and of clients have in common. It knows nothing of states; its owner calls nothing but the
/// output's functions and the questions after a failure or an end.
///
/// Where a function says "failed", OpenSSL's queue of errors of this thread has the reason.
///
/// OpenSSL is given whole records only, so that a record of which the last bytes have not arrived
/// is here, not inside the `SSL` object, and can be handed over.
///
/// One thread at a time. Not movable: OpenSSL keeps its address.
class SslEnd {
 public:
  enum class Side : std::uint8_t { server, client };

  /// `context` must be observed.
  SslEnd(SSL_CTX* context, Side side);
  SslEnd(const SslEnd&) = delete;
  SslEnd& operator=(const SslEnd&) = delete;
  ~SslEnd();

  /// Tells the end of each `SSL` of `context` its secrets and records.
  static void observe(SSL_CTX* context);

  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  // Incoming

  /// Up to as many bytes as a record's header has, of what is kept and of `bytes` that follow it.
  [[nodiscard]] std::string front(std::string_view bytes) const;

  /// Takes a whole record off the front of `bytes`, with what was kept before, or keeps all of
  /// `bytes`. Of a record that lies whole in `bytes` nothing is copied. Valid until it has been
  /// read.
  [[nodiscard]] std::optional<std::string_view> take_record(std::string_view& bytes);

  /// Of the beginning of a record that is kept.
  [[nodiscard]] std::size_t partial_bytes() const { return partial_.size(); }

  enum class Read : std::uint8_t { good, closed, failed };
  /// Lets OpenSSL read one record, and appends what the peer says in it.
  [[nodiscard]] Read read(std::string_view record, std::string& plaintext);

  // Outgoing

  /// Puts what a handshake begins with into the output. False: failed.
  [[nodiscard]] bool begin_handshake();

  enum class Written : std::uint8_t { good, key_used_up, failed };
  /// Encrypts into the output, under TLS 1.3 with the next key when `records_per_key` are reached.
  [[nodiscard]] Written write(std::string_view plaintext, std::uint64_t records_per_key);

  /// Says close_notify.
  void shutdown();

  [[nodiscard]] std::string take_output();
  [[nodiscard]] bool has_output() const { return !output_.empty(); }

  // Questions; all are answered with "no" when the `SSL` object has been freed

  [[nodiscard]] bool finished() const;  ///< the handshake, and nothing has failed since
  [[nodiscard]] bool resumed() const;
  [[nodiscard]] std::string_view version() const;
  [[nodiscard]] std::string_view cipher() const;
  /// How often the peer has changed its key.
  [[nodiscard]] std::uint32_t peer_key_updates() const { return read_.key_updates; }
  [[nodiscard]] bool refused_renegotiation() const { return refused_renegotiation_; }

  // Taking over, in this order

  [[nodiscard]] bool can_be_taken_over() const;
  /// Puts the answer to a KeyUpdate into the output, if one is due. False: failed.
  [[nodiscard]] bool answer_key_update();
  /// Frees the `SSL` object. Nothing if the next key could not be derived.
  [[nodiscard]] std::optional<Handover> hand_over(RecordCipher& cipher);

 private:
  /// What the callbacks of OpenSSL have told of one direction under TLS 1.3.
  struct Direction {
    // The secret is that of the first key, the sequence that of the present one. Under TLS 1.2
    // there is no secret, but records of application data are counted as well.
    TrafficSecret secret;
    std::uint32_t key_updates = 0;  // since
  };
  struct Callbacks;

  [[nodiscard]] static bool catch_up(RecordCipher& cipher, CipherSuite suite, Direction& direction);

  const Side side_;
  bool refused_renegotiation_ = false;
  std::unique_ptr<SSL, FreeBy<SSL_free>> ssl_;
  std::string_view incoming_;  // what OpenSSL may read now: one record, while `read` runs
  std::string partial_;        // the beginning of a record
  std::string completed_;      // what take_record returned, if it had begun before
  std::string output_;
  Direction write_;
  Direction read_;
};

}  // namespace ringcast::tls
