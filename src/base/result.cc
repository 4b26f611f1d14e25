#include "ringcast/base/result.h"

#include <cstring>

namespace ringcast {

Error system_error(std::string what, int errno_value) {
  const int code = errno_value < 0 ? -errno_value : errno_value;
  return Error{std::move(what) + ": " + strerrordesc_np(code) + " (" + strerrorname_np(code) + ")"};
}

}  // namespace ringcast
