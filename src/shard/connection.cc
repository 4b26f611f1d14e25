#include "connection.h"

#include "ringcast/base/assert.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kKeepBytes = 4096;  // of buffers in a connection that waits in the pool
// That wait there, 7 KB each: a storm makes none anew. After it they are freed (`release_memory`).
constexpr std::size_t kKeepConnections = 256;

void shrink(std::string& text) {
  text.clear();
  if (text.capacity() > kKeepBytes) text.shrink_to_fit();
}

}  // namespace

ConnectionPool::Handle ConnectionPool::take() {
  std::vector<Handle>& free = free_kept_.empty() ? free_ : free_kept_;
  Handle handle = kNone;
  if (!free.empty()) {
    handle = free.back();
    free.pop_back();
  } else if (connections_.size() < size_max_) {
    handle = static_cast<Handle>(connections_.size());
    connections_.emplace_back();
    serials_.push_back(0);
    free_.reserve(connections_.capacity());
  } else {
    return kNone;
  }
  ++size_;
  if (!connections_[handle]) {
    connections_[handle] = std::make_unique<Connection>(limits_);
    connections_[handle]->serial = serials_[handle];
  }
  return handle;
}

void ConnectionPool::give_back(Handle handle) {
  Connection& connection = (*this)[handle];
  RC_ASSERT(connection.at.deadline == Deadline::none);
  --size_;
  // Those that were made first are kept, so that whole pages of the others become free.
  if (handle >= kKeepConnections) {
    free_memory(handle);
    free_.push_back(handle);
    return;
  }
  connection.parser.reset(kKeepBytes);
  shrink(connection.input);
  shrink(connection.output);
  shrink(connection.user);
  connection.secure.reset();
  connection.at = {};
  free_kept_.push_back(handle);
}

void ConnectionPool::release_memory() {
  for (const Handle handle : free_kept_) free_memory(handle);
}

void ConnectionPool::free_memory(Handle handle) {
  if (!connections_[handle]) return;
  serials_[handle] = connections_[handle]->serial;
  connections_[handle].reset();
}

void DeadlineList::push_back(ConnectionPool& pool, ConnectionPool::Handle handle) {
  Connection& connection = pool[handle];
  connection.next = ConnectionPool::kNone;
  connection.previous = last_;
  if (last_ == ConnectionPool::kNone) {
    first_ = handle;
  } else {
    pool[last_].next = handle;
  }
  last_ = handle;
  ++size_;
}

void DeadlineList::remove(ConnectionPool& pool, ConnectionPool::Handle handle) {
  Connection& connection = pool[handle];
  if (connection.previous == ConnectionPool::kNone) {
    first_ = connection.next;
  } else {
    pool[connection.previous].next = connection.next;
  }
  if (connection.next == ConnectionPool::kNone) {
    last_ = connection.previous;
  } else {
    pool[connection.next].previous = connection.previous;
  }
  --size_;
}

}  // namespace ringcast::shard
