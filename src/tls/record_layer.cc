#include "ringcast/tls/record_layer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <openssl/crypto.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls {
namespace {

// RFC 8446 section 4.6.3: type, length in three bytes, request.
constexpr std::byte kKeyUpdateType{24};
constexpr std::size_t kKeyUpdateBytes = 5;

using Nonce = std::array<std::byte, kNonceBytes>;

/// RFC 8446 section 5.3: the sequence number, big endian, over the end of the IV.
Nonce nonce_of(const Nonce& iv, std::uint64_t sequence) {
  Nonce nonce = iv;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[kNonceBytes - 1 - i] ^= static_cast<std::byte>(sequence >> (8 * i) & 0xff);
  }
  return nonce;
}

std::size_t total_bytes(std::span<const iovec> pieces) {
  std::size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

iovec piece_of(std::span<const std::byte> bytes) {
  return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
}

}  // namespace

void ReadKey::forget() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(iv_.data(), iv_.size());
  derived_ = false;
}

RecordLayer::RecordLayer(RecordCipher& cipher, const Takeover& from)
    : write_sequence_(from.write.sequence),
      suite_(static_cast<std::uint8_t>(static_cast<unsigned>(from.suite) & 0xff)),
      read_sequence_(from.read.sequence),
      write_secret_(from.write.bytes),
      read_secret_(from.read.bytes) {
  RC_ASSERT(from.suite >= CipherSuite::aes_128_gcm_sha256 &&
            from.suite <= CipherSuite::chacha20_poly1305_sha256);
  RC_ASSERT(from.write.size == secret_bytes(from.suite));
  RC_ASSERT(from.read.size == secret_bytes(from.suite));
  flags_ = kReadable;
  if (derive_write_key(cipher)) flags_ |= kWritable;
}

RecordLayer::~RecordLayer() {
  wipe();
}

RecordLayer::RecordLayer(RecordLayer&& other) noexcept {
  *this = std::move(other);
}

RecordLayer& RecordLayer::operator=(RecordLayer&& other) noexcept {
  if (this == &other) return *this;
  write_sequence_ = other.write_sequence_;
  read_sequence_ = other.read_sequence_;
  write_secret_ = other.write_secret_;
  read_secret_ = other.read_secret_;
  write_key_ = other.write_key_;
  write_iv_ = other.write_iv_;
  suite_ = other.suite_;
  flags_ = other.flags_;
  key_updates_ = other.key_updates_;
  refused_ = other.refused_;
  other.wipe();
  return *this;
}

void RecordLayer::wipe() {
  OPENSSL_cleanse(write_secret_.data(), write_secret_.size());
  OPENSSL_cleanse(read_secret_.data(), read_secret_.size());
  OPENSSL_cleanse(write_key_.data(), write_key_.size());
  OPENSSL_cleanse(write_iv_.data(), write_iv_.size());
  flags_ = 0;
  refused_ = 0;
}

bool RecordLayer::derive_write_key(RecordCipher& cipher) {
  const std::span secret = std::span(write_secret_).first(secret_bytes(suite()));
  return cipher.expand_label(suite(), secret, "key",
                             std::span(write_key_).first(key_bytes(suite()))) &&
         cipher.expand_label(suite(), secret, "iv", write_iv_);
}

bool RecordLayer::next_secret(RecordCipher& cipher, std::array<std::byte, 48>& secret) {
  std::array<std::byte, 48> next{};
  const std::size_t bytes = secret_bytes(suite());
  const bool derived = cipher.expand_label(suite(), std::span(secret).first(bytes), "traffic upd",
                                           std::span(next).first(bytes));
  if (derived) secret = next;
  OPENSSL_cleanse(next.data(), next.size());
  return derived;
}

// Writing

std::uint64_t RecordLayer::records_before_update() const {
  // The last number is the KeyUpdate's own.
  return write_sequence_ < kRecordsPerKey - 1 ? kRecordsPerKey - 1 - write_sequence_ : 0;
}

std::size_t RecordLayer::bytes_for(std::size_t plaintext_bytes) const {
  const std::size_t records = (plaintext_bytes + kPlaintextBytesMax - 1) / kPlaintextBytesMax;
  if (records == 0) return 0;
  RC_ASSERT(records < kRecordsPerKey);  // more than 256 GB: at most one change of the key
  const bool update = answer_due() || records > records_before_update();
  return plaintext_bytes + records * kRecordOverheadBytes + (update ? kKeyUpdateRecordBytes : 0);
}

