#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/uio.h>

#include "ringcast/tls/half_record.h"
#include "ringcast/tls/record_cipher.h"
#include "ringcast/tls/traffic.h"

namespace ringcast::tls {

/// Records under one key before this end changes it. RFC 8446 section 5.5 allows AES-GCM 2^24.5 of
/// full size; ChaCha20-Poly1305 would need no change, and gets the same for the sake of one path.
inline constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 24;

inline constexpr std::size_t kKeyUpdateRecordBytes = 5 + kRecordOverheadBytes;
inline constexpr std::size_t kAlertRecordBytes = 2 + kRecordOverheadBytes;

/// How often a peer may change its key between two writes of ours: each costs us two hashes, and
/// nothing that a stream's client has to send makes it need even one.
inline constexpr std::uint8_t kKeyUpdatesMax = 32;

/// RFC 8446 appendix B.2; those that this layer sends. Others arrive as their number.
enum class Alert : std::uint8_t {
  close_notify = 0,
  unexpected_message = 10,
  bad_record_mac = 20,
  record_overflow = 22,
  illegal_parameter = 47,
  decode_error = 50,
  internal_error = 80,
};

/// Whether the peer is to change its key as well (RFC 8446 section 4.6.3).
enum class UpdateRequest : std::uint8_t { not_requested = 0, requested = 1 };

/// One record of the peer, or why there is none.
struct Incoming {
  enum class Kind : std::uint8_t {
    incomplete,        ///< all input is taken, and no record is whole
    application_data,  ///< `plaintext`, which may be empty
    handshake,         ///< another handshake message than KeyUpdate: `plaintext`
    key_update,        ///< followed; see answer_due()
    close_notify,      ///< nothing will follow. Also the answer to every later read
    alert,             ///< the peer gave up, for the reason `alert`. Nothing will follow
    refused,           ///< not what may arrive here; answer with `alert` and end the connection
  };

  Kind kind = Kind::incomplete;
  Alert alert = Alert::close_notify;
  std::span<const std::byte> plaintext{};  ///< valid until the cipher's next use
};

/// The key of the peer's records, for a caller who reads often: deriving it takes longer than
/// opening an event does. One for each layer; `RecordLayer::read` fills it. Wiped when it ends.
class ReadKey {
 public:
  ReadKey() = default;
  ~ReadKey() { forget(); }
  ReadKey(const ReadKey&) = delete;
  ReadKey& operator=(const ReadKey&) = delete;

  /// To be called before it is used with another layer.
  void forget();

 private:
  friend class RecordLayer;

  std::array<std::byte, 32> key_{};
  std::array<std::byte, kNonceBytes> iv_{};
  bool derived_ = false;
};

/// TLS 1.3 records of one connection after its handshake (RFC 8446 section 5), in 160 bytes:
///
///        write ──► [ seal, sequence + 1 ] ──► caller's scratch ──► socket, or the tail as it is
///                     key, IV │ secret ──── KeyUpdate ───► next secret, sequence 0
///        read  ◄── [ open, sequence + 1 ] ◄── whole records ◄── HalfRecord + input
///                     secret (key and IV derived for each record: hardly any arrives)
///
/// Invariant: no nonce is used twice under one key. It holds because a sequence number is counted
/// up *before* it is used, is never set back but together with a new key, and because two layers
/// never continue from the same secret: a layer can be moved but not copied. What was sealed is
/// sent as it is or never; nobody seals the same bytes again.
///
/// Threads: of one shard, with that shard's `RecordCipher`. Blocking: never. Secrets are wiped when
/// the layer ends or is moved from; the memory that layers live in should not be in core dumps.
/// Errors: when OpenSSL fails, the layer writes nothing more (`writable()`), since the peer would
/// miss a record.
class RecordLayer {
 public:
  /// Writes nothing and reads nothing: the state of a place where no stream is.
  RecordLayer() = default;
  /// Continues where the `SSL` object stopped, which must not write any more.
  RecordLayer(RecordCipher& cipher, const Takeover& from);
  ~RecordLayer();
  RecordLayer(RecordLayer&& other) noexcept;
  RecordLayer& operator=(RecordLayer&& other) noexcept;

