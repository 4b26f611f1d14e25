#include "sender.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::shard {
namespace {

std::span<const std::byte> as_bytes(const iovec& span) {
  return {static_cast<const std::byte*>(span.iov_base), span.iov_len};
}

}  // namespace

std::span<const sse::TopicNews> Sender::news(std::uint32_t topic_set) {
  const auto topics = context_.sets.topics(topic_set);
  for (std::size_t i = 0; i < topics.size(); ++i) {
    news_[i] = {topics[i], context_.topics[topics[i]].newest};
  }
  return {news_.data(), topics.size()};
}

bool Sender::overtaken(const Stream& stream) const {
  if (stream.cursor >= context_.log->tail()) return false;
  for (const sse::TopicId topic : context_.sets.topics(stream.topic_set)) {
    const sse::Ordinal evicted = context_.topics[topic].newest_evicted;
    if (evicted != sse::kNoOrdinal && evicted >= stream.cursor) return true;
  }
  return false;
}

const Payload& Sender::payload(sse::Ordinal cursor, std::uint32_t topic_set, sse::Wire wire) {
  for (const Memo& memo : memos_) {
    if (memo.filled && memo.cursor == cursor && memo.topic_set == topic_set && memo.wire == wire) {
      return memo.payload;
    }
  }
  const auto room = std::span(spans_).subspan(spans_used_, kSpansPerSend);
  const sse::Gathered gathered = sse::gather(*context_.log, std::max(cursor, context_.log->tail()),
                                             news(topic_set), wire, {}, room);
  Memo& memo = memos_[next_memo_++ % kPayloads];
  memo = {.filled = true,
          .cursor = cursor,
          .topic_set = topic_set,
          .wire = wire,
          .payload = {.first_span = static_cast<std::uint16_t>(spans_used_),
                      .spans = static_cast<std::uint16_t>(gathered.spans),
                      .bytes = gathered.bytes,
                      .events = gathered.events,
                      .next = gathered.next}};
  spans_used_ += gathered.spans;
  return memo.payload;
}

Sender::Entry& Sender::next_entry(uring::Slot slot, SendKind kind, std::size_t bytes) {
  RC_DEBUG_ASSERT(count_ < kBatch);
  RC_DEBUG_ASSERT(!holds(context_.table[slot]));
  context_.table[slot].batch = batch_;
  Entry& entry = entries_[count_++];
  entry = {.slot = slot,
           .kind = kind,
           .bytes = static_cast<std::uint32_t>(bytes),
           .taken = static_cast<std::uint32_t>(bytes),
           .from = context_.table[slot].cursor};
  bytes_ += bytes;
  return entry;
}

void Sender::add_log(uring::Slot slot, const Payload& payload) {
  const auto place = static_cast<std::uint32_t>(count_);
  next_entry(slot, SendKind::log, payload.bytes).events = payload.events;
  Stream& stream = context_.table[slot];
  any_special_ |= stream.is(Fact::woke);
  stream.cursor = payload.next;
  stream.last_sent_ms = context_.now_ms();
  context_.counters.deliveries.add(payload.events);
  if (payload.spans == 1) {
    context_.ring.send(slot, as_bytes(spans_[payload.first_span]), place);
    return;
  }
  messages_[place] = msghdr{.msg_iov = &spans_[payload.first_span], .msg_iovlen = payload.spans};
  context_.ring.send(slot, messages_[place], place);
}

std::size_t Sender::add_rest(uring::Slot slot) {
  const auto place = static_cast<std::uint32_t>(count_);
  Stream& stream = context_.table[slot];
  const sse::LogEntry& frame = context_.log->entry(stream.cursor);
  const auto rest = context_.log->bytes(frame, stream.wire()).subspan(stream.frame_taken);
  next_entry(slot, SendKind::rest, rest.size()).frame_taken = stream.frame_taken;
  ++stream.cursor;
  stream.frame_taken = 0;
  stream.last_sent_ms = context_.now_ms();
  any_special_ |= stream.is(Fact::woke);
  context_.ring.send(slot, rest, place);
  return rest.size();
}

void Sender::add_heartbeat(uring::Slot slot, std::span<const std::byte> frame) {
  const auto place = static_cast<std::uint32_t>(count_);
  next_entry(slot, SendKind::heartbeat, frame.size()).data = frame.data();
  Stream& stream = context_.table[slot];
  any_special_ |= stream.is(Fact::woke);
  stream.cursor = context_.log->head();
  stream.last_sent_ms = context_.now_ms();
  context_.counters.heartbeats.add();
  context_.ring.send(slot, frame, place);
}

