#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/types.h>

#include "ringcast/tls/record_layer.h"

/// The other end of a record layer, made of OpenSSL's own parts and none of ours, so that it can
/// write what is wrong as well.
namespace ringcast::tls::test {

using Bytes = std::vector<std::byte>;

inline constexpr std::array<CipherSuite, 3> kSuites = {CipherSuite::aes_128_gcm_sha256,
                                                       CipherSuite::aes_256_gcm_sha384,
                                                       CipherSuite::chacha20_poly1305_sha256};

/// Spaces between the digits are left out.
[[nodiscard]] Bytes from_hex(std::string_view hex);
[[nodiscard]] Bytes bytes_of(std::string_view text);
/// `count` bytes that depend on `seed` only, the same for each call.
[[nodiscard]] Bytes some_bytes(std::size_t count, std::uint32_t seed);

[[nodiscard]] TrafficSecret secret_of(std::span<const std::byte> bytes, std::uint64_t sequence = 0);
/// Two different secrets made of `seed`.
[[nodiscard]] Takeover takeover(CipherSuite suite, std::uint32_t seed = 1);
/// The same connection, as its peer has it.
[[nodiscard]] Takeover other_end(const Takeover& takeover);

/// Writes under one traffic secret whatever it is told to.
class RecordPeer {
 public:
  RecordPeer(CipherSuite suite, const TrafficSecret& secret);

  /// A record with `content`, its type and `padding` zero bytes inside. Counts the sequence up.
  [[nodiscard]] Bytes record(ContentType type, std::span<const std::byte> content,
                             std::size_t padding = 0);
  /// A record with exactly `inner` inside, and any type outside.
  [[nodiscard]] Bytes record_of(std::span<const std::byte> inner,
                                ContentType outer = ContentType::application_data);
  [[nodiscard]] Bytes data(std::string_view text);
  [[nodiscard]] Bytes close_notify();
  /// The message, and the change of the secret that belongs to it.
  [[nodiscard]] Bytes key_update(UpdateRequest request = UpdateRequest::not_requested);

  void next_secret();
  void skip_sequence() { ++secret_.sequence; }

 private:
  [[nodiscard]] Bytes expand(std::string_view label, std::size_t bytes) const;

  CipherSuite suite_;
  TrafficSecret secret_;
};

/// All that a layer reads of `input`, given in pieces of `piece_bytes`.
struct Heard {
  Bytes data;  // application data, put together
  std::size_t data_records = 0;
  std::size_t key_updates = 0;
  std::size_t handshakes = 0;
  Incoming::Kind end = Incoming::Kind::incomplete;  // or what ended it
  Alert alert = Alert::close_notify;

  friend bool operator==(const Heard&, const Heard&) = default;
};
[[nodiscard]] Heard hear(RecordLayer& layer, RecordCipher& cipher, std::span<const std::byte> input,
                         std::size_t piece_bytes = SIZE_MAX, HalfRecord half = HalfRecord());

[[nodiscard]] iovec piece_of(std::span<const std::byte> bytes);
[[nodiscard]] Bytes joined(std::initializer_list<Bytes> parts);

/// What the layer writes into exactly as much room as it asks for; empty when it writes nothing.
[[nodiscard]] Bytes write(RecordLayer& layer, RecordCipher& cipher,
                          std::span<const std::byte> plaintext);
[[nodiscard]] Bytes write(RecordLayer& layer, RecordCipher& cipher, std::string_view text);
[[nodiscard]] Bytes key_update(RecordLayer& layer, RecordCipher& cipher,
                               UpdateRequest request = UpdateRequest::not_requested);
[[nodiscard]] Bytes alert(RecordLayer& layer, RecordCipher& cipher, Alert alert);

/// For INSTANTIATE_TEST_SUITE_P.
struct NameOfSuite {
  template <class ParamInfo>
  std::string operator()(const ParamInfo& info) const {
    constexpr std::array kNames = {"Aes128Gcm", "Aes256Gcm", "ChaCha20Poly1305"};
    return kNames[static_cast<std::size_t>(info.param) - 0x1301];
  }
};

}  // namespace ringcast::tls::test
