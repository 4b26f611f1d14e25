#include "redis_reply.h"

#include <cstdint>
#include <limits>
#include <span>

#include <hiredis/hiredis.h>

namespace ringcast::hub {
namespace {

std::span<redisReply* const> elements(const redisReply* reply) {
  return {reply->element, reply->elements};
}

}  // namespace

std::string_view text_of(const redisReply* reply) {
  const bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
  if (!is_text && !is_error(reply)) return {};
  return {reply->str, reply->len};
}

bool is_error(const redisReply* reply) {
  return reply->type == REDIS_REPLY_ERROR;
}

bool is_array(const redisReply* reply) {
  return reply->type == REDIS_REPLY_ARRAY;
}

bool read_raw_entry(const redisReply* reply, RawEntry& out) {
  if (!is_array(reply) || reply->elements != 2) return false;
  const auto id = parse_event_id(text_of(reply->element[0]));
  if (!id || !is_array(reply->element[1])) return false;
  out.id = *id;
  out.fields.clear();
  for (const redisReply* field : elements(reply->element[1])) {
    out.fields.push_back(text_of(field));
  }
  return true;
}

std::size_t field_bytes(const redisReply* page) {
  if (!is_array(page)) return 0;
  std::size_t bytes = 0;
  for (const redisReply* entry : elements(page)) {
    if (!is_array(entry) || entry->elements != 2 || !is_array(entry->element[1])) continue;
    for (const redisReply* field : elements(entry->element[1])) bytes += text_of(field).size();
  }
  return bytes;
}

std::optional<EventId> first_id(const redisReply* page) {
  if (!is_array(page) || page->elements == 0 || !is_array(page->element[0]) ||
      page->element[0]->elements == 0) {
    return std::nullopt;
  }
  return parse_event_id(text_of(page->element[0]->element[0]));
}

std::optional<StreamState> read_stream_state(const redisReply* reply) {
  if (is_error(reply)) {
    const std::string_view error(reply->str, reply->len);
    if (error.starts_with("ERR no such key")) return StreamState{};
    return std::nullopt;
  }
  if (!is_array(reply)) return std::nullopt;
  StreamState state{.exists = true};
  std::optional<EventId> last_generated;
  std::optional<std::uint64_t> length;
  std::optional<std::uint64_t> added;
  for (std::size_t i = 0; i + 1 < reply->elements; i += 2) {
    const std::string_view name = text_of(reply->element[i]);
    const redisReply* const value = reply->element[i + 1];
    const bool is_number = value->type == REDIS_REPLY_INTEGER && value->integer >= 0;
    if (name == "last-generated-id") last_generated = parse_event_id(text_of(value));
    if (name == "length" && is_number) length = static_cast<std::uint64_t>(value->integer);
    if (name == "entries-added" && is_number) added = static_cast<std::uint64_t>(value->integer);
    if (name == "last-entry" && is_array(value) && value->elements == 2) {
      state.last_entry = parse_event_id(text_of(value->element[0]));
    }
  }
  if (!last_generated) return std::nullopt;
  state.last_generated = *last_generated;
  if (length && added && *added >= *length) state.removed = *added - *length;
  return state;
}

EventId id_before(EventId id) {
  constexpr std::uint64_t kLast = ~std::uint64_t{0};
  return id.sequence == 0 ? EventId{id.ms - 1, kLast} : EventId{id.ms, id.sequence - 1};
}

EventId next_id(EventId id) {
  if (id.sequence != std::numeric_limits<std::uint64_t>::max()) return {id.ms, id.sequence + 1};
  return {id.ms + 1, 0};
}

}  // namespace ringcast::hub
