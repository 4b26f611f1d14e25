#include "pump.h"

#include <algorithm>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/trace.h"

namespace ringcast::shard {
namespace {

// A slice of 128 sends is well below a millisecond: what an accept or another topic waits for at
// most.
constexpr std::uint32_t kSliceSends = 128;
constexpr std::uint32_t kSliceBytes = 256 << 10;
constexpr std::uint32_t kSliceVisits = 8192;

void spend(std::uint32_t& left, std::uint32_t what) {
  left -= std::min(left, what);
}

}  // namespace

void TopicQueue::push(sse::TopicId topic) {
  if (size_ == ring_.size()) {
    std::rotate(ring_.begin(), ring_.begin() + first_, ring_.end());
    first_ = 0;
    ring_.resize(ring_.size() * 2);
  }
  ring_[(first_ + size_) & (ring_.size() - 1)] = topic;
  ++size_;
}

sse::TopicId TopicQueue::pop() {
  RC_ASSERT(size_ > 0);
  const sse::TopicId topic = ring_[first_];
  first_ = static_cast<std::uint32_t>((first_ + 1) & (ring_.size() - 1));
  --size_;
  return topic;
}

Pump::Pump(Context& context, Sender& sender) : context_(context), sender_(sender) {}

void Pump::news(sse::TopicId id) {
  Topic& topic = context_.topics[id];
  if (topic.queued) return;
  const bool nobody =
      id == sse::kPublicTopic ? context_.counters.streams_open.get() == 0 : topic.members.empty();
  if (nobody) return;
  topic.queued = true;
  topic.round = context_.round + 1;  // the event is at or past this round's head
  topic.pass_head = sse::kNoOrdinal;
  queue_.push(id);
}

void Pump::make_ready(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (stream.list == ListId::ready || stream.list == ListId::paced) return;
  context_.leave_list(slot);
  push_ready(slot, false);
}

void Pump::push_ready(uring::Slot slot, bool owed) {
  context_.table[slot].round = context_.round + (owed ? 0 : 1);
  if (owed) ++context_.ready_left;
  context_.ready.push_back(context_.table, slot);
}

void Pump::pace(uring::Slot slot, bool owed) {
  context_.table[slot].round = context_.round + (owed ? 0 : 1);
  if (owed) ++context_.ready_left;
  context_.paced.add(context_.table, slot);
  context_.counters.sends_put_off.add();
}

void Pump::release_paced() {
  for (;;) {
    const std::uint32_t index = context_.paced.due(context_.now_ms());
    if (index == kNoSlot) break;
    const uring::Slot slot{index};
    const bool owed = context_.table[slot].round == context_.round;
    context_.leave_list(slot);
    push_ready(slot, owed);
  }
}

std::uint64_t Pump::next_paced_ns() {
  context_.counters.streams_paced.set(context_.paced.size());
  if (context_.paced.size() == 0) return 0;
  return context_.now.mono_ns + context_.paced.next_in_ms(context_.now_ms()) * kNsPerMs;
}

void Pump::join(uring::Slot slot) {
  if (!sender_.behind(context_.table[slot])) return;
  make_ready(slot);
  joined_now_ = std::min(joined_now_, context_.table[slot].cursor);
}

bool Pump::oldest_is_needed() {
  const sse::BroadcastLog& log = *context_.log;
  if (log.tail() < std::min(joined_before_, joined_now_)) return false;
  join_floor_ = std::max(join_floor_, log.tail() + (log.head() - log.tail() + 7) / 8);
  return true;
}

void Pump::slice() {
  RC_TRACE(slice_begin, context_.ready.size(), queue_.size());
  Budget budget{kSliceSends, kSliceBytes, kSliceVisits};
  if (!context_.ready.empty()) {
    // Ready streams get half of a slice when topics wait too.
    const std::uint32_t share = queue_.empty() ? 1 : 2;
    Budget part{budget.sends / share, budget.bytes / share, budget.visits / share};
    const Budget before = part;
    serve_ready(part);
    budget.sends -= before.sends - part.sends;
    budget.bytes -= before.bytes - part.bytes;
    budget.visits -= before.visits - part.visits;
  }
  while (!queue_.empty() && !budget.spent()) serve_topic(queue_.pop(), budget);
  sender_.flush();
  RC_TRACE(slice_end, kSliceSends - budget.sends, kSliceBytes - budget.bytes,
           kSliceVisits - budget.visits);
  end_round_if_done();
}

void Pump::serve_ready(Budget& budget) {
  for (std::uint32_t left = context_.ready.size(); left > 0 && !budget.spent(); --left) {
    const uring::Slot slot = context_.ready.front();
    Stream& stream = context_.table[slot];
    const bool counted = stream.round == context_.round;
    context_.leave_list(slot);
    const bool more = visit(slot, budget);
    // A flush in between may have blocked or ended it.
    if (!more || stream.phase != Phase::stream || stream.is(Fact::blocked)) continue;
    push_ready(slot, counted && stream.cursor < round_head_);
  }
}

void Pump::serve_topic(sse::TopicId id, Budget& budget) {
  Topic& topic = context_.topics[id];
  if (topic.pass_head == sse::kNoOrdinal) {
    topic.pass_head = context_.log->head();
    topic.pass_position = 0;
  }
  RC_TRACE(slice_topic, static_cast<std::uint32_t>(id), topic.pass_position, topic.pass_head);
  const bool done =
      id == sse::kPublicTopic ? pass_all_streams(topic, budget) : pass_members(topic, budget);
  if (!done) {
    queue_.push(id);
    return;
  }
  const bool more = topic.newest != sse::kNoOrdinal && topic.newest >= topic.pass_head;
  if (topic.round == context_.round && (!more || topic.pass_head >= round_head_)) {
    --topics_left_;
    topic.round = context_.round + 1;
  }
  if (more) {
    topic.pass_head = sse::kNoOrdinal;
    queue_.push(id);
    return;
  }
  topic.queued = false;
  context_.topics.release_unused(id);
}

void Pump::serve_member(uring::Slot slot, const Topic& topic, Budget& budget) {
  Stream& stream = context_.table[slot];
  // Nothing is appended within a slice: a stream at the pass's head has nothing pending.
  if (stream.phase != Phase::stream || stream.cursor >= topic.pass_head) return;
  if (stream.list == ListId::ready || stream.list == ListId::paced) return;  // served there
  const bool owed = stream.cursor < round_head_;
  if (!stream.is(Fact::blocked) && context_.paced.must_wait(stream, context_.now_ms())) {
    pace(slot, owed);
    return;
  }
  if (!visit(slot, budget)) return;
  if (stream.phase != Phase::stream || stream.is(Fact::blocked)) return;
  push_ready(slot, stream.cursor < round_head_);
}

bool Pump::pass_all_streams(Topic& topic, Budget& budget) {
  while (topic.pass_position < context_.table.used_end()) {
    if (budget.spent()) return false;
    --budget.visits;
    serve_member(uring::Slot{topic.pass_position++}, topic, budget);
  }
  return true;
}

bool Pump::pass_members(Topic& topic, Budget& budget) {
  while (topic.pass_position < topic.members.size()) {
    if (budget.spent()) return false;
    --budget.visits;
    const uring::Handle member = topic.members[topic.pass_position];
    if (context_.table.current(member)) {
      ++topic.pass_position;
      serve_member(member.slot, topic, budget);
    } else {
      topic.members[topic.pass_position] = topic.members.back();
      topic.members.pop_back();
      --topic.members_left;
    }
  }
  return true;
}

bool Pump::visit(uring::Slot slot, Budget& budget) {
  Stream& stream = context_.table[slot];
  if (stream.phase != Phase::stream || stream.is(Fact::blocked)) return false;
  if (sender_.full() || sender_.holds(stream)) {
    sender_.flush();
    if (stream.phase != Phase::stream || stream.is(Fact::blocked)) return false;
  }
  if (stream.extra != kNoExtra) {
    sender_.add_tail(slot);
    spend(budget.sends, 1);
    return true;
  }
  if (stream.is(Fact::ending) && stream.frame_taken == 0) return false;
  if (stream.cursor < context_.log->tail()) {
    if (sender_.overtaken(stream)) {
      slow_->on_overtaken(slot);
      spend(budget.sends, 1);
      return true;
    }
    stream.cursor = context_.log->tail();
  }
  if (stream.frame_taken != 0) {
    spend(budget.bytes, static_cast<std::uint32_t>(sender_.add_rest(slot)));
    spend(budget.sends, 1);
    return true;
  }
  if (!sender_.behind(stream)) return false;
  const Payload& payload = sender_.payload(stream);
  if (payload.bytes == 0) {
    // Finding nothing may have meant reading much of the index.
    spend(budget.visits, static_cast<std::uint32_t>((payload.next - stream.cursor) / 64));
    stream.cursor = payload.next;
    return sender_.behind(stream);  // the scan budget may have ended before the head
  }
  spend(budget.sends, 1);
  spend(budget.bytes, static_cast<std::uint32_t>(sender_.add_log(slot, payload)));
  return sender_.behind(stream);
}

void Pump::end_round_if_done() {
  while (topics_left_ == 0 && context_.ready_left == 0) {
    served_ = round_head_;
    joined_before_ = std::exchange(joined_now_, sse::kNoOrdinal);
    if (round_head_ == context_.log->head() && queue_.empty() && context_.ready.empty() &&
        context_.paced.size() == 0) {
      return;
    }
    // Whatever waits now belongs to the round that begins: it was tagged with that number already.
    ++context_.round;
    round_head_ = context_.log->head();
    topics_left_ = queue_.size();
    context_.ready_left = context_.ready.size() + context_.paced.size();
  }
}

}  // namespace ringcast::shard
