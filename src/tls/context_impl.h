#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ringcast/tls/context.h"

#include "certificate_files.h"
#include "handles.h"

namespace ringcast::tls {

struct Context::Impl {
  std::shared_ptr<const TicketKeys> ticket_keys;
  std::vector<Certificate> certificates;
  /// One for each set of certificates that some name needs; at most one of each kind in a set.
  std::map<std::vector<std::size_t>, SslContextHandle> contexts;
  /// By exact name, and by wildcard as it stands in the certificate.
  std::unordered_map<std::string, SSL_CTX*> by_name;
  SSL_CTX* fallback = nullptr;  ///< for no name, or an unknown one
};

/// Seals and opens tickets of `context` with `keys`, which must outlive its sessions.
void use_ticket_keys(SSL_CTX* context, const TicketKeys& keys);

}  // namespace ringcast::tls
