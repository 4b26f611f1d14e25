#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ringcast/tls/record_cipher.h"

namespace ringcast::tls {

/// The front of a record whose rest has not arrived. Hardly any stream has one, so that it is kept
/// apart from `RecordLayer`: a caller reads with an empty one and keeps it only if it is not empty
/// afterwards. Allocates when a header is complete and its body is not: once, as much as the body
/// is long. Holds ciphertext only, so that it needs no wiping.
class HalfRecord {
 public:
  /// A record longer than `record_bytes_max`, header included, is refused, however it arrives: what
  /// a peer can make this end keep. `close_notify` and `KeyUpdate` have below 32 bytes unpadded.
  explicit HalfRecord(std::size_t record_bytes_max = kRecordBytesMax);
  ~HalfRecord() = default;
  /// What is moved from is empty and may be used again.
  HalfRecord(HalfRecord&& other) noexcept;
  HalfRecord& operator=(HalfRecord&& other) noexcept;

  [[nodiscard]] bool empty() const { return header_size_ == 0; }
  /// Bytes that have arrived.
  [[nodiscard]] std::size_t size() const { return std::size_t{header_size_} + body_size_; }

 private:
  friend class RecordLayer;

  /// Takes bytes off the front of `input` until the header, then the body is complete.
  bool take_header(std::span<const std::byte>& input);
  bool take_body(std::span<const std::byte>& input);
  void clear();

  [[nodiscard]] std::size_t body_bytes() const {
    return std::to_integer<std::size_t>(header_[3]) << 8 | std::to_integer<std::size_t>(header_[4]);
  }

  std::unique_ptr<std::byte[]> body_;
  std::uint16_t body_bytes_max_;
  std::uint16_t body_size_ = 0;
  std::array<std::byte, kHeaderBytes> header_{};
  std::uint8_t header_size_ = 0;
};

}  // namespace ringcast::tls
