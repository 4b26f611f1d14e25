#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <sys/socket.h>

#include "ringcast/admin/metrics.h"
#include "ringcast/base/result.h"

namespace ringcast::admin {

struct AdminOptions {
  sockaddr_storage address{};  ///< AF_INET or AF_INET6; port 0 = any free one
  std::size_t connections_max = 64;
  std::size_t header_bytes_max = 4096;
  std::chrono::milliseconds request_timeout{5'000};  ///< for a whole request head
  std::chrono::milliseconds answer_timeout{5'000};   ///< for the whole answer to be taken
  std::chrono::milliseconds linger_timeout{1'000};   ///< for the client to close after the answer
};

/// Why the process should get no traffic now, or an empty text when it should. Called on the admin
/// thread, for each `/readyz`.
using Readiness = std::function<std::string()>;

/// The listener of those who run the server, apart from its clients: `GET` and `HEAD` of
/// `/metrics`,
/// `/healthz` and `/readyz` (HTTP/1.1, RFC 9112; one request for each connection).
///
/// Threads: one of its own, which answers everything; all signals are blocked there. `start`,
/// `stop` and the destructor on any other thread. Blocking: nothing on the admin thread but the
/// reads of /proc. `stop` waits for the thread; what is open then is dropped with the object.
/// Bounds: `connections_max` at a time, more wait in the backlog of the kernel; each holds about
/// 16 KB until its deadline, and no body is ever read.
/// Errors: only `start` fails, with the address and the reason.
class AdminServer {
 public:
  /// Binds, listens and starts the thread. An IPv6 address takes IPv6 only, so that `0.0.0.0` and
  /// `::` can be used side by side.
  [[nodiscard]] static Result<std::unique_ptr<AdminServer>> start(const AdminOptions& options,
                                                                  MetricsSources sources,
                                                                  Readiness readiness);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// Where it listens: `127.0.0.1:9080`, `[::1]:9080`; the port is the real one.
  [[nodiscard]] const std::string& address() const;
  [[nodiscard]] std::uint16_t port() const;

  /// Stops listening and ends the thread. May be called again.
  void stop();

 private:
  class Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringcast::admin