void Sender::add_words(uring::Slot slot, SendKind kind, std::span<const std::byte> bytes) {
  RC_ASSERT(bytes.size() <= kWordsMax && words_used_ + bytes.size() <= words_.size());
  const auto place = static_cast<std::uint32_t>(count_);
  std::byte* const copy = words_.data() + words_used_;
  std::copy(bytes.begin(), bytes.end(), copy);
  words_used_ += bytes.size();
  next_entry(slot, kind, bytes.size()).data = copy;
  context_.table[slot].last_sent_ms = context_.now_ms();
  any_special_ = true;
  context_.ring.send(slot, std::span<const std::byte>(copy, bytes.size()), place);
}

void Sender::add_tail(uring::Slot slot) {
  const auto place = static_cast<std::uint32_t>(count_);
  std::size_t bytes = 0;
  const auto room = std::span(spans_).subspan(spans_used_, kSpansPerSend);
  const std::size_t spans = context_.tails.front(context_.table[slot].extra, room, bytes);
  next_entry(slot, SendKind::tail, bytes);
  messages_[place] = msghdr{.msg_iov = &spans_[spans_used_], .msg_iovlen = spans};
  spans_used_ += spans;
  any_special_ = true;
  context_.ring.send(slot, messages_[place], place);
}

void Sender::flush() {
  if (count_ > 0) {
    const auto failures = context_.ring.flush_sends();
    for (const uring::SendFailure& failure : failures) {
      Entry& entry = entries_[failure.place];
      entry.taken = failure.result > 0 ? static_cast<std::uint32_t>(failure.result) : 0;
      entry.error = failure.result < 0 ? failure.result : 0;
      bytes_ -= entry.bytes - entry.taken;
    }
    context_.counters.sends.add(count_);
    context_.counters.delivered_bytes.add(bytes_);
    if (any_special_) {
      for (std::size_t i = 0; i < count_; ++i) settle(entries_[i]);
    } else {
      for (const uring::SendFailure& failure : failures) settle(entries_[failure.place]);
    }
  }
  count_ = bytes_ = spans_used_ = words_used_ = 0;
  any_special_ = false;
  ++batch_;
  for (Memo& memo : memos_) memo.filled = false;
}

void Sender::settle(Entry& entry) {
  if (entry.error != 0 && entry.error != -EAGAIN) {
    // -EPIPE, -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, ...: the peer is gone, whatever the reason.
    if (entry.kind == SendKind::log) context_.counters.deliveries.sub(entry.events);
    context_.counters.streams_ended_by_peer.add();
    drop(entry.slot);
    return;
  }
  if (entry.kind == SendKind::tail) {
    settle_tail(entry);
  } else if (entry.taken < entry.bytes) {
    settle_short(entry);
  } else if (entry.kind == SendKind::last_words) {
    finish(entry.slot);
  } else {
    context_.table[entry.slot].clear(Fact::woke);
  }
}

void Sender::settle_short(const Entry& entry) {
  Stream& stream = context_.table[entry.slot];
  if (entry.taken == 0) {
    context_.counters.sends_refused.add();
  } else {
    context_.counters.sends_short.add();
  }

  switch (entry.kind) {
    case SendKind::log:
    case SendKind::rest:
      settle_inside_frame(entry);
      break;
    case SendKind::heartbeat:
      if (entry.taken == 0) {
        stream.cursor = entry.from;
      } else if (!keep_in_tail(entry.slot, entry.not_taken())) {
        return;
      }
      break;
    default:  // words are not repeated by anything: all of what was not taken is kept
      if (entry.kind == SendKind::last_words) stream.set(Fact::end_after_tail);
      if (!keep_in_tail(entry.slot, entry.not_taken())) return;
  }
  block(entry.slot, entry.taken > 0);
}

