#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ringcast/auth/algorithm.h"
#include "ringcast/base/free_by.h"

/// What the sources of this module share of OpenSSL: owning pointers, bytes that are wiped, and the
/// algorithms, fetched once for the process.
namespace ringcast::auth {

inline void free_bio(BIO* bio) {
  BIO_free(bio);
}
using Bio = std::unique_ptr<BIO, FreeBy<free_bio>>;
using EvpKey = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using EvpKeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeBy<EVP_PKEY_CTX_free>>;
using EvpHashContext = std::unique_ptr<EVP_MD_CTX, FreeBy<EVP_MD_CTX_free>>;
using EvpMacContext = std::unique_ptr<EVP_MAC_CTX, FreeBy<EVP_MAC_CTX_free>>;
using Certificate = std::unique_ptr<X509, FreeBy<X509_free>>;

/// Bytes of a fixed number that are wiped when they are given up.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t size)
      : bytes_(std::make_unique<unsigned char[]>(size)), size_(size) {}
  SecretBytes(SecretBytes&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SecretBytes() {
    if (bytes_ != nullptr) OPENSSL_cleanse(bytes_.get(), size_);
  }

  [[nodiscard]] unsigned char* data() { return bytes_.get(); }
  [[nodiscard]] const unsigned char* data() const { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view text(std::size_t size) const {
    return {reinterpret_cast<const char*>(bytes_.get()), size};
  }

 private:
  std::unique_ptr<unsigned char[]> bytes_;
  std::size_t size_ = 0;
};

/// The hash below an algorithm. Ed25519 has its own inside and is not asked.
struct Hash {
  const char* name;
  const EVP_MD* md;
  std::size_t bytes;
};
[[nodiscard]] const Hash& hash_of(Algorithm algorithm);
inline constexpr std::size_t kHashBytesMax = 64;

/// HMAC (RFC 2104), fetched once.
[[nodiscard]] EVP_MAC* hmac_algorithm();

}  // namespace ringcast::auth
