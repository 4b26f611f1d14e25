#include "sender.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/trace.h"

namespace ringcast::shard {
namespace {

// Room for the records of a batch; 128 small ones fit, and are still in the cache when they are
// sent.
constexpr std::size_t kSealedBytes = std::size_t{256} << 10;
// A record may take this part of the room that is left for tails.
constexpr std::size_t kRecordShareOfTails = 4096;
constexpr std::size_t kRecordBytesLeast = 1024;

std::span<const std::byte> as_bytes(const iovec& span) {
  return {static_cast<const std::byte*>(span.iov_base), span.iov_len};
}

iovec as_iovec(std::span<const std::byte> bytes) {
  // For writev's sake the pointer is not to const; nobody writes through it.
  return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
}

std::size_t record_bytes(const Tails& tails) {
  return std::clamp(tails.bytes_free() / kRecordShareOfTails, kRecordBytesLeast,
                    SecureStreams::kPlaintextMax);
}

}  // namespace

Sender::Sender(Context& context, Lifecycle& lifecycle)
    : context_(context),
      lifecycle_(lifecycle),
      record_bytes_(record_bytes(context.tails)),
      sealed_bytes_max_(context.secure ? kSealedBytes : SecureStreams::kSealedMax),
      sealed_(context.secure ? std::make_unique<std::byte[]>(kSealedBytes) : nullptr) {}

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

const Payload& Sender::payload(const Stream& stream) {
  const sse::Wire wire = stream.wire();
  const bool secure = stream.secure();
  for (const Memo& memo : memos_) {
    if (memo.filled && memo.cursor == stream.cursor && memo.topic_set == stream.topic_set &&
        memo.wire == wire && memo.secure == secure) {
      return memo.payload;
    }
  }
  const auto room = std::span(spans_).subspan(spans_used_, kSpansPerSend);
  const sse::GatherLimits limits =
      secure ? sse::GatherLimits{.bytes = record_bytes_} : sse::GatherLimits{};
  const sse::Gathered gathered =
      sse::gather(*context_.log, std::max(stream.cursor, context_.log->tail()),
                  news(stream.topic_set), wire, limits, room);
  Memo& memo = memos_[next_memo_++ % kPayloads];
  memo = {.filled = true,
          .cursor = stream.cursor,
          .topic_set = stream.topic_set,
          .wire = wire,
          .secure = secure,
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
  RC_DEBUG_ASSERT(context_.table[slot].list != ListId::paced);
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

bool Sender::add_sealed(uring::Slot slot, SendKind kind, std::span<const iovec> pieces,
                        tls::Alert alert) {
  const std::span<std::byte> out(sealed_.get() + sealed_bytes_, SecureStreams::kSealedMax);
  Stream& stream = context_.table[slot];
  std::size_t bytes = pieces.empty() ? 0 : context_.secure->seal(stream.tls, pieces, out);
  // A session of TLS 1.2 whose key is used up says so.
  const bool sealed = bytes > 0 || pieces.empty();
  if (!sealed) kind = SendKind::last_words;
  if (kind == SendKind::last_words) {
    bytes += context_.secure->seal_end(stream.tls, alert, out.subspan(bytes));
  }
  if (bytes == 0) {
    drop(slot, Ending::tls);
    return false;
  }
  const auto place = static_cast<std::uint32_t>(count_);
  next_entry(slot, kind, bytes).data = out.data();
  sealed_bytes_ += bytes;
  stream.last_sent_ms = context_.now_ms();
  any_special_ |= stream.is(Fact::woke) || kind == SendKind::last_words;
  context_.ring.send(slot, std::span<const std::byte>(out.first(bytes)), place);
  return sealed;
}

void Sender::go_to_frame(Stream& stream) {
  const sse::Ordinal from = std::max(stream.cursor, context_.log->tail());
  stream.cursor =
      sse::split(*context_.log, from, news(stream.topic_set), stream.wire(), 1).next - 1;
}

std::size_t Sender::add_sealed_rest(uring::Slot slot, std::span<const std::byte> rest) {
  Stream& stream = context_.table[slot];
  const auto part = rest.first(std::min(rest.size(), record_bytes_));
  const iovec piece = as_iovec(part);
  if (!add_sealed(slot, SendKind::sealed, {&piece, 1})) return 0;
  if (stream.frame_taken == 0) {
    entries_[count_ - 1].events = 1;
    context_.counters.deliveries.add();
  }
  if (part.size() == rest.size()) {
    ++stream.cursor;
    stream.frame_taken = 0;
  } else {
    stream.frame_taken += static_cast<std::uint32_t>(part.size());
    lowest_rest_ = std::min(lowest_rest_, stream.cursor);
  }
  return part.size();
}

std::size_t Sender::add_sealed_log(uring::Slot slot, const Payload& payload) {
  Stream& stream = context_.table[slot];
  if (payload.bytes > record_bytes_) {  // one frame
    go_to_frame(stream);
    return add_rest(slot);
  }
  if (!add_sealed(slot, SendKind::sealed, {&spans_[payload.first_span], payload.spans})) return 0;
  entries_[count_ - 1].events = payload.events;
  context_.counters.deliveries.add(payload.events);
  stream.cursor = payload.next;
  return payload.bytes;
}

std::size_t Sender::add_log(uring::Slot slot, const Payload& payload) {
  Stream& stream = context_.table[slot];
  if (stream.secure()) return add_sealed_log(slot, payload);
  const auto place = static_cast<std::uint32_t>(count_);
  next_entry(slot, SendKind::log, payload.bytes).events = payload.events;
  any_special_ |= stream.is(Fact::woke);
  stream.cursor = payload.next;
  stream.last_sent_ms = context_.now_ms();
  context_.counters.deliveries.add(payload.events);
  if (payload.spans == 1) {
    context_.ring.send(slot, as_bytes(spans_[payload.first_span]), place);
    return payload.bytes;
  }
  messages_[place] = msghdr{.msg_iov = &spans_[payload.first_span], .msg_iovlen = payload.spans};
  context_.ring.send(slot, messages_[place], place);
  return payload.bytes;
}

std::size_t Sender::add_rest(uring::Slot slot) {
  const auto place = static_cast<std::uint32_t>(count_);
  Stream& stream = context_.table[slot];
  const sse::LogEntry& frame = context_.log->entry(stream.cursor);
  const auto rest = context_.log->bytes(frame, stream.wire()).subspan(stream.frame_taken);
  if (stream.secure()) return add_sealed_rest(slot, rest);
  next_entry(slot, SendKind::rest, rest.size()).frame_taken = stream.frame_taken;
  ++stream.cursor;
  stream.frame_taken = 0;
  stream.last_sent_ms = context_.now_ms();
  any_special_ |= stream.is(Fact::woke);
  context_.ring.send(slot, rest, place);
  return rest.size();
}

void Sender::add_heartbeat(uring::Slot slot, std::span<const std::byte> frame) {
  Stream& stream = context_.table[slot];
  if (stream.secure()) {
    const iovec piece = as_iovec(frame);
    if (!add_sealed(slot, SendKind::sealed, {&piece, 1})) return;
    stream.cursor = context_.log->head();
    context_.counters.heartbeats.add();
    return;
  }
  const auto place = static_cast<std::uint32_t>(count_);
  next_entry(slot, SendKind::heartbeat, frame.size()).data = frame.data();
  any_special_ |= stream.is(Fact::woke);
  stream.cursor = context_.log->head();
  stream.last_sent_ms = context_.now_ms();
  context_.counters.heartbeats.add();
  context_.ring.send(slot, frame, place);
}

void Sender::add_words(uring::Slot slot, SendKind kind, std::span<const std::byte> bytes) {
  RC_ASSERT(bytes.size() <= kWordsMax && words_used_ + bytes.size() <= words_.size());
  if (context_.table[slot].secure()) {
    const iovec piece = as_iovec(bytes);
    (void)add_sealed(slot, kind == SendKind::words ? SendKind::sealed : kind, {&piece, 1});
    return;
  }
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
    RC_TRACE(flush_begin, count_);
    const auto failures = context_.ring.flush_sends();
    for (const uring::SendFailure& failure : failures) {
      Entry& entry = entries_[failure.place];
      entry.taken = failure.result > 0 ? static_cast<std::uint32_t>(failure.result) : 0;
      entry.error = failure.result < 0 ? failure.result : 0;
      bytes_ -= entry.bytes - entry.taken;
    }
    context_.counters.sends.add(count_);
    context_.counters.delivered_bytes.add(bytes_);
    RC_TRACE(flush_end, count_, failures.size(), bytes_);
    if (any_special_) {
      for (std::size_t i = 0; i < count_; ++i) settle(entries_[i]);
    } else {
      for (const uring::SendFailure& failure : failures) settle(entries_[failure.place]);
    }
  }
  count_ = bytes_ = spans_used_ = words_used_ = sealed_bytes_ = 0;
  record_bytes_ = record_bytes(context_.tails);
  any_special_ = false;
  ++batch_;
  for (Memo& memo : memos_) memo.filled = false;
}

void Sender::settle(Entry& entry) {
  if (entry.error != 0 && entry.error != -EAGAIN) {
    // -EPIPE, -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, ...: the peer is gone, whatever the reason.
    context_.counters.deliveries.sub(entry.events);
    drop(entry.slot, Ending::peer);
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
  RC_TRACE(send_short, uring::to_index(entry.slot), entry.taken, entry.bytes);
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
    default:  // words and records are not repeated by anything: all of what was not taken is kept
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
  if (stream.extra == kNoExtra) {
    stream.extra = context_.tails.create(bytes);
    if (stream.extra != Tails::kNone) return true;
  } else if (context_.tails.append(stream.extra, bytes)) {
    return true;
  }
  context_.counters.tails_full.add();
  drop(slot, Ending::slow);
  return false;
}

bool Sender::keep_sealed_in_tail(uring::Slot slot, std::span<const std::byte> rest) {
  // Between two batches: all of the room is free.
  const std::span<std::byte> out(sealed_.get(), SecureStreams::kSealedMax);
  while (!rest.empty()) {
    const auto part = rest.first(std::min(rest.size(), SecureStreams::kPlaintextMax));
    rest = rest.subspan(part.size());
    const iovec piece = as_iovec(part);
    const std::size_t bytes = context_.secure->seal(context_.table[slot].tls, {&piece, 1}, out);
    if (bytes == 0) {
      drop(slot, Ending::tls);
      return false;
    }
    if (!keep_in_tail(slot, out.first(bytes))) return false;
  }
  return true;
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
      const auto rest = frame.subspan(stream.frame_taken);
      const bool kept =
          stream.secure() ? keep_sealed_in_tail(slot, rest) : keep_in_tail(slot, rest);
      if (!kept) continue;
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
  if (stream.secure()) {
    context_.secure->remove(std::exchange(stream.tls, Stream::kPlain));
  }
  stream.frame_taken = 0;
  context_.counters.streams_open.sub();
}

void Sender::note_end(uring::Slot slot, Ending why) {
  (context_.counters.*facts_of(why).count).add();
  RC_TRACE(stream_end, uring::to_index(slot), facts_of(why).word);
}

void Sender::drop(uring::Slot slot, Ending why) {
  note_end(slot, why);
  drop(slot);
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
