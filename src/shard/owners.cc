#include "owners.h"

#include <algorithm>

#include "ringcast/base/assert.h"

namespace ringcast::shard {

Owners::Owners(std::size_t streams_max) : slab_(streams_max) {
  buckets_.fill(kNone);
}

Owners::Handle Owners::add(const Owner& owner) {
  const Handle handle = slab_.take();
  RC_ASSERT(handle != kNone);
  slab_[handle] = owner;
  link(handle);
  return handle;
}

void Owners::remove(Handle handle) {
  unlink(handle);
  slab_.give_back(handle);
}

void Owners::link(Handle handle) {
  Owner& owner = slab_[handle];
  if (owner.ends_s == kNever) return;
  owner.ends_s = std::max(owner.ends_s, next_s_);  // the past has been looked at
  Handle& first = buckets_[owner.ends_s % kBuckets];
  owner.previous = kNone;
  owner.next = first;
  if (first != kNone) slab_[first].previous = handle;
  first = handle;
  ++timed_;
}

void Owners::unlink(Handle handle) {
  Owner& owner = slab_[handle];
  if (owner.ends_s == kNever) return;
  if (owner.previous == kNone) {
    buckets_[owner.ends_s % kBuckets] = owner.next;
  } else {
    slab_[owner.previous].next = owner.next;
  }
  if (owner.next != kNone) slab_[owner.next].previous = owner.previous;
  owner.ends_s = kNever;
  --timed_;
}

void Owners::sign_out(Handle handle) {
  unlink(handle);
  slab_[handle].signed_out = true;
  slab_[handle].ends_s = next_s_;
  link(handle);
}

void Owners::put_off(Handle handle, std::uint32_t now_s) {
  unlink(handle);
  ++slab_[handle].put_off;
  slab_[handle].ends_s = now_s + 1;
  link(handle);
}

bool Owners::take_due(std::uint32_t now_s, std::size_t most, std::vector<Handle>& due) {
  due.clear();
  if (timed_ == 0 || now_s < next_s_) return false;
  // After a turn of the wheel every bucket has been looked at.
  if (now_s - next_s_ >= kBuckets) next_s_ = now_s - kBuckets + 1;
  for (; next_s_ <= now_s; ++next_s_) {
    for (Handle at = buckets_[next_s_ % kBuckets]; at != kNone; at = slab_[at].next) {
      if (slab_[at].ends_s > now_s) continue;
      if (due.size() == most) return true;
      due.push_back(at);
    }
  }
  return false;
}

}  // namespace ringcast::shard
