#include "ringcast/auth/keys.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <unistd.h>

#include "jwks.h"
#include "key_impl.h"

namespace ringcast::auth {
namespace {

constexpr int kRsaBitsMax = 16384;  // more is refused by OpenSSL for each signature

// A token without `kid` is tried with all keys of its kind, so many at most; one with a `kid` is
// tried with that key and with those that have none. Both must stay within the tries of the
// verifier, or the last key would never be used and nobody would know why.
constexpr std::size_t kKeysWithoutKidMax = 7;

/// The whole file, or why not. Wiped with its reader.
struct FileBytes {
  SecretBytes bytes;
  std::size_t size = 0;
  [[nodiscard]] std::string_view text() const { return bytes.text(size); }
};

Result<FileBytes> read_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return system_error(path, errno);
  FileBytes read_bytes{SecretBytes(kKeyFileBytesMax + 1), 0};
  for (;;) {
    const ssize_t got = read(file, read_bytes.bytes.data() + read_bytes.size,
                             read_bytes.bytes.size() - read_bytes.size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int failure = errno;
      close(file);
      return system_error(path, failure);
    }
    read_bytes.size += static_cast<std::size_t>(got);
    if (got == 0 || read_bytes.size == read_bytes.bytes.size()) break;
  }
  close(file);
  if (read_bytes.size > kKeyFileBytesMax) return Error{path + ": larger than 1 MiB"};
  static_assert(kKeyFileBytesMax == std::size_t{1} << 20, "the message says so");
  return read_bytes;
}

Result<void> read_secret_file(const std::string& path, std::vector<Key>& keys) {
  const auto file = read_file(path);
  if (!file) return file.error();
  std::string_view text = file.value().text();
  if (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
  if (text.starts_with("-----BEGIN ")) {
    return Error{path + ": is a PEM file, not a secret; public keys belong into key_files"};
  }
  Key key;
  key.kind = KeyKind::secret;
  key.name = path;
  key.secret = SecretBytes(text.size());
  std::copy(text.begin(), text.end(), key.secret.data());
  keys.push_back(std::move(key));
  return {};
}

/// One block of a PEM file, decoded.
struct PemBlock {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* bytes = nullptr;
  long size = 0;

  PemBlock() = default;
  PemBlock(const PemBlock&) = delete;
  PemBlock& operator=(const PemBlock&) = delete;
  ~PemBlock() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    // It may be a private key, put here by mistake.
    OPENSSL_clear_free(bytes, static_cast<std::size_t>(size));
  }
};

Result<EvpKey> decode_block(const PemBlock& block) {
  const std::string_view name = block.name;
  const unsigned char* at = block.bytes;
  const unsigned char* const end = block.bytes + block.size;
  if (name.ends_with("PRIVATE KEY")) {
    return Error{
        "is a private key; here belongs the public one alone: openssl pkey -in PRIVATE.pem "
        "-pubout"};
  }
  if (name == "RSA PUBLIC KEY") {
    return Error{
        "is in the older form of RSA alone; convert it: openssl rsa -RSAPublicKey_in -in OLD.pem "
        "-pubout"};
  }
  EvpKey pkey;
  if (name == "PUBLIC KEY") {
    pkey.reset(d2i_PUBKEY(nullptr, &at, block.size));
  } else if (name == "CERTIFICATE") {
    const Certificate certificate(d2i_X509(nullptr, &at, block.size));
    if (certificate != nullptr) pkey.reset(X509_get_pubkey(certificate.get()));
  } else {
    return Error{"is neither a public key nor a certificate, but \"" + std::string(name) + '"'};
  }
  if (pkey == nullptr || at != end) {
    return Error{name == "CERTIFICATE" ? "is no certificate that can be read"
                                       : "is no public key of a known kind"};
  }
  return pkey;
}

Result<void> read_pem_file(const std::string& path, std::vector<Key>& keys) {
  const auto file = read_file(path);
  if (!file) return file.error();
  const Bio bio(BIO_new_mem_buf(file.value().bytes.data(), static_cast<int>(file.value().size)));
  if (bio == nullptr) return Error{path + ": no memory"};
  ERR_clear_error();
  for (std::size_t number = 1; keys.size() <= kKeysMax; ++number) {
    const std::string name = path + ": key " + std::to_string(number);
    PemBlock block;
    if (PEM_read_bio(bio.get(), &block.name, &block.header, &block.bytes, &block.size) != 1) {
      const unsigned long failure = ERR_peek_last_error();
      ERR_clear_error();
      const bool at_end =
          ERR_GET_LIB(failure) == ERR_LIB_PEM && ERR_GET_REASON(failure) == PEM_R_NO_START_LINE;
      if (!at_end) return Error{name + ": the PEM text is damaged"};
      if (number == 1) return Error{path + ": holds no key in PEM form"};
      return {};
    }
    // Stands before some private keys, and says nothing that they do not say.
    if (std::string_view(block.name) == "EC PARAMETERS") continue;
    auto pkey = decode_block(block);
    if (!pkey) {
      ERR_clear_error();
      return Error{name + ": " + pkey.error().message};
    }
    const auto kind = examine_public_key(pkey.value().get());
    if (!kind) return Error{name + ": " + kind.error().message};
    Key key;
    key.kind = kind.value();
    key.name = name;
    key.pkey = std::move(pkey).value();
    keys.push_back(std::move(key));
  }
  return {};
}

Result<KeyKind> examine_curve(const EVP_PKEY* pkey) {
  std::array<char, 64> buffer{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(pkey, buffer.data(), buffer.size(), &length) != 1) {
    return Error{"is on no named curve; P-256 and P-384 are known"};
  }
  const std::string_view curve(buffer.data(), length);
  if (curve == "prime256v1" || curve == "P-256") return KeyKind::p256;
  if (curve == "secp384r1" || curve == "P-384") return KeyKind::p384;
  return Error{"is on the curve " + std::string(curve) + "; P-256 and P-384 are known"};
}

std::string_view describe(KeyKind kind) {
  switch (kind) {
    case KeyKind::secret:
      return "a secret (secret_file, or \"oct\" in jwks_file)";
    case KeyKind::rsa:
      return "an RSA key (key_files, jwks_file)";
    case KeyKind::p256:
      return "a key on the curve P-256 (key_files, jwks_file)";
    case KeyKind::p384:
      return "a key on the curve P-384 (key_files, jwks_file)";
    case KeyKind::ed25519:
      return "an Ed25519 key (key_files, jwks_file)";
  }
  return {};
}

Result<void> check_secret(const Key& key, const Algorithms& algorithms) {
  static_assert(kSecretBytesMin == 32, "the least that HS256 needs");
  std::size_t needed = kSecretBytesMin;
  std::string_view what_for;
  const auto need = [&](Algorithm algorithm) {
    if (key_kind(algorithm) != KeyKind::secret || hash_of(algorithm).bytes <= needed) return;
    needed = hash_of(algorithm).bytes;
    what_for = to_string(algorithm);
  };
  if (key.only) {
    need(*key.only);
  } else {
    for (const Algorithm algorithm : algorithms) need(algorithm);
  }
  if (key.secret.size() >= needed) return {};
  return Error{key.name + ": a secret of " + std::to_string(key.secret.size()) + " bytes; " +
               (what_for.empty() ? std::string() : std::string(what_for) + " needs ") +
               std::to_string(needed) + " at least (RFC 7518 section 3.2)"};
}

Result<void> check_together(const std::vector<Key>& keys) {
  if (keys.size() > kKeysMax) {
    return Error{keys.back().name + ": too many keys; " + std::to_string(kKeysMax) + " at most"};
  }
  std::array<std::size_t, 5> without_kid{};
  for (auto key = keys.begin(); key != keys.end(); ++key) {
    if (!key->kid) {
      if (++without_kid[static_cast<std::size_t>(key->kind)] > kKeysWithoutKidMax) {
        return Error{key->name + ": too many keys of one kind without a kid; " +
                     std::to_string(kKeysWithoutKidMax) + " at most"};
      }
      continue;
    }
    const auto same = std::find_if(keys.begin(), key, [&](const Key& other) {
      return other.kind == key->kind && other.kid == key->kid;
    });
    if (same != key) {
      return Error{key->name + ": has the kid of " + same->name + ", which is of the same kind"};
    }
  }
  return {};
}

Result<void> check_algorithms(const std::vector<Key>& keys, const Algorithms& algorithms) {
  for (const Algorithm algorithm : algorithms) {
    if (std::none_of(keys.begin(), keys.end(),
                     [&](const Key& key) { return key.serves(algorithm); })) {
      return Error{"no key can serve " + std::string(to_string(algorithm)) + ": it needs " +
                   std::string(describe(key_kind(algorithm)))};
    }
  }
  return {};
}

Result<void> check(const std::vector<Key>& keys, const Algorithms& algorithms) {
  for (const Key& key : keys) {
    if (key.kind != KeyKind::secret) continue;
    if (auto checked = check_secret(key, algorithms); !checked) return checked;
  }
  if (auto checked = check_together(keys); !checked) return checked;
  return check_algorithms(keys, algorithms);
}

Result<void> read_all(const KeySources& sources, std::vector<Key>& keys) {
  if (!sources.secret_file.empty()) {
    if (auto read = read_secret_file(sources.secret_file, keys); !read) return read;
  }
  for (const std::string& path : sources.key_files) {
    if (auto read = read_pem_file(path, keys); !read) return read;
  }
  if (sources.jwks_file.empty()) return {};
  const auto file = read_file(sources.jwks_file);
  if (!file) return file.error();
  return parse_jwks(file.value().text(), sources.jwks_file, keys);
}

}  // namespace

