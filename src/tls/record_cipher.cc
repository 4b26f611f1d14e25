#include "ringcast/tls/record_cipher.h"

#include <algorithm>
#include <cstring>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls {
namespace {

constexpr std::array<CipherSuite, 3> kSuites = {CipherSuite::aes_128_gcm_sha256,
                                                CipherSuite::aes_256_gcm_sha384,
                                                CipherSuite::chacha20_poly1305_sha256};

constexpr std::size_t index_of(CipherSuite suite) {
  return static_cast<std::size_t>(suite) - static_cast<std::size_t>(kSuites[0]);
}

constexpr const char* cipher_name(CipherSuite suite) {
  switch (suite) {
    case CipherSuite::aes_128_gcm_sha256:
      return "AES-128-GCM";
    case CipherSuite::aes_256_gcm_sha384:
      return "AES-256-GCM";
    case CipherSuite::chacha20_poly1305_sha256:
      return "ChaCha20-Poly1305";
  }
  return nullptr;
}

unsigned char* bytes_of(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}
const unsigned char* bytes_of(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

/// Pieces below this are copied together and encrypted as one run. Above it, the copy costs more
/// than a further call of OpenSSL does; many small calls would cost several times the encryption
/// itself.
constexpr std::size_t kCopyBytesMax = 2048;

EVP_CIPHER_CTX* new_context(const EVP_CIPHER* cipher, bool encrypt) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  RC_ASSERT(context != nullptr);
  RC_ASSERT(EVP_CipherInit_ex2(context, cipher, nullptr, nullptr, encrypt ? 1 : 0, nullptr) == 1);
  RC_ASSERT(EVP_CIPHER_CTX_get_iv_length(context) == static_cast<int>(kNonceBytes));
  return context;
}

EVP_MAC_CTX* new_hmac(EVP_MAC* hmac, const char* digest) {
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(hmac);
  std::array<char, 16> name{};
  std::strncpy(name.data(), digest, name.size() - 1);
  const std::array<OSSL_PARAM, 2> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_end()};
  // An OpenSSL without HMAC or SHA-2 cannot do TLS 1.3 at all.
  RC_ASSERT(context != nullptr);
  RC_ASSERT(EVP_MAC_CTX_set_params(context, parameters.data()) == 1);
  return context;
}

bool update(EVP_CIPHER_CTX* context, unsigned char* out, const std::byte* in, std::size_t bytes) {
  int written = 0;
  return EVP_CipherUpdate(context, out, &written, bytes_of(in), static_cast<int>(bytes)) == 1;
}

}  // namespace

std::span<const std::byte> Pieces::take(std::size_t bytes_max) {
  while (!pieces_.empty() && taken_ == pieces_.front().iov_len) {
    pieces_ = pieces_.subspan(1);
    taken_ = 0;
  }
  if (pieces_.empty()) return {};
  const iovec& piece = pieces_.front();
  const std::size_t bytes = std::min(bytes_max, piece.iov_len - taken_);
  const auto* const begin = static_cast<const std::byte*>(piece.iov_base) + taken_;
  taken_ += bytes;
  return {begin, bytes};
}

void RecordCipher::FreeCipher::operator()(EVP_CIPHER_CTX* context) const {
  EVP_CIPHER_CTX_free(context);
}

void RecordCipher::FreeMac::operator()(EVP_MAC_CTX* context) const {
  EVP_MAC_CTX_free(context);
}

RecordCipher::RecordCipher() {
  for (const CipherSuite suite : kSuites) {
    EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, cipher_name(suite), nullptr);
    // Some installations forbid a cipher (FIPS: ChaCha20). No handshake can end with it there.
    if (cipher == nullptr) continue;
    Contexts& contexts = contexts_[index_of(suite)];
    contexts.seal.reset(new_context(cipher, true));
    contexts.open.reset(new_context(cipher, false));
    EVP_CIPHER_free(cipher);  // the contexts keep it
  }
  EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  hmacs_[0].reset(new_hmac(hmac, "SHA256"));
  hmacs_[1].reset(new_hmac(hmac, "SHA384"));
  EVP_MAC_free(hmac);
}

RecordCipher::~RecordCipher() {
  OPENSSL_cleanse(opened_.data(), opened_bytes_);
}

