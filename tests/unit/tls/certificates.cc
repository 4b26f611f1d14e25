#include "certificates.h"

#include <ctime>
#include <map>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls::test {
namespace {

std::string take_text(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  RC_ASSERT(extension != nullptr);
  RC_ASSERT(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

/// With no issuer, it signs itself.
Issued make(const Wish& wish, const Issued* issuer) {
  static long serial = 0;
  Issued made{CertificateHandle(X509_new()), make_key(wish.key)};
  X509* const certificate = made.certificate.get();
  RC_ASSERT(X509_set_version(certificate, X509_VERSION_3) == 1);
  RC_ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial) == 1);
  const auto now = static_cast<std::time_t>(kNowMs / 1000);
  RC_ASSERT(ASN1_TIME_set(X509_getm_notBefore(certificate), now + wish.begins_seconds) != nullptr);
  RC_ASSERT(ASN1_TIME_set(X509_getm_notAfter(certificate), now + wish.ends_seconds) != nullptr);
  const std::string name = wish.names.empty() ? wish.common_name : wish.names.front();
  if (!name.empty()) {
    RC_ASSERT(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                         reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                                         -1, 0) == 1);
  }
  X509* const above = issuer == nullptr ? certificate : issuer->certificate.get();
  RC_ASSERT(X509_set_issuer_name(certificate, X509_get_subject_name(above)) == 1);
  RC_ASSERT(X509_set_pubkey(certificate, made.key.get()) == 1);
  std::string names;
  for (const std::string& each : wish.names) names += (names.empty() ? "DNS:" : ",DNS:") + each;
  if (!names.empty()) add_extension(certificate, above, NID_subject_alt_name, names);
  if (wish.authority) {
    add_extension(certificate, above, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, above, NID_key_usage, "critical,keyCertSign");
  }
  add_extension(certificate, above, NID_subject_key_identifier, "hash");
  if (issuer != nullptr) add_extension(certificate, above, NID_authority_key_identifier, "keyid");
  EVP_PKEY* const signer = issuer == nullptr ? made.key.get() : issuer->key.get();
  const bool own_hash = EVP_PKEY_is_a(signer, "ED25519") == 1;
  RC_ASSERT(X509_sign(certificate, signer, own_hash ? nullptr : EVP_sha256()) > 0);
  return made;
}

}  // namespace

KeyHandle make_key(const std::string& kind) {
  if (kind == "ED25519") return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!kind.starts_with("RSA-")) {
    KeyHandle key(EVP_EC_gen(kind.c_str()));
    RC_ASSERT(key != nullptr);
    return key;
  }
  static std::map<std::string, KeyHandle> made;
  KeyHandle& key = made[kind];
  if (key == nullptr) key.reset(EVP_RSA_gen(std::stoul(kind.substr(4))));
  RC_ASSERT(key != nullptr && EVP_PKEY_up_ref(key.get()) == 1);
  return KeyHandle(key.get());
}

std::string pem_of(X509* certificate) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  RC_ASSERT(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return take_text(bio.get());
}

std::string Issued::certificate_pem() const {
  return pem_of(certificate.get());
}

std::string Issued::key_pem(const std::string& passphrase) const {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  const auto* const word = reinterpret_cast<const unsigned char*>(passphrase.data());
  RC_ASSERT(PEM_write_bio_PrivateKey(bio.get(), key.get(),
                                     passphrase.empty() ? nullptr : EVP_aes_128_cbc(), word,
                                     static_cast<int>(passphrase.size()), nullptr, nullptr) == 1);
  return take_text(bio.get());
}

Issued Authority::issue(const Wish& wish) const {
  return make(wish, &own_);
}

Issued Authority::issue_root() {
  return make({.names = {}, .common_name = "Test Root", .authority = true}, nullptr);
}

}  // namespace ringcast::tls::test
