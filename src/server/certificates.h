#pragma once

#include <memory>

#include "ringcast/base/counter.h"
#include "ringcast/base/result.h"
#include "ringcast/base/time.h"
#include "ringcast/config/tls_options.h"
#include "ringcast/tls/context.h"
#include "ringcast/tls/ticket_keys.h"

namespace ringcast::server {

/// The certificates that are in use, and the keys of session tickets, which outlive them.
///
/// Threads: one at a time; what `expiry_ms` refers to, any.
class Certificates {
 public:
  explicit Certificates(Time now);

  /// Reads the files; what is in use stays. Blocks. The error names the file.
  [[nodiscard]] Result<tls::Context::Loaded> load(const config::TlsOptions& options,
                                                  Time now) const;
  /// Takes what `load` of the same options gave. Says in the log which files are in use until when,
  /// and what is wrong with them.
  void use(tls::Context::Loaded loaded, const config::TlsOptions& options);
  /// Null before the first `use`.
  [[nodiscard]] const std::shared_ptr<const tls::Context>& context() const { return context_; }
  /// When the first of those in use expires, in milliseconds since 1970.
  [[nodiscard]] const Counter& expiry_ms() const { return expiry_ms_; }

  /// See tls::TicketKeys::advance.
  void advance(Time now);

 private:
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  std::shared_ptr<const tls::Context> context_;
  Counter expiry_ms_;
};

}  // namespace ringcast::server
