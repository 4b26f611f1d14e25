#pragma once

namespace ringcast {

/// Lets the allocator give pages back as soon as they are free, instead of with the next call that
/// frees something nearby. Once, before there are other threads.
void give_back_memory_early();

/// Gives memory that the calling thread has freed back to the system, as far as the allocator can.
/// mimalloc hands a page over in two steps some 25 ms apart: call it twice. Takes up to some
/// milliseconds. Any thread.
void give_back_memory();

}  // namespace ringcast