bool RecordCipher::seal(const RecordKey& key, ContentType type, Pieces& content, std::size_t bytes,
                        std::span<std::byte> record) {
  RC_ASSERT(bytes <= kPlaintextBytesMax && record.size() >= bytes + kRecordOverheadBytes);
  RC_DEBUG_ASSERT(key.key.size() == key_bytes(key.suite));
  EVP_CIPHER_CTX* const context = contexts_[index_of(key.suite)].seal.get();
  if (context == nullptr) return false;

  const std::size_t length = bytes + 1 + kTagBytes;
  record[0] = static_cast<std::byte>(ContentType::application_data);
  record[1] = std::byte{3};  // TLS 1.2, for all that looks from outside
  record[2] = std::byte{3};
  record[3] = static_cast<std::byte>(length >> 8);
  record[4] = static_cast<std::byte>(length & 0xff);
  if (EVP_CipherInit_ex2(context, nullptr, bytes_of(key.key.data()), bytes_of(key.nonce.data()), 1,
                         nullptr) != 1 ||
      !update(context, nullptr, record.data(), kHeaderBytes)) {
    return false;
  }

  std::byte* const body = record.data() + kHeaderBytes;
  const auto encrypt = [context, body](const std::byte* from, std::size_t at, std::size_t count) {
    return count == 0 || update(context, bytes_of(body + at), from, count);
  };
  std::size_t run = 0;  // [run, done) is copied and not yet encrypted
  for (std::size_t done = 0; done < bytes;) {
    const auto piece = content.take(bytes - done);
    RC_ASSERT(!piece.empty());
    if (piece.size() < kCopyBytesMax) {
      std::memcpy(body + done, piece.data(), piece.size());
    } else {
      if (!encrypt(body + run, run, done - run) || !encrypt(piece.data(), done, piece.size())) {
        return false;
      }
      run = done + piece.size();
    }
    done += piece.size();
  }
  body[bytes] = static_cast<std::byte>(type);
  if (!encrypt(body + run, run, bytes + 1 - run)) return false;
  int written = 0;
  return EVP_CipherFinal_ex(context, bytes_of(body + bytes + 1), &written) == 1 && written == 0 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagBytes),
                             body + bytes + 1) == 1;
}

std::optional<std::span<const std::byte>> RecordCipher::open(
    const RecordKey& key, std::span<const std::byte, kHeaderBytes> header,
    std::span<const std::byte> ciphertext) {
  RC_ASSERT(ciphertext.size() >= kTagBytes && ciphertext.size() <= kCiphertextBytesMax);
  RC_DEBUG_ASSERT(key.key.size() == key_bytes(key.suite));
  EVP_CIPHER_CTX* const context = contexts_[index_of(key.suite)].open.get();
  if (context == nullptr) return std::nullopt;

  const std::size_t bytes = ciphertext.size() - kTagBytes;
  opened_bytes_ = std::max(opened_bytes_, bytes);
  std::array<std::byte, kTagBytes> tag;  // OpenSSL takes no const one
  std::memcpy(tag.data(), ciphertext.data() + bytes, kTagBytes);
  int written = 0;
  if (EVP_CipherInit_ex2(context, nullptr, bytes_of(key.key.data()), bytes_of(key.nonce.data()), 0,
                         nullptr) != 1 ||
      !update(context, nullptr, header.data(), kHeaderBytes) ||
      !update(context, bytes_of(opened_.data()), ciphertext.data(), bytes) ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagBytes),
                          tag.data()) != 1 ||
      EVP_CipherFinal_ex(context, bytes_of(opened_.data() + bytes), &written) != 1) {
    return std::nullopt;
  }
  return std::span<const std::byte>(opened_).first(bytes);
}

bool RecordCipher::expand_label(CipherSuite suite, std::span<const std::byte> secret,
                                std::string_view label, std::span<std::byte> out) {
  const std::size_t hash_bytes = secret_bytes(suite);
  constexpr std::string_view kPrefix = "tls13 ";
  RC_ASSERT(out.size() <= hash_bytes && label.size() <= 12);

  // The info of HKDF: length, label, empty context. Then the number of the block, RFC 5869 section
  // 2.3: since no more than one hash is asked for, the first block is the only one.
  std::array<unsigned char, 2 + 1 + 18 + 1 + 1> info{};
  std::size_t size = 0;
  info[size++] = 0;
  info[size++] = static_cast<unsigned char>(out.size());
  info[size++] = static_cast<unsigned char>(kPrefix.size() + label.size());
  for (const std::string_view part : {kPrefix, label}) {
    std::memcpy(info.data() + size, part.data(), part.size());
    size += part.size();
  }
  info[size++] = 0;
  info[size++] = 1;

  // A copy, because a context cannot be made to forget its key other than by its end.
  const std::unique_ptr<EVP_MAC_CTX, FreeMac> hmac(
      EVP_MAC_CTX_dup(hmacs_[hash_bytes == 48 ? 1 : 0].get()));
  std::array<std::byte, 48> block;
  std::size_t written = 0;
  const bool done =
      hmac != nullptr &&
      EVP_MAC_init(hmac.get(), bytes_of(secret.data()), secret.size(), nullptr) == 1 &&
      EVP_MAC_update(hmac.get(), info.data(), size) == 1 &&
      EVP_MAC_final(hmac.get(), bytes_of(block.data()), &written, block.size()) == 1;
  if (done) std::memcpy(out.data(), block.data(), out.size());
  OPENSSL_cleanse(block.data(), block.size());
  return done;
}

void RecordCipher::forget() {
  constexpr std::array<unsigned char, 32> kNoKey{};
  for (Contexts& contexts : contexts_) {
    for (EVP_CIPHER_CTX* const context : {contexts.seal.get(), contexts.open.get()}) {
      if (context == nullptr) continue;
      // Cannot fail where sealing did not; if it does, the old key merely stays a little longer.
      static_cast<void>(
          EVP_CipherInit_ex2(context, nullptr, kNoKey.data(), kNoKey.data(), -1, nullptr));
    }
  }
  OPENSSL_cleanse(opened_.data(), opened_bytes_);
  opened_bytes_ = 0;
}

}  // namespace ringcast::tls
