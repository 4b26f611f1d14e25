#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

/// What is handed over when a connection leaves its `SSL` object: enough to go on writing and
/// reading TLS 1.3 records where that object stopped. `Session::take_over` and
/// `ClientSession::take_over` produce it, `RecordLayer` continues with it.
namespace ringcast::tls {

/// The numbers of RFC 8446 appendix B.4.
enum class CipherSuite : std::uint16_t {
  aes_128_gcm_sha256 = 0x1301,
  aes_256_gcm_sha384 = 0x1302,
  chacha20_poly1305_sha256 = 0x1303,
};

/// Length of a traffic secret: that of the suite's hash.
[[nodiscard]] constexpr std::size_t secret_bytes(CipherSuite suite) {
  return suite == CipherSuite::aes_256_gcm_sha384 ? 48 : 32;
}

/// Length of a key for the suite's cipher.
[[nodiscard]] constexpr std::size_t key_bytes(CipherSuite suite) {
  return suite == CipherSuite::aes_128_gcm_sha256 ? 16 : 32;
}

/// One direction's `application_traffic_secret_N` (RFC 8446 section 7.1). Every copy is wiped when
/// it ends.
struct TrafficSecret {
  std::array<std::byte, 48> bytes{};
  std::uint8_t size = 0;       // secret_bytes() of the suite
  std::uint64_t sequence = 0;  // number of the next record under this secret; 0 after a KeyUpdate

  TrafficSecret() = default;
  TrafficSecret(const TrafficSecret&) = default;
  TrafficSecret& operator=(const TrafficSecret&) = default;
  ~TrafficSecret();
};

struct Takeover {
  CipherSuite suite = CipherSuite::aes_128_gcm_sha256;
  TrafficSecret write;  // ours to the peer
  TrafficSecret read;   // the peer's to us
};

/// What is needed to go on without the `SSL` object.
struct Handover {
  Takeover keys;
  std::string half_record;  ///< the beginning of a record that has not wholly arrived
};

}  // namespace ringcast::tls
