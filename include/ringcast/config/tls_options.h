#pragma once

#include <string>
#include <vector>

#include "ringcast/config/address.h"
#include "ringcast/shard/options.h"
#include "ringcast/tls/context.h"

namespace ringcast::config {

/// HTTPS listeners; without an address there is no TLS, and nothing else of it is looked at.
struct TlsOptions {
  std::vector<ListenAddress> listen;
  /// PEM files, pair by pair: the first key is that of the first certificate.
  std::vector<std::string> certificates;
  std::vector<std::string> private_keys;
  /// `https://host[:port]`, where requests on plain listeners are sent to; empty = they are served.
  std::string redirect_to;
  shard::TlsOptions connections;

  friend bool operator==(const TlsOptions&, const TlsOptions&) = default;
};

/// The pairs; for options without contradictions, so that there are as many keys.
[[nodiscard]] std::vector<tls::CertificateFiles> certificate_files(const TlsOptions& options);

}  // namespace ringcast::config
