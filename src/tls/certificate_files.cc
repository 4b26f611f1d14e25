#include "certificate_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <openssl/x509v3.h>
#include <unistd.h>

namespace ringcast::tls {
namespace {

/// A file that may hold a private key, wiped with its reader.
struct PemFile {
  std::string text;

  PemFile() = default;
  PemFile(PemFile&& other) noexcept : text(std::move(other.text)) {}
  PemFile& operator=(PemFile&&) = delete;
  ~PemFile() { OPENSSL_cleanse(text.data(), text.size()); }
};

Result<PemFile> read_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return system_error(path, errno);
  PemFile read_text;
  // At its full size at once: growing would leave copies of a key behind.
  read_text.text.resize(kPemFileBytesMax + 1);
  std::size_t size = 0;
  int failure = 0;
  while (size < read_text.text.size()) {
    const ssize_t got = read(file, read_text.text.data() + size, read_text.text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failure = errno;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(file);
  if (failure != 0) return system_error(path, failure);
  if (size > kPemFileBytesMax) return Error{path + ": larger than 1 MiB"};
  static_assert(kPemFileBytesMax == std::size_t{1} << 20, "the message says so");
  read_text.text.resize(size);
  return read_text;
}

BioHandle bio_of(const PemFile& file) {
  return BioHandle(BIO_new_mem_buf(file.text.data(), static_cast<int>(file.text.size())));
}

bool is_end_of_pem(unsigned long error) {
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

Result<std::vector<CertificateHandle>> read_chain(const std::string& path) {
  const auto file = read_file(path);
  if (!file) return file.error();
  const BioHandle bio = bio_of(file.value());
  std::vector<CertificateHandle> chain;
  ERR_clear_error();
  for (;;) {
    CertificateHandle next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    chain.push_back(std::move(next));
    if (chain.size() > kChainMax) {
      return Error{path + ": holds more than " + std::to_string(kChainMax) + " certificates"};
    }
  }
  const bool at_end = is_end_of_pem(ERR_peek_last_error());
  ERR_clear_error();
  if (!at_end) {
    return Error{path + ": certificate " + std::to_string(chain.size() + 1) +
                 " is damaged and cannot be read"};
  }
  if (chain.empty()) return Error{path + ": holds no certificate in PEM form"};
  return chain;
}

/// Never asks at a terminal, which is what OpenSSL does without a callback.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<KeyHandle> read_key(const std::string& path) {
  const auto file = read_file(path);
  if (!file) return file.error();
  const BioHandle bio = bio_of(file.value());
  bool asked = false;
  ERR_clear_error();
  KeyHandle key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &asked));
  const bool at_end = is_end_of_pem(ERR_peek_last_error());
  ERR_clear_error();
  if (asked) {
    return Error{path +
                 ": the private key needs a passphrase, which nobody can type here; take it "
                 "off: openssl pkey -in OLD.pem -out NEW.pem"};
  }
  if (key == nullptr) {
    const bool none = at_end || file.value().text.find("PRIVATE KEY-----") == std::string::npos;
    return Error{path + (none ? ": holds no private key in PEM form"
                              : ": the private key is damaged or of an unknown kind")};
  }
  return key;
}

Result<KeyKind> kind_of(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < static_cast<int>(kCertificateRsaBitsMin)) {
      return Error{"its RSA key has " + std::to_string(bits) + " bits; clients ask for " +
                   std::to_string(kCertificateRsaBitsMin) + " or more"};
    }
    return KeyKind::rsa;
  }
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return KeyKind::ed25519;
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    std::array<char, 64> buffer{};
    std::size_t length = 0;
    std::string_view curve = "of its own";
    if (EVP_PKEY_get_group_name(key, buffer.data(), buffer.size(), &length) == 1) {
      curve = {buffer.data(), length};
    }
    if (curve == "prime256v1" || curve == "secp384r1" || curve == "secp521r1") {
      return KeyKind::ecdsa;
    }
    return Error{"its key is on the curve " + std::string(curve) +
                 "; clients know P-256, P-384 and P-521"};
  }
  const char* const type = EVP_PKEY_get0_type_name(key);
  return Error{"its key is of the kind " + std::string(type == nullptr ? "?" : type) +
               "; ECDSA, RSA and Ed25519 can be used"};
}

