#include "record_peer.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls::test {
namespace {

unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}
const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

void append(Bytes& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

const EVP_CIPHER* cipher_of(CipherSuite suite) {
  switch (suite) {
    case CipherSuite::aes_128_gcm_sha256:
      return EVP_aes_128_gcm();
    case CipherSuite::aes_256_gcm_sha384:
      return EVP_aes_256_gcm();
    default:
      return EVP_chacha20_poly1305();
  }
}

}  // namespace

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  std::string digits;
  for (const char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::byte>(std::strtoul(digits.c_str(), nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes some_bytes(std::size_t count, std::uint32_t seed) {
  std::minstd_rand random(seed + 1);
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 8 & 0xff);
  return bytes;
}

TrafficSecret secret_of(std::span<const std::byte> bytes, std::uint64_t sequence) {
  TrafficSecret secret;
  std::copy(bytes.begin(), bytes.end(), secret.bytes.begin());
  secret.size = static_cast<std::uint8_t>(bytes.size());
  secret.sequence = sequence;
  return secret;
}

Takeover takeover(CipherSuite suite, std::uint32_t seed) {
  const std::size_t bytes = secret_bytes(suite);
  return {.suite = suite,
          .write = secret_of(some_bytes(bytes, 2 * seed)),
          .read = secret_of(some_bytes(bytes, 2 * seed + 1))};
}

Takeover other_end(const Takeover& takeover) {
  return {.suite = takeover.suite, .write = takeover.read, .read = takeover.write};
}

iovec piece_of(std::span<const std::byte> bytes) {
  return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
}

RecordPeer::RecordPeer(CipherSuite suite, const TrafficSecret& secret)
    : suite_(suite), secret_(secret) {}

Bytes RecordPeer::expand(std::string_view label, std::size_t bytes) const {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf),
                                                                          EVP_KDF_CTX_free);
  std::string digest = secret_.size == 48 ? "SHA384" : "SHA256";
  std::string prefix = "tls13 ";
  std::string name(label);
  Bytes key(secret_.bytes.begin(), secret_.bytes.begin() + secret_.size);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const std::array parameters = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix.data(), prefix.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, name.data(), name.size()),
      OSSL_PARAM_construct_end()};
  Bytes out(bytes);
  RC_ASSERT(EVP_KDF_derive(context.get(), raw(out.data()), out.size(), parameters.data()) == 1);
  return out;
}

void RecordPeer::next_secret() {
  secret_ = secret_of(expand("traffic upd", secret_.size));
}

Bytes RecordPeer::record_of(std::span<const std::byte> inner, ContentType outer) {
  const std::size_t length = inner.size() + kTagBytes;
  Bytes record = {static_cast<std::byte>(outer), std::byte{3}, std::byte{3},
                  static_cast<std::byte>(length >> 8), static_cast<std::byte>(length & 0xff)};
  const Bytes key = expand("key", key_bytes(suite_));
  Bytes nonce = expand("iv", kNonceBytes);
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[4 + i] ^= static_cast<std::byte>(secret_.sequence >> (56 - 8 * i) & 0xff);
  }
  ++secret_.sequence;

  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes body(length);
  int written = 0;
  RC_ASSERT(EVP_EncryptInit_ex(context.get(), cipher_of(suite_), nullptr, raw(key.data()),
                               raw(nonce.data())) == 1);
  RC_ASSERT(EVP_EncryptUpdate(context.get(), nullptr, &written, raw(record.data()), 5) == 1);
  RC_ASSERT(EVP_EncryptUpdate(context.get(), raw(body.data()), &written, raw(inner.data()),
                              static_cast<int>(inner.size())) == 1);
  RC_ASSERT(EVP_EncryptFinal_ex(context.get(), raw(body.data() + inner.size()), &written) == 1);
  RC_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16,
                                body.data() + inner.size()) == 1);
  append(record, body);
  return record;
}

Bytes RecordPeer::record(ContentType type, std::span<const std::byte> content,
                         std::size_t padding) {
  Bytes inner(content.begin(), content.end());
  inner.push_back(static_cast<std::byte>(type));
  inner.resize(inner.size() + padding);
  return record_of(inner);
}

Bytes RecordPeer::data(std::string_view text) {
  return record(ContentType::application_data, bytes_of(text));
}

Bytes RecordPeer::close_notify() {
  return record(ContentType::alert, from_hex("0100"));
}

Bytes RecordPeer::key_update(UpdateRequest request) {
  Bytes message = from_hex("18 000001");
  message.push_back(static_cast<std::byte>(request));
  const Bytes sealed = record(ContentType::handshake, message);
  next_secret();
  return sealed;
}

Heard hear(RecordLayer& layer, RecordCipher& cipher, std::span<const std::byte> input,
           std::size_t piece_bytes, HalfRecord half) {
  using Kind = Incoming::Kind;
  Heard heard;
  while (!input.empty()) {
    // A copy of its own, so that a sanitizer sees a read behind its end.
    const Bytes piece(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(
                                                         std::min(piece_bytes, input.size())));
    input = input.subspan(piece.size());
    std::span<const std::byte> rest = piece;
    while (!rest.empty()) {
      const Incoming incoming = layer.read(cipher, half, rest);
      switch (incoming.kind) {
        case Kind::incomplete:
          RC_ASSERT(rest.empty());
          break;
        case Kind::application_data:
          append(heard.data, incoming.plaintext);
          ++heard.data_records;
          break;
        case Kind::key_update:
          ++heard.key_updates;
          break;
        case Kind::handshake:
          ++heard.handshakes;
          break;
        default:
          heard.end = incoming.kind;
          heard.alert = incoming.alert;
          return heard;
      }
    }
  }
  return heard;
}

Bytes write(RecordLayer& layer, RecordCipher& cipher, std::span<const std::byte> plaintext) {
  Bytes out(layer.bytes_for(plaintext.size()));
  const std::size_t written = layer.write(cipher, plaintext, out);
  RC_ASSERT(written == out.size() || written == 0);
  out.resize(written);
  return out;
}

Bytes write(RecordLayer& layer, RecordCipher& cipher, std::string_view text) {
  return write(layer, cipher, bytes_of(text));
}

Bytes key_update(RecordLayer& layer, RecordCipher& cipher, UpdateRequest request) {
  Bytes out(kKeyUpdateRecordBytes);
  out.resize(layer.write_key_update(cipher, request, out));
  return out;
}

Bytes alert(RecordLayer& layer, RecordCipher& cipher, Alert alert) {
  Bytes out(kAlertRecordBytes);
  out.resize(layer.write_alert(cipher, alert, out));
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) append(all, part);
  return all;
}

}  // namespace ringcast::tls::test
