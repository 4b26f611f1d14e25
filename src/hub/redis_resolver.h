#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/uring/ring.h"

namespace ringcast::hub {

/// An address as text needs no look-up.
[[nodiscard]] bool is_numeric_address(std::string_view host);

/// Looks up a host name, one at a time, on a thread that ends with the answer.
///
/// Threads: the caller's, and its own. Blocking: nothing. getaddrinfo(3) cannot be ended early: a
/// look-up that nobody waits for any more ends by itself, and its answer with it.
class RedisResolver {
 public:
  /// `ring` is woken when an answer is there.
  explicit RedisResolver(uring::Ring& ring);
  ~RedisResolver();
  RedisResolver(const RedisResolver&) = delete;
  RedisResolver& operator=(const RedisResolver&) = delete;

  using Addresses = std::vector<std::string>;  ///< numeric, in the system's order, at least one

  /// Not while another one runs.
  void start(const std::string& host);
  /// The answer, once; nothing while the look-up runs. The error is in plain words.
  [[nodiscard]] std::optional<Result<Addresses>> take();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace ringcast::hub
