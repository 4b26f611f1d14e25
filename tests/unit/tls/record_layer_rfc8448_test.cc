#include <string_view>

#include <gtest/gtest.h>

#include "ringcast/tls/record_layer.h"

#include "record_peer.h"

namespace ringcast::tls {
namespace {

using namespace test;
using Kind = Incoming::Kind;

// RFC 8448 section 3: TLS_AES_128_GCM_SHA256, a ticket, then the same 50 bytes in both directions,
// then close_notify in both.
constexpr std::string_view kServerSecret =
    "a11af9f05531f856ad47116b45a95032 8204b4f44bfb6b3a4b4f1f3fcb631643";
constexpr std::string_view kClientSecret =
    "9e40646ce79a7f9dc05af8889bce6552 875afa0b06df0087f792ebb7c17504a5";
constexpr std::string_view kServerTicket =
    "17030300de "
    "3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758db28"
    "9a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f"
    "75e09c30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca475840025db"
    "2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f650db4d023e70e952ca49fe51"
    "37121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779b37bf15985684f";
constexpr std::string_view kServerData =
    "1703030043 "
    "2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59"
    "a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
constexpr std::string_view kServerClose = "1703030013 b58fd67166ebf599d24720cfbe7efa7a8864a9";
constexpr std::string_view kClientData =
    "1703030043 "
    "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e"
    "2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
constexpr std::string_view kClientClose = "1703030013 c9872760655666b74d7ff1153efd6db6d0b0e3";

Bytes rfc_payload() {
  Bytes bytes(50);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

Takeover rfc_server(std::uint64_t write_sequence) {
  return {.suite = CipherSuite::aes_128_gcm_sha256,
          .write = secret_of(from_hex(kServerSecret), write_sequence),
          .read = secret_of(from_hex(kClientSecret))};
}

TEST(Rfc8448, KeyAndIvFollowFromTheSecret) {
  RecordCipher cipher;
  Bytes key(16);
  Bytes iv(12);
  const Bytes secret = from_hex(kServerSecret);
  ASSERT_TRUE(cipher.expand_label(CipherSuite::aes_128_gcm_sha256, secret, "key", key));
  ASSERT_TRUE(cipher.expand_label(CipherSuite::aes_128_gcm_sha256, secret, "iv", iv));
  EXPECT_EQ(key, from_hex("9f02283b6c9c07efc26bb9f2ac92e356"));
  EXPECT_EQ(iv, from_hex("cf782b88dd83549aadf1e984"));
}

TEST(Rfc8448, ServerWritesTheRecordsOfTheExample) {
  RecordCipher cipher;
  RecordLayer layer(cipher, rfc_server(1));  // the ticket was number 0
  EXPECT_EQ(write(layer, cipher, rfc_payload()), from_hex(kServerData));
  EXPECT_EQ(alert(layer, cipher, Alert::close_notify), from_hex(kServerClose));
}

TEST(Rfc8448, ServerReadsTheRecordsOfTheExample) {
  RecordCipher cipher;
  RecordLayer layer(cipher, rfc_server(1));
  const Heard heard = hear(layer, cipher, joined({from_hex(kClientData), from_hex(kClientClose)}));
  EXPECT_EQ(heard.data, rfc_payload());
  EXPECT_EQ(heard.end, Kind::close_notify);
}

TEST(Rfc8448, ClientReadsTheTicketAsAnotherHandshakeMessage) {
  RecordCipher cipher;
  RecordLayer layer(cipher, other_end(rfc_server(0)));
  const Heard heard =
      hear(layer, cipher,
           joined({from_hex(kServerTicket), from_hex(kServerData), from_hex(kServerClose)}));
  EXPECT_EQ(heard.handshakes, 1U);
  EXPECT_EQ(heard.data, rfc_payload());
  EXPECT_EQ(heard.end, Kind::close_notify);
}

}  // namespace
}  // namespace ringcast::tls
