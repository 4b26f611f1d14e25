#pragma once

#include <memory>
#include <mutex>

#include "ringcast/base/free_by.h"
#include "ringcast/tls/client_context.h"

#include "handles.h"

namespace ringcast::tls {

using TicketHandle = std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>>;

struct ClientContext::Impl {
  SslContextHandle context;
  std::string told_name;  // to the server; empty: none

  /// A copy of the newest ticket, or null. Copies, because OpenSSL makes what it used unusable.
  [[nodiscard]] TicketHandle ticket() const;
  void keep(SSL_SESSION* ticket);

 private:
  mutable std::mutex mutex_;
  TicketHandle newest_;
};

}  // namespace ringcast::tls
