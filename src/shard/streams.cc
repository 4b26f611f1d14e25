#include "streams.h"

#include <algorithm>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"
#include "ringcast/base/trace.h"

#include "server_events.h"

namespace ringcast::shard {
namespace {

// The table is swept in this part of the heartbeat period; a stream that will be due before the
// sweep comes round again gets its heartbeat now. So silence lasts between 7/8 of the period and
// all of it.
constexpr std::uint32_t kSweepShare = 8;
constexpr std::uint32_t kSweepSlots = 256;  // at a time
constexpr std::uint32_t kSweepsPerTick = 8;

constexpr std::uint64_t kBlockedCheckNs = 250 * kNsPerMs;
constexpr std::uint32_t kBlockedPerCheck = 4096;
constexpr std::uint32_t kBackoffMs = 20;

constexpr std::uint64_t kDrainTickNs = 10 * kNsPerMs;
constexpr std::uint32_t kDrainLooksPerTick = 65'536;

constexpr std::size_t kOwnersPerTick = 1024;
constexpr std::uint32_t kPutOffMax = 5;  // seconds

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::uint64_t sooner(std::uint64_t a, std::uint64_t b) {
  if (a == 0) return b;
  return b == 0 ? a : std::min(a, b);
}

}  // namespace

Streams::Streams(Context& context, Lifecycle& lifecycle, Sender& sender, Pump& pump,
                 std::uint32_t streams_max)
    : context_(context),
      lifecycle_(lifecycle),
      sender_(sender),
      pump_(pump),
      streams_max_(streams_max) {
  context_.counters.streams_max.set(streams_max);
  pump_.set_slow_streams(*this);
}

std::size_t Streams::places_free() const {
  const std::size_t taken = context_.counters.streams_open.get() + reserved_;
  return streams_max_ - std::min<std::size_t>(streams_max_, taken);
}

bool Streams::reserve() {
  if (places_free() == 0) return false;
  ++reserved_;
  return true;
}

bool Streams::is_ahead_of_log(const Position& position) const {
  if (!position.asked || context_.exchange.events().empty(context_.options.index)) return false;
  const auto requested = parse_event_id(position.text);
  return requested && *requested > context_.log->newest();
}

sse::Ordinal Streams::oldest_open() const {
  return std::max(context_.log->tail(), pump_.join_floor());
}

std::optional<EventId> Streams::beyond_log(const Position& position) const {
  if (!context_.options.older_history || !position.asked) return std::nullopt;
  const auto requested = parse_event_id(position.text);
  if (!requested || may_join(*requested)) return std::nullopt;
  return requested;
}

bool Streams::may_join(EventId position) const {
  const sse::BroadcastLog& log = *context_.log;
  return position >= log.before(oldest_open()) && position <= log.newest();
}

bool Streams::join_at(uring::Slot slot, EventId position) {
  if (position < context_.log->before(oldest_open())) return false;
  context_.table[slot].cursor = context_.log->resume(position).cursor;
  return true;
}

void Streams::begin_history(EventId requested, const hub::HistoryPage& page, sse::Wire wire,
                            std::string& out) {
  const bool exact = page.found == hub::HistoryPage::Found::exact;
  context_.counters.streams_resumed.add();
  append_event(out, wire, exact ? std::optional(requested) : std::nullopt,
               {.event = context_.options.stream.names.heartbeat,
                .retry_ms = context_.options.stream.retry_ms});
}

void Streams::append_history(EventId requested, const hub::HistoryPage& page,
                             std::uint32_t topic_set, sse::Wire wire, std::string& out) {
  if (page.found != hub::HistoryPage::Found::exact) {
    context_.counters.gaps.add();
    const EventId newest = std::max(page.last, context_.log->newest());
    const std::string data = gap_data(requested, page.oldest,
                                      newest == EventId{} ? std::nullopt : std::optional(newest));
    append_event(out, wire, std::nullopt,
                 {.event = context_.options.stream.names.gap, .data = data});
  }
  const auto topics = context_.sets.topics(topic_set);
  for (const hub::HistoryEvent& event : page.events) {
    const auto topic = event.topic_bytes == 0
                           ? std::optional(sse::kPublicTopic)
                           : context_.topics.find(page.topic(event), event.topic_hash);
    if (!topic || !std::ranges::binary_search(topics, *topic)) continue;
    const auto frame =
        sse::on_wire(std::as_bytes(std::span(page.frame(event))), event.chunk_head_bytes, wire);
    out += as_text(frame);
    context_.counters.history_events.add();
  }
}

std::string_view Streams::over(Owners::Handle owner) const {
  if (owner == Owners::kNone) return {};
  const Owner& who = context_.owners[owner];
  if (who.signed_out || context_.services.signed_out.contains(who.session)) return "signed-out";
  return context_.now.mono_ns / kNsPerSecond >= who.ends_s ? "expired" : "";
}

void Streams::begin(uring::Slot slot, const Position& position, sse::Wire wire, std::string& out) {
  const sse::BroadcastLog& log = *context_.log;
  const StreamOptions& options = context_.options.stream;
  const sse::Ordinal oldest = oldest_open();
  sse::Resume resume{.cursor = options.replay_on_connect ? oldest : log.head()};
  std::optional<EventId> continues_from = log.before(resume.cursor);
  std::optional<EventId> requested;
  if (position.asked) {
    requested = parse_event_id(position.text);
    resume = requested ? log.resume(*requested) : sse::Resume{.cursor = oldest, .gap = true};
    if (resume.cursor < oldest) resume = {.cursor = oldest, .gap = *requested != EventId{}};
    continues_from = resume.gap ? std::nullopt : requested;
    context_.counters.streams_resumed.add();
  }
  context_.table[slot].cursor = resume.cursor;

  append_event(out, wire, continues_from,
               {.event = options.names.heartbeat, .retry_ms = options.retry_ms});
  if (resume.gap) {
    context_.counters.gaps.add();
    const auto newest = log.empty() ? std::nullopt : std::optional(log.newest());
    const auto oldest_id = oldest < log.head() ? std::optional(log.entry(oldest).id) : std::nullopt;
    const std::string data = gap_data(requested, oldest_id, newest);
    append_event(out, wire, std::nullopt, {.event = options.names.gap, .data = data});
  }
}

void Streams::open(uring::Slot slot, const Opening& opening) {
  RC_ASSERT(reserved_ > 0);
  --reserved_;
  Stream& stream = context_.table[slot];
  stream.phase = Phase::stream;
  stream.extra = kNoExtra;
  stream.topic_set = opening.topic_set;
  stream.owner = opening.owner;
  stream.tls = opening.tls.handle;
  stream.last_sent_ms = context_.now_ms();
  if (opening.wire == sse::Wire::plain) stream.set(Fact::plain_wire);
  context_.counters.streams_open.add();
  context_.counters.streams_opened.add();
  RC_TRACE(stream_open, uring::to_index(slot), opening.topic_set, stream.cursor);
  join_topics(slot);
  pump_.join(slot);
  if (stream.owner != Owners::kNone &&
      context_.services.signed_out.contains(context_.owners[stream.owner].session)) {
    // The news came while the head was on its way: ended with the next second.
    stream.set(Fact::ending);
    context_.owners.sign_out(stream.owner);
  }
  const auto& [tls, first, half_record] = opening.tls;
  if (!first.empty()) {
    sender_.put_into_tail(slot, as_bytes(first));
    if (stream.phase != Phase::stream) return;
    pump_.make_ready(slot);
  }
  if (!half_record.empty()) on_secure_receive(slot, as_bytes(half_record));
}

void Streams::join_topics(uring::Slot slot) {
  for (const sse::TopicId id : context_.sets.topics(context_.table[slot].topic_set)) {
    if (id == sse::kPublicTopic) continue;
    Topic& topic = context_.topics[id];
    if (topic.members_left > topic.members.size() / 2 + 8) {
      const auto gone = [this](uring::Handle member) {
        return !context_.table.current(member) ||
               context_.table[member.slot].phase != Phase::stream;
      };
      topic.members_left -= static_cast<std::uint32_t>(std::erase_if(topic.members, gone));
      topic.pass_position = 0;  // places have moved: a pass under way begins again
    }
    topic.members.push_back(context_.table.handle(slot));
  }
}

void Streams::on_writable(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  if (!stream.is(Fact::blocked)) return;
  stream.clear(Fact::blocked);
  context_.counters.streams_blocked.sub();
  stream.set(Fact::woke);
  context_.leave_list(slot);
  if (stream.extra != kNoExtra || sender_.behind(stream)) pump_.make_ready(slot);
}

void Streams::on_receive(uring::Slot slot, std::int32_t result, std::span<const std::byte> data) {
  if (result <= 0) {
    sender_.drop(slot, Ending::peer);
  } else if (context_.table[slot].secure()) {
    on_secure_receive(slot, data);
  } else {
    on_data(slot);
  }
}

void Streams::on_data(uring::Slot slot) {
  Stream& stream = context_.table[slot];
  // One piece may be a stray line end or a pipelined request, which will never be answered; more is
  // a client that does not know what it talks to.
  if (!stream.is(Fact::stray_bytes)) {
    stream.set(Fact::stray_bytes);
    return;
  }
  sender_.drop(slot, Ending::peer);
}

void Streams::on_secure_receive(uring::Slot slot, std::span<const std::byte> data) {
  using Heard = SecureStreams::Heard;
  const Stream& stream = context_.table[slot];
  tls::Alert answer{};
  const Heard heard = context_.secure->read(stream.tls, data, answer);
  if (heard == Heard::nothing) return;
  if (heard == Heard::data) {
    on_data(slot);
    return;
  }
  sender_.note_end(slot, heard == Heard::nonsense ? Ending::tls : Ending::peer);
  // Our last record does not wait for a client that has left.
  if (heard == Heard::failure || stream.extra != kNoExtra || stream.is(Fact::blocked)) {
    sender_.drop(slot);
    return;
  }
  leave_paced(slot);
  sender_.add_farewell(slot, answer);
  sender_.flush();
}

void Streams::on_overtaken(uring::Slot slot) {
  if (context_.options.stream.slow_consumer == SlowConsumer::disconnect) {
    if (context_.table[slot].frame_taken != 0) {
      // Inside a frame that is gone, nothing can be said any more.
      sender_.drop(slot, Ending::slow);
    } else {
      end(slot, Ending::slow);
    }
    return;
  }
  RC_ASSERT(context_.table[slot].frame_taken == 0);  // saved before the eviction
  const sse::BroadcastLog& log = *context_.log;
  Stream& stream = context_.table[slot];
  stream.cursor = log.tail();
  context_.counters.gaps.add();
  std::string words;
  const std::string data = gap_data(std::nullopt, log.oldest(), log.newest());
  append_event(words, stream.wire(), std::nullopt,
               {.event = context_.options.stream.names.gap, .data = data});
  sender_.add_words(slot, SendKind::words, as_bytes(words));
}

void Streams::end(uring::Slot slot, Ending why) {
  Stream& stream = context_.table[slot];
  stream.set(Fact::ending);
  leave_paced(slot);
  sender_.note_end(slot, why);
  const std::string data = reason_data(facts_of(why).word);
  sse::EventFields fields{.event = context_.options.stream.names.closing, .data = data};
  if (why == Ending::drain) {
    fields.retry_ms = next_drain_retry_ms();
    ++drained_;
  }
  std::string words;
  append_event(words, stream.wire(), std::nullopt, fields);
  append_end(words, stream.wire());
  sender_.add_words(slot, SendKind::last_words, as_bytes(words));
}

bool Streams::has_news(sse::Ordinal cursor, std::uint32_t topic_set) const {
  if (cursor >= context_.log->head()) return false;
  for (const sse::TopicId id : context_.sets.topics(topic_set)) {
    const sse::Ordinal newest = context_.topics[id].newest;
    if (newest != sse::kNoOrdinal && newest >= cursor) return true;
  }
  return false;
}

std::uint64_t Streams::tick() {
  std::uint64_t next = tick_heartbeats();
  if (draining()) next = sooner(next, tick_drain());
  next = sooner(next, tick_owners());
  sender_.flush();  // before the next two, whose lists it may fill
  next = sooner(next, tick_blocked());
  next = sooner(next, tick_backoff());
  return next;
}

std::span<const std::byte> Streams::heartbeat(sse::Wire wire) {
  if (heartbeat_head_ != context_.log->head()) {
    heartbeat_head_ = context_.log->head();
    heartbeat_size_ = sse::encode_frame(
        context_.log->newest(), {.event = context_.options.stream.names.heartbeat}, heartbeat_);
  }
  return sse::on_wire({heartbeat_.data(), heartbeat_size_.bytes}, heartbeat_size_.chunk_head_bytes,
                      wire);
}

void Streams::sweep_heartbeats(std::uint32_t slots) {
  const std::uint32_t period_ms = context_.options.stream.heartbeat_ms;
  const std::uint32_t due_ms = period_ms - period_ms / kSweepShare;
  for (; slots > 0; --slots) {
    if (sweep_position_ >= context_.table.used_end()) sweep_position_ = 0;
    const std::uint32_t index = sweep_position_++;
    const Stream& stream = context_.table.at(index);
    if (stream.phase != Phase::stream || context_.now_ms() - stream.last_sent_ms < due_ms) continue;
    if (stream.is(Fact::blocked) || stream.extra != kNoExtra || has_news(stream)) continue;
    if (stream.list == ListId::paced || stream.is(Fact::ending)) continue;
    if (sender_.full() || sender_.holds(stream)) {
      sender_.flush();
      if (stream.phase != Phase::stream || stream.is(Fact::blocked)) continue;
    }
    sender_.add_heartbeat(uring::Slot{index}, heartbeat(stream.wire()));
  }
}

std::uint64_t Streams::tick_heartbeats() {
  const std::uint32_t period_ms = context_.options.stream.heartbeat_ms;
  if (period_ms == 0 || context_.counters.streams_open.get() == 0) {
    next_sweep_ns_ = 0;
    return 0;
  }
  const std::uint32_t parts = (context_.table.used_end() + kSweepSlots - 1) / kSweepSlots;
  const std::uint64_t interval_ns = std::max<std::uint64_t>(
      period_ms * kNsPerMs / kSweepShare / std::max<std::uint32_t>(parts, 1), kNsPerMs / 4);
  const std::uint64_t now = context_.now.mono_ns;
  if (next_sweep_ns_ == 0) next_sweep_ns_ = now + interval_ns;
  for (std::uint32_t i = 0; i < kSweepsPerTick && next_sweep_ns_ <= now; ++i) {
    sweep_heartbeats(std::min(kSweepSlots, context_.table.used_end()));
    next_sweep_ns_ += interval_ns;
  }
  // Do not run after lost time: heartbeats come late rather than in a burst.
  if (next_sweep_ns_ <= now) next_sweep_ns_ = now + interval_ns;
  return next_sweep_ns_;
}

std::uint64_t Streams::tick_blocked() {
  if (context_.blocked.empty() ||
      context_.options.stream.slow_consumer != SlowConsumer::disconnect) {
    next_blocked_check_ns_ = 0;
    return 0;
  }
  const std::uint64_t now = context_.now.mono_ns;
  if (next_blocked_check_ns_ == 0) next_blocked_check_ns_ = now + kBlockedCheckNs;
  if (next_blocked_check_ns_ > now) return next_blocked_check_ns_;
  next_blocked_check_ns_ = now + kBlockedCheckNs;
  if (checked_tail_ == context_.log->tail()) return next_blocked_check_ns_;
  const std::uint32_t size = context_.blocked.size();
  const std::uint32_t looks = std::min(size, kBlockedPerCheck);
  for (std::uint32_t i = 0; i < looks; ++i) {
    const uring::Slot slot = context_.blocked.front();
    if (sender_.overtaken(context_.table[slot])) {
      // It does not read, so it would not hear a `closing` either.
      sender_.drop(slot, Ending::slow);
    } else {
      context_.blocked.remove(context_.table, slot);
      context_.blocked.push_back(context_.table, slot);
    }
  }
  if (looks == size) checked_tail_ = context_.log->tail();
  return next_blocked_check_ns_;
}

std::uint64_t Streams::tick_backoff() {
  while (!context_.backoff.empty()) {
    const uring::Slot slot = context_.backoff.front();
    const std::uint32_t age_ms = context_.now_ms() - context_.table[slot].since_ms;
    if (age_ms < kBackoffMs) return context_.now.mono_ns + (kBackoffMs - age_ms) * kNsPerMs;
    context_.leave_list(slot);
    context_.blocked.push_back(context_.table, slot);
    lifecycle_.arm_writable(slot);
  }
  return 0;
}

void Streams::sign_out(std::string_view topic, std::uint64_t session) {
  const auto id = context_.topics.find(topic, topic_hash(topic));
  if (!id) return;
  // Gathered first: the topic, and its list, go with the last stream that asked for it.
  due_owners_.clear();
  for (const uring::Handle member : context_.topics[*id].members) {
    if (!context_.table.current(member)) continue;
    const Stream& stream = context_.table[member.slot];
    if (stream.phase != Phase::stream || stream.owner == Owners::kNone) continue;
    if (context_.owners[stream.owner].session != session) continue;
    context_.owners.sign_out(stream.owner);
    due_owners_.push_back(stream.owner);
  }
  for (const Owners::Handle owner : due_owners_) end_owned(owner);
  sender_.flush();  // the log is about to change
}

std::uint64_t Streams::tick_owners() {
  if (!context_.owners.any_timed()) return 0;
  const auto now_s = static_cast<std::uint32_t>(context_.now.mono_ns / kNsPerSecond);
  const bool more = context_.owners.take_due(now_s, kOwnersPerTick, due_owners_);
  for (const Owners::Handle handle : due_owners_) end_owned(handle);
  return more ? context_.now.mono_ns : (now_s + std::uint64_t{1}) * kNsPerSecond;
}

void Streams::end_owned(Owners::Handle handle) {
  const Owner& owner = context_.owners[handle];
  if (owner.ends_s == Owners::kNever) return;  // a flush has ended the stream just now
  const auto now_s = static_cast<std::uint32_t>(context_.now.mono_ns / kNsPerSecond);
  const uring::Slot slot = owner.slot;
  Stream& stream = context_.table[slot];
  const bool hopeless = owner.put_off >= kPutOffMax;
  if (stream.phase == Phase::stream && !stream.is(Fact::end_after_tail)) {
    stream.set(Fact::ending);
    const Ending why = owner.signed_out ? Ending::signed_out : Ending::expired;
    if (stream.is(Fact::blocked) || hopeless) {
      // It does not read, so it would not hear a `closing` either.
      sender_.drop(slot, why);
      return;
    }
    if (sender_.full() || sender_.holds(stream)) sender_.flush();
    if (owner.ends_s == Owners::kNever) return;
    const bool between_frames = stream.extra == kNoExtra && stream.frame_taken == 0;
    if (between_frames && !stream.is(Fact::blocked)) end(slot, why);
  } else if (stream.phase == Phase::stream && hopeless) {
    sender_.drop(slot);
    return;
  }
  // Looked at again: its head, the rest of a frame or its last words are still on their way.
  context_.owners.put_off(handle, now_s);
}

void Streams::begin_drain() {
  drain_began_ns_ = context_.now.mono_ns;
  drain_streams_ = static_cast<std::uint32_t>(context_.counters.streams_open.get());
}

std::uint64_t Streams::drain_deadline_ns() const {
  return drain_began_ns_ + context_.options.drain_ms * kNsPerMs;
}

std::uint32_t Streams::next_drain_retry_ms() {
  // Multiples of the golden ratio fill the range evenly and never repeat, so that the clients come
  // back spread over it; the shard's index keeps shards apart.
  constexpr double kGolden = 0.6180339887498949;
  const double turn =
      static_cast<double>(drain_retries_++) * kGolden +
      static_cast<double>(context_.options.index) / context_.options.shards * kGolden;
  const double part = turn - static_cast<double>(static_cast<std::uint64_t>(turn));
  const double range_ms = std::max<double>(2.0 * context_.options.stream.retry_ms, 1000.0);
  return context_.options.stream.retry_ms + static_cast<std::uint32_t>(part * range_ms);
}

std::uint64_t Streams::tick_drain() {
  if (context_.counters.streams_open.get() == 0) return 0;
  // The last fifth of the time is for those that were not ready to be ended.
  const std::uint64_t pace_ns =
      std::max<std::uint64_t>(context_.options.drain_ms * kNsPerMs * 4 / 5, 1);
  const std::uint64_t elapsed_ns = context_.now.mono_ns - drain_began_ns_;
  const std::uint64_t due = std::min<std::uint64_t>(
      drain_streams_, 1 + static_cast<std::uint64_t>(static_cast<double>(drain_streams_) *
                                                     static_cast<double>(elapsed_ns) /
                                                     static_cast<double>(pace_ns)));
  std::uint32_t looks = std::min(context_.table.used_end(), kDrainLooksPerTick);
  const bool all = elapsed_ns >= pace_ns;
  for (; looks > 0 && (all || drained_ < due); --looks) {
    if (drain_position_ >= context_.table.used_end()) drain_position_ = 0;
    const uring::Slot slot{drain_position_++};
    const Stream& stream = context_.table[slot];
    if (stream.phase != Phase::stream || stream.is(Fact::blocked)) continue;
    // Everything that was acknowledged goes out first; a later look ends it.
    if (stream.extra != kNoExtra || has_news(stream) || sender_.holds(stream)) continue;
    if (stream.is(Fact::ending)) continue;
    make_room_in_batch();
    if (stream.phase == Phase::stream && !stream.is(Fact::blocked)) end(slot, Ending::drain);
  }
  return context_.now.mono_ns + kDrainTickNs;
}

}  // namespace ringcast::shard
