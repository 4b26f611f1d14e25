#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/tls/context.h"

#include "handles.h"

namespace ringcast::tls {

/// In the order in which clients are given them.
enum class KeyKind : std::uint8_t { ecdsa, ed25519, rsa };

/// A certificate with its key and its chain, read and checked.
struct Certificate {
  std::string file;
  KeyKind kind = KeyKind::rsa;
  CertificateHandle leaf;
  std::vector<CertificateHandle> chain;
  KeyHandle key;
  /// DNS names in small letters, `*.` in front of a wildcard; the common name when there are none.
  std::vector<std::string> names;
  std::uint64_t expires_unix_ms = 0;
};

/// Errors begin with the name of the file at fault. Appends what deserves a warning.
[[nodiscard]] Result<Certificate> read_certificate(const CertificateFiles& files, Time now,
                                                   std::vector<std::string>& warnings);

/// In small letters, without a dot at the end.
[[nodiscard]] std::string normal_name(std::string_view name);

}  // namespace ringcast::tls