std::size_t RecordLayer::write(RecordCipher& cipher, std::span<const iovec> pieces,
                               std::span<std::byte> out) {
  std::size_t left = total_bytes(pieces);
  if (!writable() || left == 0 || out.size() < bytes_for(left)) return 0;

  const std::size_t room = out.size();
  Pieces content(pieces);
  while (left > 0) {
    if (answer_due() || records_before_update() == 0) {
      const std::size_t update = seal_key_update(cipher, UpdateRequest::not_requested, out);
      if (update == 0) return 0;
      out = out.subspan(update);
    }
    const std::size_t bytes = std::min(left, kPlaintextBytesMax);
    const std::size_t record = seal(cipher, ContentType::application_data, content, bytes, out);
    if (record == 0) return 0;
    out = out.subspan(record);
    left -= bytes;
  }
  key_updates_ = 0;
  return room - out.size();
}

std::size_t RecordLayer::write(RecordCipher& cipher, std::span<const std::byte> plaintext,
                               std::span<std::byte> out) {
  const iovec piece = piece_of(plaintext);
  return write(cipher, {&piece, 1}, out);
}

std::size_t RecordLayer::write_key_update(RecordCipher& cipher, UpdateRequest request,
                                          std::span<std::byte> out) {
  if (!writable() || out.size() < kKeyUpdateRecordBytes) return 0;
  return seal_key_update(cipher, request, out);
}

std::size_t RecordLayer::write_alert(RecordCipher& cipher, Alert alert, std::span<std::byte> out) {
  if (!writable() || out.size() < kAlertRecordBytes) return 0;
  // The level means nothing in TLS 1.3, but is to be as ever: a warning for an end in peace.
  const std::array<std::byte, 2> message = {
      alert == Alert::close_notify ? std::byte{1} : std::byte{2}, static_cast<std::byte>(alert)};
  const iovec piece = piece_of(message);
  Pieces content({&piece, 1});
  const std::size_t record = seal(cipher, ContentType::alert, content, message.size(), out);
  flags_ &= static_cast<std::uint8_t>(~kWritable);
  return record;
}

std::size_t RecordLayer::seal(RecordCipher& cipher, ContentType type, Pieces& content,
                              std::size_t bytes, std::span<std::byte> out) {
  const RecordKey key = {.suite = suite(),
                         .key = std::span(write_key_).first(key_bytes(suite())),
                         .nonce = nonce_of(write_iv_, write_sequence_)};
  // Before its use: whatever happens below, this number does not come again.
  ++write_sequence_;
  const std::size_t record = bytes + kRecordOverheadBytes;
  if (!cipher.seal(key, type, content, bytes, out.first(record))) {
    // The number is gone and the peer waits for it.
    flags_ &= static_cast<std::uint8_t>(~kWritable);
    return 0;
  }
  return record;
}

std::size_t RecordLayer::seal_key_update(RecordCipher& cipher, UpdateRequest request,
                                         std::span<std::byte> out) {
  const std::array<std::byte, kKeyUpdateBytes> message = {
      kKeyUpdateType, std::byte{0}, std::byte{0}, std::byte{1}, static_cast<std::byte>(request)};
  const iovec piece = piece_of(message);
  Pieces content({&piece, 1});
  const std::size_t record = seal(cipher, ContentType::handshake, content, message.size(), out);
  if (record == 0) return 0;
  // The number begins again with the new key only: without one, nothing more is written.
  if (!next_secret(cipher, write_secret_) || !derive_write_key(cipher)) {
    flags_ &= static_cast<std::uint8_t>(~kWritable);
    return 0;
  }
  write_sequence_ = 0;
  flags_ &= static_cast<std::uint8_t>(~kAnswerDue);
  return record;
}

// Reading

Incoming RecordLayer::read(RecordCipher& cipher, HalfRecord& half,
                           std::span<const std::byte>& input, ReadKey* kept) {
  if ((flags_ & kReadable) == 0) {
    // RFC 8446 section 6.1: what comes after the end is ignored.
    input = {};
    half.clear();
    if (refused_ != 0) return refuse(static_cast<Alert>(refused_));
    return {.kind = Incoming::Kind::close_notify};
  }
  if (half.header_size_ < kHeaderBytes) {
    if (!half.take_header(input)) return {};
    // Judged before the body arrives, so that a peer cannot make us wait for, or keep, what will be
    // refused. An unprotected ChangeCipherSpec is not allowed any more after the handshake.
    if (half.header_[0] != static_cast<std::byte>(ContentType::application_data)) {
      return refuse(Alert::unexpected_message);
    }
    if (half.body_bytes() > half.body_bytes_max_) return refuse(Alert::record_overflow);
    if (half.body_bytes() < kTagBytes + 1) return refuse(Alert::bad_record_mac);
  }
  if (half.body_size_ == 0 && input.size() >= half.body_bytes()) {
    const auto body = input.first(half.body_bytes());
    input = input.subspan(body.size());
    const Incoming incoming = open(cipher, half.header_, body, kept);
    half.clear();
    return incoming;
  }
  if (!half.take_body(input)) return {};
  const Incoming incoming = open(cipher, half.header_, {half.body_.get(), half.body_bytes()}, kept);
  half.clear();
  return incoming;
}

