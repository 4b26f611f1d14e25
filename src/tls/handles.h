#pragma once

#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "ringcast/base/free_by.h"

/// Owning pointers to what OpenSSL hands out.
namespace ringcast::tls {

inline void free_bio(BIO* bio) {
  BIO_free(bio);
}

using BioHandle = std::unique_ptr<BIO, FreeBy<free_bio>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using CertificateHandle = std::unique_ptr<X509, FreeBy<X509_free>>;
using SslContextHandle = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;

}  // namespace ringcast::tls
