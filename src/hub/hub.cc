#include "ringcast/hub/hub.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <xxhash.h>

#include "ringcast/base/assert.h"
#include "ringcast/sse/frame.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kCommandsPerTurn = 256;

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Hub::Hub(Exchange& exchange, EmbeddedStore& store, uring::Ring& ring, Counters& counters)
    : exchange_(exchange),
      store_(store),
      ring_(ring),
      counters_(counters),
      replied_(exchange.shards()) {
  exchange_.hub_ring.store(&ring, std::memory_order_release);
}

std::optional<std::chrono::nanoseconds> Hub::turn(Time now) {
  exchange_.hub_bell.woke_up();
  exchange_.room_bell.woke_up();
  uring::Completion completion;
  while (ring_.next(completion)) {
    RC_ASSERT(completion.operation == uring::Operation::wake);
  }

  const Progress progress = sequence(now);
  wake_shards();
  if (progress == Progress::more) return std::chrono::nanoseconds(0);

  // Ring the bell first, look again after: see Doorbell.
  if (progress == Progress::no_room) {
    exchange_.room_bell.about_to_sleep();
    const Progress again = sequence(now);
    wake_shards();
    if (again != Progress::no_room) return std::chrono::nanoseconds(0);
  } else {
    exchange_.hub_bell.about_to_sleep();
    if (commands_waiting()) return std::chrono::nanoseconds(0);
  }
  return std::nullopt;
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
  if (command.kind == RecordKind::sign_out) return pass_on_sign_out(shard, command, topic, data);
  const sse::EventFields fields{
      .event = text(event),
      .data = text(data),
      .retry_ms = command.has_retry ? std::optional(command.retry_ms) : std::nullopt};

  // Room for the longest ID first, the ID only then: an ID that was given is never taken back.
  constexpr EventId kLongestId{~std::uint64_t{0}, ~std::uint64_t{0}};
  const sse::FrameSize most = sse::frame_size(kLongestId, fields);
  const auto out = exchange_.events().reserve(sizeof(EventRecord) + topic.size() + most.bytes);
  if (out.empty()) return false;

  const EventId id = store_.assign(now);
  const auto frame_out = out.subspan(sizeof(EventRecord) + topic.size());
  const sse::FrameSize size = sse::encode_frame(id, fields, frame_out);
  const EventRecord header{
      .kind = RecordKind::event,
      .id = id,
      .topic_hash = topic.empty() ? 0 : XXH3_64bits(topic.data(), topic.size()),
      .topic_bytes = static_cast<std::uint32_t>(topic.size()),
      .frame_bytes = size.bytes,
      .chunk_head_bytes = size.chunk_head_bytes};
  std::memcpy(out.data(), &header, sizeof header);
  std::copy(topic.begin(), topic.end(), out.begin() + sizeof header);
  exchange_.events().commit(sizeof header + topic.size() + size.bytes);
  wrote_events_ = true;
  reply(shard, command, id);

  counters_.events.add();
  counters_.event_bytes.add(size.bytes);
  counters_.last_id_ms.set(id.ms);
  counters_.last_id_sequence.set(id.sequence);
  return true;
}

bool Hub::pass_on_sign_out(std::size_t shard, const Command& command,
                           std::span<const std::byte> topic, std::span<const std::byte> sign_out) {
  const EventRecord header{.kind = RecordKind::sign_out,
                           .id = {},
                           .topic_hash = XXH3_64bits(topic.data(), topic.size()),
                           .topic_bytes = static_cast<std::uint32_t>(topic.size()),
                           .frame_bytes = static_cast<std::uint32_t>(sign_out.size()),
                           .chunk_head_bytes = 0};
  const std::size_t bytes = sizeof header + topic.size() + sign_out.size();
  const auto out = exchange_.events().reserve(bytes);
  if (out.empty()) return false;
  std::memcpy(out.data(), &header, sizeof header);
  const auto behind_topic = std::copy(topic.begin(), topic.end(), out.begin() + sizeof header);
  std::copy(sign_out.begin(), sign_out.end(), behind_topic);
  exchange_.events().commit(bytes);
  wrote_events_ = true;
  reply(shard, command, {});
  return true;
}

void Hub::reply(std::size_t shard, const Command& command, const EventId& id) {
  const bool pushed = exchange_.port(shard).replies.try_push(
      {.kind = command.kind, .origin = command.origin, .serial = command.serial, .id = id});
  RC_ASSERT(pushed);  // a shard has at most `publishes_in_flight` commands without a reply
  replied_[shard] = true;
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
