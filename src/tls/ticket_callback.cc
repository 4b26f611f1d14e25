#include <algorithm>
#include <array>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "ringcast/base/assert.h"

#include "context_impl.h"

namespace ringcast::tls {
namespace {

// What the callback of OpenSSL returns.
constexpr int kFailure = -1;
constexpr int kNoTicket = 0;
constexpr int kTicket = 1;
constexpr int kTicketAndNewOne = 2;

/// Fetched once: for each ticket it would cost more than the ticket.
const EVP_CIPHER* ticket_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  RC_ASSERT(cipher != nullptr);
  return cipher;
}

bool key_mac(EVP_MAC_CTX* mac, TicketKeys::Key& key) {
  // OpenSSL takes the name of the hash, but does not change it.
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>("SHA256"), 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

int seal_or_open(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                 EVP_MAC_CTX* mac, int sealing) {
  const auto& keys = *static_cast<const TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (sealing != 0) {
    TicketKeys::Key key = keys.newest();
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(ticket_cipher())) != 1) return kFailure;
    std::copy(key.name.begin(), key.name.end(), name);
    const bool ready =
        EVP_EncryptInit_ex(cipher, ticket_cipher(), nullptr, key.cipher.data(), iv) == 1 &&
        key_mac(mac, key);
    return ready ? kTicket : kFailure;
  }
  auto found = keys.find(name);
  if (!found) return kNoTicket;
  const bool ready =
      EVP_DecryptInit_ex(cipher, ticket_cipher(), nullptr, found->key.cipher.data(), iv) == 1 &&
      key_mac(mac, found->key);
  if (!ready) return kFailure;
  // A client of TLS 1.3 uses a ticket once (RFC 8446 appendix C.4), so it needs another.
  return found->newest && SSL_version(ssl) != TLS1_3_VERSION ? kTicket : kTicketAndNewOne;
}

}  // namespace

void use_ticket_keys(SSL_CTX* context, const TicketKeys& keys) {
  RC_ASSERT(SSL_CTX_set_app_data(context, const_cast<TicketKeys*>(&keys)) == 1);
  RC_ASSERT(SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_or_open) == 1);
}

}  // namespace ringcast::tls
