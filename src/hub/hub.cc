#include "ringcast/hub/hub.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <xxhash.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/bytes.h"
#include "ringcast/base/trace.h"
#include "ringcast/sse/frame.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kCommandsPerTurn = 256;

constexpr std::chrono::nanoseconds kNow{0};

template <class T>
T read(std::span<const std::byte> bytes) {
  T value;
  RC_ASSERT(bytes.size() == sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::uint64_t hash_of(std::string_view topic) {
  return topic.empty() ? 0 : XXH3_64bits(topic.data(), topic.size());
}

sse::EventFields fields_of(const Publication& publication) {
  return {.event = publication.event, .data = publication.data, .retry_ms = publication.retry_ms};
}

}  // namespace

Hub::Hub(Exchange& exchange, EventStore& store, uring::Ring& ring, Counters& counters)
    : exchange_(exchange),
      store_(store),
      ring_(ring),
      counters_(counters),
      replied_(exchange.shards()) {
  exchange_.hub_ring.store(&ring, std::memory_order_release);
  store_.attach(*this, ring);
}

std::optional<std::chrono::nanoseconds> Hub::turn(Time now) {
  exchange_.hub_bell.woke_up();
  exchange_.room_bell.woke_up();
  uring::Completion completion;
  while (ring_.next(completion)) {
    if (completion.operation != uring::Operation::wake) store_.on_completion(completion, now);
  }

  const Progress progress = sequence(now);
  EventStore::Next next = store_.turn(now);
  wake_shards();
  if (progress == Progress::more || next.wait == kNow) return kNow;

  // Ring the bells first, look again after: see Doorbell. What the commands wait for, and what the
  // store waits for, may be different things.
  if (progress == Progress::no_room || next.no_room) {
    exchange_.room_bell.about_to_sleep();
    const std::uint64_t written = exchange_.events().written();
    if (progress == Progress::no_room && sequence(now) != Progress::no_room) next.wait = kNow;
    if (next.no_room && !store_.turn(now).no_room) next.wait = kNow;
    wake_shards();
    // Something went on, so there may be more to do.
    if (exchange_.events().written() != written) next.wait = kNow;
  }
  if (progress != Progress::no_room) {
    exchange_.hub_bell.about_to_sleep();
    if (commands_waiting()) next.wait = kNow;
  }
  return next.wait;
}

Hub::Progress Hub::sequence(Time now) {
  std::size_t idle_in_a_row = 0;
  for (std::size_t done = 0; done < kCommandsPerTurn;) {
    if (idle_in_a_row == exchange_.shards()) return Progress::idle;
    const auto record = exchange_.port(next_shard_).commands->peek(0);
    if (record.empty()) {
      ++idle_in_a_row;
    } else {
      if (!sequence_one(next_shard_, record, now)) {
        counters_.inbox_full.add();
        return Progress::no_room;
      }
      exchange_.port(next_shard_).commands->release(0);
      idle_in_a_row = 0;
      ++done;
    }
    next_shard_ = (next_shard_ + 1) % exchange_.shards();
  }
  return Progress::more;
}

bool Hub::sequence_one(std::size_t shard, std::span<const std::byte> record, Time now) {
  Command command;
  std::memcpy(&command, record.data(), sizeof command);
  auto rest = record.subspan(sizeof command);
  const auto event = rest.first(command.event_bytes);
  const auto topic = rest.subspan(command.event_bytes, command.topic_bytes);
  const auto data = rest.subspan(command.event_bytes + command.topic_bytes, command.data_bytes);
  const Ticket ticket{.shard = static_cast<std::uint32_t>(shard),
                      .kind = command.kind,
                      .origin = command.origin,
                      .serial = command.serial};
  switch (command.kind) {
    case RecordKind::sign_out:
      return store_.sign_out(ticket, as_text(topic), read<SignOut>(data), now);
    case RecordKind::history:
      return store_.history(ticket, read<EventId>(data), now);
    case RecordKind::event:
    case RecordKind::gap:
      break;
  }
  RC_ASSERT(command.kind == RecordKind::event);
  return store_.append(
      ticket,
      {.event = as_text(event),
       .data = as_text(data),
       .topic = as_text(topic),
       .retry_ms = command.has_retry ? std::optional(command.retry_ms) : std::nullopt},
      now);
}

bool Hub::reserve(const Publication& publication) {
  constexpr EventId kLongestId{~std::uint64_t{0}, ~std::uint64_t{0}};
  const sse::FrameSize most = sse::frame_size(kLongestId, fields_of(publication));
  reserved_ = reserve_bytes(sizeof(EventRecord) + publication.topic.size() + most.bytes);
  return !reserved_.empty();
}

std::span<std::byte> Hub::reserve_bytes(std::size_t bytes) {
  const auto room = exchange_.events().reserve(bytes);
  if (room.empty()) RC_TRACE(inbox_full, bytes);
  return room;
}

void Hub::deliver(EventId id, const Publication& publication) {
  const std::string_view topic = publication.topic;
  RC_ASSERT(!reserved_.empty());
  const auto frame_out = reserved_.subspan(sizeof(EventRecord) + topic.size());
  const sse::FrameSize size = sse::encode_frame(id, fields_of(publication), frame_out);
  const EventRecord header{.kind = RecordKind::event,
                           .id = id,
                           .topic_hash = hash_of(topic),
                           .topic_bytes = static_cast<std::uint32_t>(topic.size()),
                           .frame_bytes = size.bytes,
                           .chunk_head_bytes = size.chunk_head_bytes};
  std::memcpy(reserved_.data(), &header, sizeof header);
  std::ranges::copy(std::as_bytes(std::span(topic)), reserved_.begin() + sizeof header);
  exchange_.events().commit(sizeof header + topic.size() + size.bytes);
  reserved_ = {};
  wrote_events_ = true;

  counters_.events.add();
  counters_.event_bytes.add(size.bytes);
  counters_.last_id_ms.set(id.ms);
  counters_.last_id_sequence.set(id.sequence);
  RC_TRACE(event_sequenced, id.ms, id.sequence, size.bytes);
}

bool Hub::deliver_sign_out(std::string_view topic, const SignOut& what) {
  return pass_on({.kind = RecordKind::sign_out, .topic_hash = hash_of(topic)}, topic,
                 std::as_bytes(std::span(&what, 1)));
}

bool Hub::deliver_gap(const Hole& hole) {
  const HoleRecord what{.newest = hole.newest,
                        .oldest = hole.oldest.value_or(EventId{}),
                        .has_oldest = hole.oldest.has_value()};
  return pass_on({.kind = RecordKind::gap, .id = hole.id}, {}, std::as_bytes(std::span(&what, 1)));
}

bool Hub::pass_on(const EventRecord& header, std::string_view topic,
                  std::span<const std::byte> what) {
  EventRecord record = header;
  record.topic_bytes = static_cast<std::uint32_t>(topic.size());
  record.frame_bytes = static_cast<std::uint32_t>(what.size());
  const std::size_t bytes = sizeof record + topic.size() + what.size();
  const auto out = reserve_bytes(bytes);
  if (out.empty()) return false;
  std::memcpy(out.data(), &record, sizeof record);
  const auto behind_topic =
      std::ranges::copy(std::as_bytes(std::span(topic)), out.begin() + sizeof record).out;
  std::ranges::copy(what, behind_topic);
  exchange_.events().commit(bytes);
  wrote_events_ = true;
  return true;
}

void Hub::answer(const Ticket& ticket, Answer answer) {
  const bool pushed =
      exchange_.port(ticket.shard)
          .replies.try_push({.kind = ticket.kind,
                             .outcome = answer.outcome,
                             .origin = ticket.origin,
                             .serial = ticket.serial,
                             .id = answer.id,
                             .page = answer.page.release()});  // whoever takes the reply frees it
  RC_ASSERT(pushed);  // a shard has at most `publishes_in_flight` commands without a reply
  replied_[ticket.shard] = true;
}

void Hub::wake_shards() {
  for (std::size_t i = 0; i < exchange_.shards(); ++i) {
    if (!wrote_events_ && !replied_[i]) continue;
    replied_[i] = false;
    Exchange::Port& port = exchange_.port(i);
    if (!port.bell.must_wake()) continue;
    ring_.wake(*port.ring.load(std::memory_order_acquire));
    counters_.wakes.add();
  }
  wrote_events_ = false;
}

bool Hub::commands_waiting() {
  for (std::size_t i = 0; i < exchange_.shards(); ++i) {
    if (!exchange_.port(i).commands->empty(0)) return true;
  }
  return false;
}

}  // namespace ringcast::hub
