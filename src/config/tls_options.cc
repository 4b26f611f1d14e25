#include "ringcast/config/tls_options.h"

#include "ringcast/base/assert.h"

namespace ringcast::config {

std::vector<tls::CertificateFiles> certificate_files(const TlsOptions& options) {
  RC_ASSERT(options.certificates.size() == options.private_keys.size());
  std::vector<tls::CertificateFiles> files;
  for (std::size_t i = 0; i < options.certificates.size(); ++i) {
    files.push_back({options.certificates[i], options.private_keys[i]});
  }
  return files;
}

}  // namespace ringcast::config
