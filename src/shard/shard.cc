#include "ringcast/shard/shard.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"
#include "ringcast/base/trace.h"

#include "context.h"
#include "lifecycle.h"
#include "pump.h"
#include "requests.h"
#include "sender.h"
#include "server_events.h"
#include "streams.h"

namespace ringcast::shard {
namespace {

constexpr int kCompletionsPerTurn = 2048;
constexpr int kAppendsPerTurn = 512;

std::size_t connections_max(std::uint32_t slots) {
  return std::clamp<std::size_t>(slots / 4, 64, 4096);
}

// Half of what else there is: those of a quiet listener may not be all that is left for a busy one.
std::size_t accepts_max(const ShardOptions& options) {
  const std::size_t reserve = options.slots - options.streams_max;
  return std::min(connections_max(options.slots), reserve) / 2;
}

}  // namespace

struct Shard::Parts {
  Parts(const ShardOptions& options, const Services& services, hub::Exchange& exchange,
        uring::Ring& ring, std::vector<Listener> listeners, Counters& counters, StreamTable table,
        std::unique_ptr<sse::BroadcastLog> log, std::unique_ptr<SecureStreams> secure)
      : context(options, services, exchange, ring, counters, std::move(table), std::move(log),
                std::move(secure)),
        lifecycle(context, std::move(listeners), accepts_max(options)),
        sender(context, lifecycle),
        pump(context, sender),
        streams(context, lifecycle, sender, pump, options.streams_max),
        requests(context, lifecycle, streams, connections_max(options.slots)) {}

  Context context;
  Lifecycle lifecycle;
  Sender sender;
  Pump pump;
  Streams streams;
  Requests requests;

