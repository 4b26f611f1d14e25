#include "ringcast/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ringcast {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "ringcast: internal error: %s does not hold (%s:%d)\n", condition, file,
               line);
  std::abort();
}

}  // namespace ringcast
