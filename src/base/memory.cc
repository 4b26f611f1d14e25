#include "ringcast/base/memory.h"

#include <mimalloc.h>

// Programs may be linked with mimalloc or not (not under sanitizers).
#pragma weak mi_collect
#pragma weak mi_option_set
#pragma weak mi_heap_new
#pragma weak mi_heap_set_default

namespace ringcast {

void give_back_memory_early() {
  if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, 0);
}

void give_back_memory() {
  if (mi_collect != nullptr) mi_collect(true);
}

void begin_new_heap() {
  if (mi_heap_new == nullptr) return;
  // It lives as long as the thread.
  if (mi_heap_t* const heap = mi_heap_new()) mi_heap_set_default(heap);
}

}  // namespace ringcast