bool Key::serves(Algorithm algorithm) const {
  return kind == key_kind(algorithm) && (!only || *only == algorithm) &&
         (kind != KeyKind::secret || secret.size() >= hash_of(algorithm).bytes);
}

Result<KeyKind> examine_public_key(EVP_PKEY* pkey) {
  KeyKind kind = KeyKind::rsa;
  if (EVP_PKEY_is_a(pkey, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(pkey);
    if (bits < static_cast<int>(kRsaBitsMin) || bits > kRsaBitsMax) {
      return Error{"is an RSA key of " + std::to_string(bits) + " bits; " +
                   std::to_string(kRsaBitsMin) + " to " + std::to_string(kRsaBitsMax) +
                   " are allowed (RFC 7518 section 3.3)"};
    }
  } else if (EVP_PKEY_is_a(pkey, "EC") == 1) {
    const auto curve = examine_curve(pkey);
    if (!curve) return curve.error();
    kind = curve.value();
  } else if (EVP_PKEY_is_a(pkey, "ED25519") == 1) {
    kind = KeyKind::ed25519;
  } else {
    const char* const type = EVP_PKEY_get0_type_name(pkey);
    return Error{"is of the kind " + std::string(type == nullptr ? "?" : type) +
                 "; RSA, EC and Ed25519 are known"};
  }
  // An exponent of 1, an even modulus, a point that is not on its curve.
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  const bool good = context != nullptr && EVP_PKEY_public_check(context.get()) == 1;
  ERR_clear_error();
  if (!good) {
    return Error{kind == KeyKind::rsa ? "is no sound RSA key" : "is not a point on its curve"};
  }
  return kind;
}

Result<std::shared_ptr<const KeySet>> KeySet::load(const KeySources& sources,
                                                   const Algorithms& algorithms) {
  auto impl = std::make_unique<Impl>();
  if (auto read = read_all(sources, impl->keys); !read) return read.error();
  if (auto checked = check(impl->keys, algorithms); !checked) return checked.error();
  std::stable_partition(impl->keys.begin(), impl->keys.end(),
                        [](const Key& key) { return !key.kid; });
  const bool signs = std::any_of(algorithms.begin(), algorithms.end(), [](Algorithm algorithm) {
    return key_kind(algorithm) == KeyKind::secret;
  });
  // The secret file was read first, and its key has no kid.
  if (signs && !sources.secret_file.empty()) impl->signer = &impl->keys.front();
  return std::shared_ptr<const KeySet>(new KeySet(std::move(impl)));
}

KeySet::KeySet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeySet::~KeySet() = default;

std::size_t KeySet::size() const {
  return impl_->keys.size();
}

bool KeySet::can_sign() const {
  return impl_->signer != nullptr;
}

}  // namespace ringcast::auth
