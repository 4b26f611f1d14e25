#pragma once

#include <memory>

#include "ringcast/base/result.h"
#include "ringcast/tls/context.h"

namespace ringcast::tls {

/// A whole handshake of the calling thread with itself, and a record. OpenSSL makes what it keeps
/// for each thread (random generators, contexts) and what it looks up once (algorithms) with the
/// first handshake of all: about 200 small blocks, which then lie among those of a burst of clients
/// and hold on to its pages. Takes about a millisecond.
///
/// Threads: any. Errors: why the two ends did not come to terms. Nothing depends on it.
[[nodiscard]] Result<void> warm_up(const std::shared_ptr<const Context>& context);

}  // namespace ringcast::tls