void Sender::settle_inside_frame(const Entry& entry) {
  Stream& stream = context_.table[entry.slot];
  stream.cursor = entry.from;
  if (entry.kind == SendKind::rest) {
    stream.frame_taken = entry.frame_taken + entry.taken;
  } else if (entry.taken == 0) {
    context_.counters.deliveries.sub(entry.events);
    return;
  } else {
    const sse::Split split = sse::split(*context_.log, std::max(entry.from, context_.log->tail()),
                                        news(stream.topic_set), stream.wire(), entry.taken);
    context_.counters.deliveries.sub(entry.events - split.events);
    stream.cursor = split.next;
    if (split.rest.empty()) return;
    --stream.cursor;
    const auto frame = context_.log->bytes(context_.log->entry(stream.cursor), stream.wire());
    stream.frame_taken = static_cast<std::uint32_t>(frame.size() - split.rest.size());
  }
  lowest_rest_ = std::min(lowest_rest_, stream.cursor);
}

void Sender::settle_tail(const Entry& entry) {
  Stream& stream = context_.table[entry.slot];
  if (context_.tails.consume(stream.extra, entry.taken)) {
    if (entry.taken < entry.bytes) {
      block(entry.slot, entry.taken > 0);
    } else {
      // More than one send's spans: stays ready for the rest.
      stream.clear(Fact::woke);
    }
    return;
  }
  context_.tails.release(stream.extra);
  stream.extra = kNoExtra;
  stream.clear(Fact::woke);
  if (stream.is(Fact::end_after_tail)) finish(entry.slot);
}

bool Sender::keep_in_tail(uring::Slot slot, std::span<const std::byte> bytes) {
  Stream& stream = context_.table[slot];
  RC_DEBUG_ASSERT(stream.extra == kNoExtra);
  stream.extra = context_.tails.create(bytes);
  if (stream.extra != Tails::kNone) return true;
  stream.extra = kNoExtra;
  context_.counters.tails_full.add();
  context_.counters.streams_ended_slow.add();
  drop(slot);
  return false;
}

void Sender::save_rests_before(sse::Ordinal evicted) {
  if (evicted < lowest_rest_) return;
  RC_DEBUG_ASSERT(count_ == 0);
  const sse::BroadcastLog& log = *context_.log;
  const sse::Ordinal near = evicted + (log.head() - log.tail()) / 64;
  lowest_rest_ = sse::kNoOrdinal;
  for (StreamList* const list : {&context_.blocked, &context_.backoff, &context_.ready}) {
    std::uint32_t index = uring::to_index(list->front());
    while (index != kNoSlot) {
      const uring::Slot slot{index};
      Stream& stream = context_.table[slot];
      index = stream.next;
      if (stream.frame_taken == 0) continue;
      if (stream.cursor > near) {
        lowest_rest_ = std::min(lowest_rest_, stream.cursor);
        continue;
      }
      const auto frame = log.bytes(log.entry(stream.cursor), stream.wire());
      if (!keep_in_tail(slot, frame.subspan(stream.frame_taken))) continue;
      ++stream.cursor;
      stream.frame_taken = 0;
    }
  }
}

void Sender::block(uring::Slot slot, bool sent_something) {
  Stream& stream = context_.table[slot];
  context_.leave_list(slot);
  if (!stream.is(Fact::blocked)) {
    stream.set(Fact::blocked);
    context_.counters.streams_blocked.add();
  }
  const bool in_vain = stream.is(Fact::woke) && !sent_something;
  stream.clear(Fact::woke);
  stream.since_ms = context_.now_ms();
  if (in_vain) {
    // The kernel said writable and took nothing: asking again at once could spin.
    context_.backoff.push_back(context_.table, slot);
    return;
  }
  context_.blocked.push_back(context_.table, slot);
  lifecycle_.arm_writable(slot);
}

void Sender::release(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  context_.leave_list(slot);
  if (stream.extra != kNoExtra) {
    context_.tails.release(stream.extra);
    stream.extra = kNoExtra;
  }
  if (stream.is(Fact::blocked)) {
    stream.clear(Fact::blocked);
    context_.counters.streams_blocked.sub();
  }
  for (const sse::TopicId topic : context_.sets.topics(stream.topic_set)) {
    if (topic != sse::kPublicTopic) ++context_.topics[topic].members_left;
  }
  context_.sets.release(stream.topic_set);
  stream.topic_set = 0;
  context_.release_owner(std::exchange(stream.owner, Owners::kNone));
  stream.frame_taken = 0;
  context_.counters.streams_open.sub();
}

void Sender::drop(uring::Slot slot) {
  release(slot);
  lifecycle_.abort(slot);
}

void Sender::finish(uring::Slot slot) {
  release(slot);
  lifecycle_.finish(slot);
}

}  // namespace ringcast::shard
