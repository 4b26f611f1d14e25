#pragma once

#include <string>
#include <utility>
#include <variant>

#include "ringcast/base/assert.h"

namespace ringcast {

/// Why something failed, in words that the person who runs the server can act on.
struct Error {
  std::string message;
};

/// A value, or why there is none. For what the outside world causes: files, sockets, input.
/// Reading the side that is not there is a bug and aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & {
    RC_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& {
    RC_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && {
    RC_ASSERT(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  [[nodiscard]] const Error& error() const {
    RC_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)
      : failed_(true), error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const {
    RC_ASSERT(failed_);
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_;
};

/// "what: reason of errno", for a system call that returned `-errno` or set errno.
[[nodiscard]] Error system_error(std::string what, int errno_value);

}  // namespace ringcast