Incoming RecordLayer::open(RecordCipher& cipher, std::span<const std::byte, kHeaderBytes> header,
                           std::span<const std::byte> body, ReadKey* kept) {
  // Derived each time if the caller keeps none: a place for the key would make every stream larger,
  // for what hardly any does.
  ReadKey once;
  ReadKey& reading = kept != nullptr ? *kept : once;
  const std::span key = std::span(reading.key_).first(key_bytes(suite()));
  if (!reading.derived_) {
    const std::span secret = std::span(read_secret_).first(secret_bytes(suite()));
    reading.derived_ = cipher.expand_label(suite(), secret, "key", key) &&
                       cipher.expand_label(suite(), secret, "iv", reading.iv_);
    if (!reading.derived_) return refuse(Alert::internal_error);
  }
  const auto inner = cipher.open(
      {.suite = suite(), .key = key, .nonce = nonce_of(reading.iv_, read_sequence_)}, header, body);
  if (!inner) return refuse(Alert::bad_record_mac);
  ++read_sequence_;
  const Incoming incoming = follow(cipher, *inner);
  if (incoming.kind == Incoming::Kind::key_update) reading.forget();
  return incoming;
}

Incoming RecordLayer::follow(RecordCipher& cipher, std::span<const std::byte> inner) {
  // Longer with its padding than RFC 8446 section 5.4 lets it be: 2^14 and the type.
  if (inner.size() > kPlaintextBytesMax + 1) return refuse(Alert::record_overflow);
  std::size_t size = inner.size();
  while (size > 0 && inner[size - 1] == std::byte{0}) --size;  // padding
  if (size == 0) return refuse(Alert::unexpected_message);
  const auto content = inner.first(size - 1);

  switch (static_cast<ContentType>(inner[size - 1])) {
    case ContentType::application_data:
      return {.kind = Incoming::Kind::application_data, .plaintext = content};
    case ContentType::alert:
      if (content.size() != 2) return refuse(Alert::decode_error);
      flags_ &= static_cast<std::uint8_t>(~kReadable);
      if (content[1] == static_cast<std::byte>(Alert::close_notify)) {
        return {.kind = Incoming::Kind::close_notify};
      }
      // Whatever its level says, RFC 8446 section 6.2.
      return {.kind = Incoming::Kind::alert, .alert = static_cast<Alert>(content[1])};
    case ContentType::handshake:
      return follow_handshake(cipher, content);
    default:
      return refuse(Alert::unexpected_message);
  }
}

Incoming RecordLayer::follow_handshake(RecordCipher& cipher, std::span<const std::byte> message) {
  if (message.empty()) return refuse(Alert::unexpected_message);
  if (message[0] != kKeyUpdateType) {
    return {.kind = Incoming::Kind::handshake, .plaintext = message};
  }
  // Alone in its record, because the next record has another key (RFC 8446 section 5.1). It could
  // come in two records as well; nobody does that to five bytes, and it is refused.
  const bool sound_length =
      message.size() < 4 ||
      (message[1] == std::byte{0} && message[2] == std::byte{0} && message[3] == std::byte{1});
  if (!sound_length) return refuse(Alert::decode_error);
  if (message.size() != kKeyUpdateBytes) return refuse(Alert::unexpected_message);
  if (message[4] > static_cast<std::byte>(UpdateRequest::requested)) {
    return refuse(Alert::illegal_parameter);
  }
  if (key_updates_ == kKeyUpdatesMax) return refuse(Alert::unexpected_message);
  ++key_updates_;
  const bool requested = message[4] == static_cast<std::byte>(UpdateRequest::requested);
  if (!next_secret(cipher, read_secret_)) return refuse(Alert::internal_error);
  read_sequence_ = 0;
  if (requested) flags_ |= kAnswerDue;
  return {.kind = Incoming::Kind::key_update};
}

Incoming RecordLayer::refuse(Alert alert) {
  flags_ &= static_cast<std::uint8_t>(~kReadable);
  refused_ = static_cast<std::uint8_t>(alert);
  return {.kind = Incoming::Kind::refused, .alert = alert};
}

}  // namespace ringcast::tls
