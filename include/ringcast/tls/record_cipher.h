#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <openssl/types.h>
#include <sys/uio.h>

#include "ringcast/tls/traffic.h"

namespace ringcast::tls {

inline constexpr std::size_t kHeaderBytes = 5;  // of a record, RFC 8446 section 5.2
inline constexpr std::size_t kTagBytes = 16;    // of all three suites
inline constexpr std::size_t kNonceBytes = 12;  // likewise
inline constexpr std::size_t kPlaintextBytesMax = 16'384;
/// What follows a header: content, its type, padding and the tag (2^14 + 256).
inline constexpr std::size_t kCiphertextBytesMax = kPlaintextBytesMax + 256;
inline constexpr std::size_t kRecordBytesMax = kHeaderBytes + kCiphertextBytesMax;
/// A record is so much longer than its content: header, type of the content, tag. We never pad.
inline constexpr std::size_t kRecordOverheadBytes = kHeaderBytes + 1 + kTagBytes;

/// RFC 8446 appendix B.1. Inside a protected record; outside it is always `application_data`.
enum class ContentType : std::uint8_t {
  change_cipher_spec = 20,
  alert = 21,
  handshake = 22,
  application_data = 23,
};

/// Bytes that lie in several pieces, read once from the front to the end.
class Pieces {
 public:
  explicit Pieces(std::span<const iovec> pieces) : pieces_(pieces) {}

  /// The next bytes that lie together, at most `bytes_max`; empty at the end only.
  [[nodiscard]] std::span<const std::byte> take(std::size_t bytes_max);

 private:
  std::span<const iovec> pieces_;
  std::size_t taken_ = 0;  // of the first piece
};

/// A key and a nonce. No pair of them may ever be given to `RecordCipher::seal` twice.
struct RecordKey {
  CipherSuite suite;
  std::span<const std::byte> key;  // key_bytes() of the suite
  std::array<std::byte, kNonceBytes> nonce;
};

/// What OpenSSL does for the record layers of one shard: one context for each cipher and direction,
/// fetched once and given another key for each record, since a context of its own would cost a
/// stream more than all its other state.
///
/// Threads: of one. Blocking: never. Errors: OpenSSL's, which short of a lack of memory or a suite
/// that the installation forbids do not happen; a caller ends the stream.
/// It keeps the last key of each context and the last plaintext that it opened until `forget`.
///
/// `seal` and `expand_label` are virtual so that a test sees each nonce, and can let a call fail.
class RecordCipher {
 public:
  RecordCipher();
  virtual ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  /// Writes one record (RFC 8446 section 5.2): the next `bytes` (at most kPlaintextBytesMax) of
  /// `content`, to the front of `record`, which has room for kRecordOverheadBytes more. When it
  /// fails, `record` holds nothing that may be sent.
  [[nodiscard]] virtual bool seal(const RecordKey& key, ContentType type, Pieces& content,
                                  std::size_t bytes, std::span<std::byte> record);

  /// The inner plaintext of a record: content, type and padding. Nothing if it is not authentic.
  /// Valid until the next call. `ciphertext` is kTagBytes to kCiphertextBytesMax long.
  [[nodiscard]] std::optional<std::span<const std::byte>> open(
      const RecordKey& key, std::span<const std::byte, kHeaderBytes> header,
      std::span<const std::byte> ciphertext);

  /// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1) and the suite's hash; `out` is
  /// not longer than the hash.
  [[nodiscard]] virtual bool expand_label(CipherSuite suite, std::span<const std::byte> secret,
                                          std::string_view label, std::span<std::byte> out);

  /// Overwrites the keys and the plaintext that the contexts were used with last. Below 1 us.
  void forget();

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const;
  };
  struct FreeMac {
    void operator()(EVP_MAC_CTX* context) const;
  };
  struct Contexts {
    std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> seal, open;  // none: the suite is not available
  };

  std::array<Contexts, 3> contexts_;                            // in the order of the suites
  std::array<std::unique_ptr<EVP_MAC_CTX, FreeMac>, 2> hmacs_;  // SHA-256, SHA-384; without a key
  std::array<std::byte, kCiphertextBytesMax> opened_{};
  std::size_t opened_bytes_ = 0;  // of it, that may hold plaintext
};

}  // namespace ringcast::tls