  /// False before the beginning, after an alert was written, and after a failure of OpenSSL.
  [[nodiscard]] bool writable() const { return (flags_ & kWritable) != 0; }

  /// What `write` needs for `plaintext_bytes` now: at least 22 bytes more for each 16 KB of them,
  /// and 27 when a change of the key is due. 0 for no bytes.
  [[nodiscard]] std::size_t bytes_for(std::size_t plaintext_bytes) const;

  /// Puts records of application data to the front of `out`: all of `pieces`, or nothing. Changes
  /// the key before or in between when it is time or the peer has asked for it. Returns the bytes
  /// written; 0: `out` is too small and nothing has changed, there was nothing to write, or the
  /// layer is not writable() (any more).
  [[nodiscard]] std::size_t write(RecordCipher& cipher, std::span<const iovec> pieces,
                                  std::span<std::byte> out);
  [[nodiscard]] std::size_t write(RecordCipher& cipher, std::span<const std::byte> plaintext,
                                  std::span<std::byte> out);

  /// A KeyUpdate under the old key; what is written later is under the new one. Serves as the
  /// answer when one is due. kKeyUpdateRecordBytes, or 0 as for `write`.
  [[nodiscard]] std::size_t write_key_update(RecordCipher& cipher, UpdateRequest request,
                                             std::span<std::byte> out);

  /// The last record of ours (RFC 8446 section 6.1). kAlertRecordBytes, or 0 as for `write`.
  [[nodiscard]] std::size_t write_alert(RecordCipher& cipher, Alert alert,
                                        std::span<std::byte> out);

  /// The peer changed its key and asked us to change ours. The next `write` does, since it must
  /// before application data; a caller may do it earlier. One change answers any number of
  /// requests.
  [[nodiscard]] bool answer_due() const { return (flags_ & kAnswerDue) != 0; }

  /// Takes the next record off `half` and the front of `input`, opens it and follows it. Repeat it
  /// until `incomplete`, or until `input` and `half` are empty. With `kept` the key is derived only
  /// when it has changed.
  [[nodiscard]] Incoming read(RecordCipher& cipher, HalfRecord& half,
                              std::span<const std::byte>& input, ReadKey* kept = nullptr);

 private:
  enum Flag : std::uint8_t { kWritable = 1, kReadable = 2, kAnswerDue = 4 };

  [[nodiscard]] std::size_t seal(RecordCipher& cipher, ContentType type, Pieces& content,
                                 std::size_t bytes, std::span<std::byte> out);
  [[nodiscard]] std::size_t seal_key_update(RecordCipher& cipher, UpdateRequest request,
                                            std::span<std::byte> out);
  [[nodiscard]] bool derive_write_key(RecordCipher& cipher);
  [[nodiscard]] bool next_secret(RecordCipher& cipher, std::array<std::byte, 48>& secret);
  [[nodiscard]] std::uint64_t records_before_update() const;

  [[nodiscard]] Incoming open(RecordCipher& cipher, std::span<const std::byte, kHeaderBytes> header,
                              std::span<const std::byte> body, ReadKey* kept);
  [[nodiscard]] Incoming follow(RecordCipher& cipher, std::span<const std::byte> inner);
  [[nodiscard]] Incoming follow_handshake(RecordCipher& cipher, std::span<const std::byte> message);
  [[nodiscard]] Incoming refuse(Alert alert);

  [[nodiscard]] CipherSuite suite() const { return static_cast<CipherSuite>(0x1300 + suite_); }
  void wipe();

  // What a write needs, in 56 bytes: a cache line or two.
  std::uint64_t write_sequence_ = 0;  // of the next record
  std::array<std::byte, 32> write_key_{};
  std::array<std::byte, kNonceBytes> write_iv_{};
  std::uint8_t suite_ = 0;  // the low byte of the suite's number
  std::uint8_t flags_ = 0;
  std::uint8_t key_updates_ = 0;  // of the peer since our last application data
  std::uint8_t refused_ = 0;      // the alert of a refusal

  std::uint64_t read_sequence_ = 0;
  std::array<std::byte, 48> write_secret_{};
  std::array<std::byte, 48> read_secret_{};
};

// What a TLS stream costs above a plain one.
static_assert(sizeof(RecordLayer) == 160);

}  // namespace ringcast::tls
