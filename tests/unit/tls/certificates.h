#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "handles.h"

/// Certificates that are made in the test, with OpenSSL alone.
namespace ringcast::tls::test {

/// 2026-01-01 00:00:00 UTC, within the life of all certificates that ask for nothing else.
inline constexpr std::uint64_t kNowMs = 1'767'225'600'000;
inline constexpr std::int64_t kDaySeconds = 86'400;

/// "P-256", "secp256k1", "RSA-2048", "ED25519" and the like. RSA keys of a size are the same in
/// one run, since they are slow to make.
[[nodiscard]] KeyHandle make_key(const std::string& kind);

struct Wish {
  std::vector<std::string> names = {"example.com"};  ///< DNS names
  std::string key = "P-256";
  std::string common_name{};  ///< instead of names, when these are empty
  std::int64_t begins_seconds = -kDaySeconds;
  std::int64_t ends_seconds = 3650 * kDaySeconds;  ///< both counted from kNowMs
  bool authority = false;
};

struct Issued {
  CertificateHandle certificate;
  KeyHandle key;

  [[nodiscard]] std::string certificate_pem() const;
  [[nodiscard]] std::string key_pem(const std::string& passphrase = {}) const;
};

[[nodiscard]] std::string pem_of(X509* certificate);

/// Issues certificates, and is what clients trust.
class Authority {
 public:
  Authority() : Authority(issue_root()) {}
  explicit Authority(Issued own) : own_(std::move(own)) {}

  [[nodiscard]] Issued issue(const Wish& wish = {}) const;
  [[nodiscard]] X509* certificate() const { return own_.certificate.get(); }
  [[nodiscard]] std::string certificate_pem() const { return own_.certificate_pem(); }

 private:
  static Issued issue_root();

  Issued own_;
};

}  // namespace ringcast::tls::test
