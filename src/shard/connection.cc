#include "connection.h"

#include "ringcast/base/assert.h"

namespace ringcast::shard {
namespace {

constexpr std::size_t kKeepBytes = 4096;       // of buffers in a connection that waits in the pool
constexpr std::size_t kKeepConnections = 128;  // that wait there; of more, 2 KB each are given back

void shrink(std::string& text) {
  text.clear();
  if (text.capacity() > kKeepBytes) text.shrink_to_fit();
}

}  // namespace

ConnectionPool::Handle ConnectionPool::take() {
  if (!free_.empty()) {
    const Handle handle = free_.back();
    free_.pop_back();
    if (!connections_[handle]) {
      connections_[handle] = std::make_unique<Connection>(limits_);
      ++kept_;
    }
    return handle;
  }
  if (connections_.size() == size_max_) return kNone;
  connections_.push_back(std::make_unique<Connection>(limits_));
  ++kept_;
  free_.reserve(connections_.capacity());
  return static_cast<Handle>(connections_.size() - 1);
}

void ConnectionPool::give_back(Handle handle) {
  Connection& connection = (*this)[handle];
  RC_ASSERT(connection.at.deadline == Deadline::none);
  connection.parser.reset(kKeepBytes);
  shrink(connection.input);
  shrink(connection.output);
  shrink(connection.user);
  connection.secure.reset();
  connection.at = {};
  free_.push_back(handle);
  if (kept_ > size() + kKeepConnections) {
    connections_[handle].reset();
    --kept_;
  }
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
}

}  // namespace ringcast::shard
