#include "ringcast/base/memory.h"

#include <malloc.h>
#include <mimalloc.h>

// Programs may be linked with mimalloc or not (not under sanitizers).
#pragma weak mi_collect
#pragma weak mi_option_set

namespace ringcast {

void give_back_memory_early() {
  if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, 0);
}

void give_back_memory() {
  if (mi_collect != nullptr) {
    mi_collect(true);
  } else {
    malloc_trim(0);
  }
}

}  // namespace ringcast