void add_name(std::vector<std::string>& names, const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return;
  std::string name(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  // A NUL inside was once used to make one name look like another.
  if (name.empty() || name.find('\0') != std::string::npos) return;
  name = normal_name(name);
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  auto* const alternatives = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type == GEN_DNS) add_name(names, name->d.dNSName);
  }
  GENERAL_NAMES_free(alternatives);
  if (!names.empty()) return names;
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  return names;
}

struct Moment {
  std::uint64_t unix_ms = 0;
  std::string text;
};

Moment moment_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {0, "an unreadable date"};
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  const std::time_t seconds = timegm(&parts);
  return {seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds) * 1000, text.data()};
}

void warn_of_dates(Certificate& certificate, Time now, std::vector<std::string>& warnings) {
  const Moment begins = moment_of(X509_get0_notBefore(certificate.leaf.get()));
  const Moment ends = moment_of(X509_get0_notAfter(certificate.leaf.get()));
  certificate.expires_unix_ms = ends.unix_ms;
  if (now.unix_ms > ends.unix_ms) {
    warnings.push_back(certificate.file + ": the certificate expired on " + ends.text);
  } else if (now.unix_ms < begins.unix_ms) {
    warnings.push_back(certificate.file + ": the certificate is valid only from " + begins.text +
                       " on");
  }
}

/// Clients that do not fetch what is missing fail, those that do make it hard to notice.
void warn_of_holes(const Certificate& certificate, std::vector<std::string>& warnings) {
  X509* below = certificate.leaf.get();
  for (std::size_t i = 0; i < certificate.chain.size(); ++i) {
    X509* const above = certificate.chain[i].get();
    if (X509_check_issued(above, below) != X509_V_OK) {
      warnings.push_back(certificate.file + ": certificate " + std::to_string(i + 2) +
                         " is not the issuer of certificate " + std::to_string(i + 1) +
                         "; many clients will not find the way to the root");
      return;
    }
    below = above;
  }
}

Result<void> check_pair(const CertificateFiles& files, const Certificate& certificate) {
  ERR_clear_error();
  const bool fits = X509_check_private_key(certificate.leaf.get(), certificate.key.get()) == 1;
  std::size_t other = 0;
  for (std::size_t i = 0; !fits && i < certificate.chain.size(); ++i) {
    if (X509_check_private_key(certificate.chain[i].get(), certificate.key.get()) == 1) {
      other = i + 2;
    }
  }
  ERR_clear_error();
  if (fits) return {};
  if (other != 0) {
    return Error{files.certificate + ": the private key of " + files.private_key +
                 " belongs to certificate " + std::to_string(other) +
                 " of the file; that one must come first"};
  }
  return Error{files.private_key + ": the private key does not belong to the certificate of " +
               files.certificate};
}

}  // namespace

std::string normal_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string normal(name);
  for (char& c : normal) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normal;
}

Result<Certificate> read_certificate(const CertificateFiles& files, Time now,
                                     std::vector<std::string>& warnings) {
  auto chain = read_chain(files.certificate);
  if (!chain) return chain.error();
  auto key = read_key(files.private_key);
  if (!key) return key.error();

  Certificate certificate;
  certificate.file = files.certificate;
  certificate.leaf = std::move(chain.value().front());
  chain.value().erase(chain.value().begin());
  certificate.chain = std::move(chain).value();
  certificate.key = std::move(key).value();
  if (auto checked = check_pair(files, certificate); !checked) return checked.error();
  const auto kind = kind_of(certificate.key.get());
  if (!kind) return Error{files.certificate + ": " + kind.error().message};
  certificate.kind = kind.value();
  certificate.names = names_of(certificate.leaf.get());
  warn_of_dates(certificate, now, warnings);
  warn_of_holes(certificate, warnings);
  return certificate;
}

}  // namespace ringcast::tls