  [[nodiscard]] std::size_t accepts_for_each_listener();
  bool has_room = true;  ///< as was told to those that share the listeners
  bool handle_completions();
  void handle(const uring::Completion& completion);
  void on_receive(const uring::Completion& completion);
  bool append_waits = false;  ///< the last `append_news` left something behind for want of room
  sse::Ordinal served_at_append = 0;
  bool append_news();
  [[nodiscard]] bool may_append(std::size_t frame_bytes) const;
  /// False when it must wait for streams that are late; the next two likewise.
  [[nodiscard]] bool append_or_wait(const hub::EventRecord& record,
                                    std::span<const std::byte> topic,
                                    std::span<const std::byte> frame);
  [[nodiscard]] bool append(const hub::EventRecord& record, std::span<const std::byte> topic,
                            std::span<const std::byte> frame);
  /// Events are missing: every stream is told, in the order of events.
  [[nodiscard]] bool append_gap(const hub::EventRecord& record, std::span<const std::byte> hole);
  void sign_out(std::span<const std::byte> topic, std::span<const std::byte> record);
  /// Returns the time of the next call, or 0.
  [[nodiscard]] std::uint64_t drain(bool requested);
  void abort_everything();
  void tell_hub(bool released_room);
  [[nodiscard]] bool inbox_waits() const {
    return !context.exchange.events().empty(context.options.index);
  }
};

Result<std::unique_ptr<Shard>> Shard::create(const ShardOptions& options, const Services& services,
                                             hub::Exchange& exchange, uring::Ring& ring,
                                             std::vector<Listener> listeners, Counters& counters) {
  auto table = StreamTable::create(options.slots);
  if (!table) return table.error();
  auto log = sse::BroadcastLog::create(
      {.bytes = options.history.bytes, .events = options.history.events, .floor = options.floor});
  if (!log) return log.error();
  std::unique_ptr<SecureStreams> secure;
  if (std::ranges::any_of(listeners, &Listener::tls)) {
    auto layers = RecordLayerTable::create(options.slots);
    if (!layers) return layers.error();
    secure = std::make_unique<SecureStreams>(std::move(layers).value(), services.record_cipher,
                                             counters);
  }
  counters.slots_max.set(options.slots);
  exchange.port(options.index).ring.store(&ring, std::memory_order_release);
  return std::unique_ptr<Shard>(new Shard(std::make_unique<Parts>(
      options, services, exchange, ring, std::move(listeners), counters, std::move(table).value(),
      std::move(log).value(), std::move(secure))));
}

Shard::Shard(std::unique_ptr<Parts> parts)
    : accept_requested_(parts->context.options.accept_at_once), parts_(std::move(parts)) {}
Shard::~Shard() = default;

void Shard::set_policy(std::shared_ptr<const Policy> policy) {
  parts_->context.policy = std::move(policy);
  parts_->requests.take_policy();
}

void Shard::release_memory() {
  parts_->requests.release_memory();
}

bool Shard::accepting() const {
  return parts_->lifecycle.accepts_armed() || !parts_->streams.draining();
}

bool Shard::finished() const {
  const Parts& parts = *parts_;
  return parts.streams.draining() && parts.context.table.in_use() == 0;
}

std::optional<std::chrono::nanoseconds> Shard::turn(Time now) {
  Parts& parts = *parts_;
  Context& context = parts.context;
  context.now = now;
  context.port.bell.woke_up();
  context.counters.turns.add();
  RC_TRACE(turn_begin);

  parts.pump.release_paced();
  bool more = parts.handle_completions();
  parts.requests.begin_next_requests();
  more |= parts.requests.go_on_with_handshakes();
  parts.requests.take_replies();
  parts.requests.take_verdicts();
  // Streams whose head goes out now join before the log may evict what they ask for.
  more |= parts.requests.flush_output();
  const bool released_room = parts.append_news();
  parts.requests.retry_waiting_for_log();
  std::uint64_t next = 0;
  const auto sooner = [&next](std::uint64_t at) {
    if (at != 0) next = next == 0 ? at : std::min(next, at);
  };
  parts.pump.slice();
  sooner(parts.pump.next_paced_ns());
  sooner(parts.requests.expire_deadlines());
  sooner(parts.lifecycle.expire_lingering());
  sooner(parts.drain(drain_requested_.load(std::memory_order_acquire)));
  sooner(parts.requests.make_room());
  if (accept_requested_.load(std::memory_order_acquire)) {
    parts.lifecycle.arm_accepts({.connections = parts.requests.connections_free(),
                                 .each_listener = parts.accepts_for_each_listener(),
                                 .tls_connections = parts.requests.tls_connections_free()});
  }
  sooner(parts.lifecycle.next_accept_try_ns());
  sooner(parts.streams.tick());
  // What replies and deadlines led to leaves in the next turn at the latest.
  more |= parts.requests.output_waits();
  if (finished()) context.exchange.events().retire(context.options.index);
  parts.tell_hub(released_room || finished());
  context.counters.slots_used.set(context.table.in_use());
  context.counters.tail_bytes.set(context.tails.bytes_used());

  if (context.secure) context.secure->forget_keys();
  if (more || parts.pump.pending()) return std::chrono::nanoseconds(0);
  // Ring the bell first, look again after: see Doorbell.
  context.port.bell.about_to_sleep();
  // An inbox that waits for paced streams has to wait, and the first of them is among `next`;
  // unless the slice brought others further than they were.
  const bool held = parts.append_waits && context.paced.size() > 0 &&
                    parts.pump.served() == parts.served_at_append;
  const bool news = parts.inbox_waits() && !held;
  if (news || !context.port.replies.empty()) return std::chrono::nanoseconds(0);
  // What other threads leave for us comes with a wake by the ring, which is never lost.
  if (next == 0) return std::nullopt;
  return std::chrono::nanoseconds(next > now.mono_ns ? next - now.mono_ns : 0);
}

std::size_t Shard::Parts::accepts_for_each_listener() {
  constexpr std::size_t kAny = ~std::size_t{0};
  SharedRoom* const room = context.services.room;
  if (room == nullptr) return kAny;
  const std::size_t places = streams.places_free();
  const std::size_t left = places - std::min(places, requests.connections_busy());
  if (has_room != (left > 0)) {
    has_room = left > 0;
    has_room ? room->came_back() : room->ended();
  }
  if (left > 0) return left;
  // One to say "no" with: it still takes a connection when another shard has room again.
  return room->anywhere() ? 0 : 1;
}

bool Shard::Parts::handle_completions() {
  uring::Completion completion;
  for (int i = 0; i < kCompletionsPerTurn; ++i) {
    if (!context.ring.next(completion)) {
      RC_TRACE(completions, i);
      return false;
    }
    handle(completion);
  }
  RC_TRACE(completions, kCompletionsPerTurn);
  return true;
}

void Shard::Parts::handle(const uring::Completion& completion) {
  using uring::Operation;
  if (completion.operation == Operation::wake || completion.operation == Operation::none) return;
  const uring::Slot slot = completion.handle.slot;
  // A slot is reused only after its last completion, so none can be of an earlier generation.
  RC_ASSERT(context.table.current(completion.handle));
  switch (completion.operation) {
    case Operation::accept:
      if (const auto accepted = lifecycle.on_accept(completion)) requests.on_connected(*accepted);
      break;
    case Operation::receive:
      on_receive(completion);
      break;
    case Operation::writable:
      lifecycle.on_writable(slot);
      if (context.table[slot].phase == Phase::stream) streams.on_writable(slot);
      if (context.table[slot].phase == Phase::request) requests.on_writable(slot);
      break;
    case Operation::cancel:
      lifecycle.on_cancel(slot);
      if (context.table.current(completion.handle) && context.table[slot].phase == Phase::request) {
        requests.on_cancelled(slot);
      }
      break;
    case Operation::shutdown_write:
      lifecycle.on_shutdown(slot);
      break;
    case Operation::close:
      lifecycle.on_close(slot);
      break;
    case Operation::poll:
    case Operation::wake:
    case Operation::send:
    case Operation::none:
      break;
  }
}

void Shard::Parts::on_receive(const uring::Completion& completion) {
  const uring::Slot slot = completion.handle.slot;
  const Stream& stream = context.table[slot];
  if (!completion.more) lifecycle.on_receive_end(slot);
  // Out of shared buffers, or paused: neither is the peer's doing.
  const bool ended_by_us = completion.result == -ENOBUFS || completion.result == -ECANCELED;
  switch (stream.phase) {
    case Phase::request:
      if (!ended_by_us) requests.on_receive(slot, completion.result, completion.data);
      if (!completion.more && stream.phase == Phase::request) requests.on_receive_end(slot);
      break;
    case Phase::stream:
      if (!ended_by_us) streams.on_receive(slot, completion.result, completion.data);
      if (!completion.more && stream.phase == Phase::stream) lifecycle.arm_receive(slot);
      break;
    case Phase::lingering:
      // What still comes is dropped; the end of it is what we wait for.
      if (completion.more) break;
      if (ended_by_us || completion.result > 0) {
        lifecycle.arm_receive(slot);
      } else {
        lifecycle.close(slot);
      }
      break;
    case Phase::free:
    case Phase::accepting:
    case Phase::closing:
      break;
  }
}

bool Shard::Parts::may_append(std::size_t frame_bytes) const {
  const sse::BroadcastLog& log = *context.log;
  const sse::Ordinal served = pump.served();
  const std::uint64_t bytes_ahead = log.position(log.head()) - log.position(served) + frame_bytes;
  const std::uint64_t events_ahead = log.head() - served + 1;
  return bytes_ahead <= log.options().bytes / 2 &&
         events_ahead <= std::max<std::size_t>(log.options().events / 2, 1);
}

bool Shard::Parts::append_news() {
  RecordRing& inbox = context.exchange.events();
  const std::uint32_t reader = context.options.index;
  bool any = false;
  append_waits = false;
  served_at_append = pump.served();
  for (int i = 0; i < kAppendsPerTurn; ++i) {
    const auto bytes = inbox.peek(reader);
    if (bytes.empty()) break;
    hub::EventRecord record;
    std::memcpy(&record, bytes.data(), sizeof record);
    const auto topic = bytes.subspan(sizeof record, record.topic_bytes);
    const auto frame = bytes.subspan(sizeof record + record.topic_bytes, record.frame_bytes);
    if (record.kind == hub::RecordKind::sign_out) {
      sign_out(topic, frame);
    } else if (record.kind == hub::RecordKind::gap) {
      if (!append_gap(record, frame)) break;
    } else if (!append_or_wait(record, topic, frame)) {
      break;
    }
    inbox.release(reader);
    any = true;
  }
  if (any) {
    context.counters.events_kept.set(context.log->head() - context.log->tail());
    context.counters.bytes_kept.set(context.log->position(context.log->head()) -
                                    (context.log->empty()
                                         ? context.log->position(context.log->head())
                                         : context.log->position(context.log->tail())));
    context.counters.topics.set(context.topics.size());
  }
  return any;
}

bool Shard::Parts::append(const hub::EventRecord& record, std::span<const std::byte> topic_name,
                          std::span<const std::byte> frame) {
  sse::BroadcastLog& log = *context.log;
  while (!log.has_room(frame.size())) {
    if (pump.oldest_is_needed()) return false;
    // Streams that are to be ended when they are overtaken need nothing saved.
    if (context.options.stream.slow_consumer == SlowConsumer::skip) {
      sender.save_rests_before(log.tail());
    }
    const sse::TopicId evicted = log.entry(log.tail()).topic;
    Topic& topic = context.topics[evicted];
    topic.newest_evicted = log.tail();
    --topic.log_events;
    log.evict();
    context.topics.release_unused(evicted);
    context.counters.events_evicted.add();
  }
  const sse::TopicId id = context.topics.intern(as_text(topic_name), record.topic_hash);
  Topic& topic = context.topics[id];
  const bool kept = topic.newest != sse::kNoOrdinal && topic.newest >= log.tail();
  topic.newest = log.append(record.id, id, frame, record.chunk_head_bytes,
                            kept ? topic.newest : sse::kNoOrdinal);
  ++topic.log_events;
  pump.news(id);
  context.counters.events_appended.add();
  RC_TRACE(append, record.id.ms, record.id.sequence, record.frame_bytes,
           static_cast<std::uint32_t>(id));
  return true;
}

bool Shard::Parts::append_or_wait(const hub::EventRecord& record, std::span<const std::byte> topic,
                                  std::span<const std::byte> frame) {
  if (may_append(frame.size()) && append(record, topic, frame)) return true;
  context.counters.append_waits.add();
  RC_TRACE(append_waits, frame.size());
  append_waits = true;
  return false;
}

bool Shard::Parts::append_gap(const hub::EventRecord& record, std::span<const std::byte> what) {
  hub::HoleRecord hole{};
  RC_ASSERT(what.size() == sizeof hole);
  std::memcpy(&hole, what.data(), sizeof hole);
  const std::string data = gap_data(
      hole.newest, hole.has_oldest ? std::optional(hole.oldest) : std::nullopt, std::nullopt);
  const sse::EventFields fields{.event = context.options.stream.names.gap, .data = data};
  const sse::FrameSize size = sse::frame_size(std::nullopt, fields);
  std::vector<std::byte> frame(size.bytes);
  sse::encode_frame(std::nullopt, fields, frame);
  hub::EventRecord event = record;
  event.topic_hash = 0;
  event.chunk_head_bytes = size.chunk_head_bytes;
  if (!append_or_wait(event, {}, frame)) return false;
  context.counters.gaps.add(context.counters.streams_open.get());
  return true;
}

void Shard::Parts::sign_out(std::span<const std::byte> topic, std::span<const std::byte> record) {
  hub::SignOut what{};
  RC_ASSERT(record.size() == sizeof what);
  std::memcpy(&what, record.data(), sizeof what);
  // It may have been another instance that was asked.
  context.services.signed_out.add(what.session, what.expires_ms, context.now.unix_ms);
  streams.sign_out(as_text(topic), what.session);
}

std::uint64_t Shard::Parts::drain(bool requested) {
  if (!requested) return 0;
  if (!streams.draining()) {
    lifecycle.stop_accepting();
    streams.begin_drain();
    requests.begin_drain();
  }
  if (context.now.mono_ns < streams.drain_deadline_ns()) return streams.drain_deadline_ns();
  abort_everything();
  return 0;
}

void Shard::Parts::abort_everything() {
  requests.abort_all();
  for (std::uint32_t i = 0; i < context.table.used_end(); ++i) {
    const Phase phase = context.table.at(i).phase;
    if (phase == Phase::stream) sender.drop(uring::Slot{i});
    // It ended in good order: what the kernel still holds for it is delivered.
    if (phase == Phase::lingering) lifecycle.close(uring::Slot{i});
  }
}

void Shard::Parts::tell_hub(bool released_room) {
  uring::Ring* const hub_ring = context.exchange.hub_ring.load(std::memory_order_acquire);
  const bool work = requests.take_wrote_commands() && context.exchange.hub_bell.must_wake();
  const bool room = released_room && context.exchange.room_bell.must_wake();
  if ((work || room) && hub_ring != nullptr) context.ring.wake(*hub_ring);
}

}  // namespace ringcast::shard
