#include "ringcast/base/memory.h"

#include <malloc.h>

// Of mimalloc, which programs may be linked with or not.
extern "C" void mi_collect(bool force) __attribute__((weak));

namespace ringcast {

void give_back_memory() {
  if (mi_collect != nullptr) {
    mi_collect(true);
  } else {
    malloc_trim(0);
  }
}

}  // namespace ringcast
