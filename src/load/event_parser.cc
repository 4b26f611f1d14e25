#include "load/event_parser.h"

#include <algorithm>
#include <cstring>

#include <strings.h>

namespace ringcast::load {
namespace {

using Phase = ParserState::Phase;

constexpr std::uint8_t kChunkDigitsMax = 7;  // 256 MiB

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool contains_name(std::string_view text, std::string_view name) {
  for (; text.size() >= name.size(); text.remove_prefix(1)) {
    if (same_name(text.substr(0, name.size()), name)) return true;
  }
  return false;
}

/// The value of a header field without the blanks around it; empty when the head has none.
std::string_view header_value(std::string_view head, std::string_view name) {
  while (true) {
    const std::size_t end = head.find("\r\n");
    if (end == std::string_view::npos) return {};
    head.remove_prefix(end + 2);
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !same_name(line.substr(0, colon), name)) continue;
    const std::string_view value = line.substr(colon + 1);
    const std::size_t first = value.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return value.substr(first, value.find_last_not_of(" \t") + 1 - first);
  }
}

/// 0 when the status line is none (RFC 9112 section 4).
std::uint16_t status_of(std::string_view head) {
  if (head.size() < 12 || !head.starts_with("HTTP/1.") || head[8] != ' ') return 0;
  std::uint16_t status = 0;
  for (const char c : head.substr(9, 3)) {
    if (c < '0' || c > '9') return 0;
    status = static_cast<std::uint16_t>(status * 10 + (c - '0'));
  }
  return status;
}

Phase phase_after_head(std::uint16_t status, std::string_view head) {
  if (status == 0) return Phase::malformed;
  if (status != 200) return Phase::refused;
  if (!contains_name(header_value(head, "Content-Type"), "text/event-stream"))
    return Phase::malformed;
  const bool chunked = same_name(header_value(head, "Transfer-Encoding"), "chunked");
  return chunked ? Phase::chunk_size : Phase::until_close;
}

void apply_head(ParserState& state, std::string_view head) {
  state.status = status_of(head);
  state.phase = phase_after_head(state.status, head);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void keep(std::string& kept, std::string_view field) {
  if (kept.data() == field.data()) return;  // it is where it was
  kept.assign(field.substr(0, kKeptBytes));
}

}  // namespace

std::uint32_t PartialPool::take() {
  if (free_.empty()) {
    all_.emplace_back();
    return static_cast<std::uint32_t>(all_.size() - 1);
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

void PartialPool::give_back(std::uint32_t index) {
  Partial& partial = all_[index];
  for (std::string* text : {&partial.line, &partial.type, &partial.id, &partial.data}) {
    text->clear();
    if (text->capacity() > 2 * kKeptBytes) text->shrink_to_fit();
  }
  partial.has_id = partial.has_data = false;
  partial.first_line = true;
  free_.push_back(index);
}

void EventParser::reset(ParserState& state) {
  if (state.partial != ParserState::kNone) release(state);
  state = ParserState{};
}

std::size_t EventParser::find_line_end(std::string_view body) {
  const void* lf = std::memchr(body.data(), '\n', body.size());
  const std::size_t bytes =
      lf == nullptr ? body.size()
                    : static_cast<std::size_t>(static_cast<const char*>(lf) - body.data());
  const void* cr = std::memchr(body.data(), '\r', bytes);
  if (cr != nullptr) return static_cast<std::size_t>(static_cast<const char*>(cr) - body.data());
  return lf == nullptr ? std::string_view::npos : bytes;
}

std::size_t EventParser::read_head(ParserState& state, std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  if (state.partial == ParserState::kNone) {
    const std::size_t end = bytes.find(kEnd);
    if (end != std::string_view::npos) {
      apply_head(state, bytes.substr(0, end + kEnd.size()));
      return end + kEnd.size();
    }
    state.partial = pool_.take();
  }
  std::string& head = pool_.at(state.partial).line;
  const std::size_t before = head.size();
  head.append(bytes);
  const std::size_t end = head.find(kEnd, before - std::min(before, kEnd.size() - 1));
  if (end == std::string::npos) {
    if (head.size() > kHeadBytesMax) state.phase = Phase::malformed;
    return bytes.size();
  }
  apply_head(state, std::string_view{head}.substr(0, end + kEnd.size()));
  release(state);
  return end + kEnd.size() - before;
}

std::size_t EventParser::read_framing(ParserState& state, std::string_view bytes) {
  std::size_t read = 0;
  while (read < bytes.size()) {
    const char c = bytes[read++];
    if (state.phase == Phase::chunk_end) {
      if (c == '\r') continue;
      state.phase = c == '\n' ? Phase::chunk_size : Phase::malformed;
      state.digits = 0;
    } else if (c == '\n') {
      if (state.digits == 0) {
        state.phase = Phase::malformed;
      } else {
        state.phase = state.chunk_left == 0 ? Phase::ended : Phase::chunk_data;
      }
      break;
    } else if (state.phase == Phase::chunk_size) {
      const int value = hex_value(c);
      if (value >= 0 && state.digits < kChunkDigitsMax) {
        state.chunk_left = state.chunk_left << 4 | static_cast<std::uint32_t>(value);
        ++state.digits;
      } else if (state.digits > 0 && value < 0) {
        state.phase = Phase::chunk_extension;  // or the CR
      } else {
        state.phase = Phase::malformed;
      }
    }
    if (state.phase == Phase::malformed) break;
  }
  return read;
}

void EventParser::read_field(Fields& fields, std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (fields.first_line) fields.event.data = value;
    fields.event.has_data = true;
    fields.first_line = false;
  } else if (name == "id") {
    fields.event.id = value;
    fields.event.has_id = true;
  } else if (name == "event") {
    fields.event.type = value;
  }
}

EventParser::Fields EventParser::load(const ParserState& state) {
  const Partial& partial = pool_.at(state.partial);
  return {{.type = partial.type,
           .id = partial.id,
           .data = partial.data,
           .has_id = partial.has_id,
           .has_data = partial.has_data},
          partial.first_line};
}

std::string_view EventParser::complete_line(const ParserState& state, std::string_view rest) {
  std::string& front = pool_.at(state.partial).line;
  if (front.empty()) return rest;
  completed_.assign(front);
  completed_.append(rest);
  front.clear();
  return completed_;
}

void EventParser::store(ParserState& state, const Fields& fields, std::string_view rest) {
  if (state.partial == ParserState::kNone) state.partial = pool_.take();
  Partial& partial = pool_.at(state.partial);
  keep(partial.type, fields.event.type);
  keep(partial.id, fields.event.id);
  keep(partial.data, fields.event.data);
  partial.has_id = fields.event.has_id;
  partial.has_data = fields.event.has_data;
  partial.first_line = fields.first_line;
  const std::size_t room = kKeptBytes - std::min(kKeptBytes, partial.line.size());
  partial.line.append(rest.substr(0, room));
}

void EventParser::release(ParserState& state) {
  pool_.give_back(state.partial);
  state.partial = ParserState::kNone;
}

}  // namespace ringcast::load
