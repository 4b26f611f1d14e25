#pragma once

// The allocator is mimalloc. In a program without it, under a sanitizer that brings its own,
// nothing of this happens.

namespace ringcast {

/// Lets the allocator give pages back as soon as they are free, instead of with the next call that
/// frees something nearby. Once, before there are other threads.
void give_back_memory_early();

/// Gives memory that the calling thread has freed back to the system, as far as the allocator can.
/// mimalloc hands a page over in two steps some 25 ms apart: call it twice. Takes up to some
/// milliseconds. Any thread.
void give_back_memory();

/// What the calling thread allocates from now on shares no page with what it has. One small block
/// that stays keeps the page of 64 KiB that it is in, with all others of its size that are gone by
/// then; so once what lasts has been made, a thread begins a new heap for what comes and goes.
void begin_new_heap();

}  // namespace ringcast
