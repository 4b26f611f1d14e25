#include "response_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ringcast::sim {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

void ResponseReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  while (step()) {
  }
}

void ResponseReader::malformed(const std::string& why) {
  state_ = State::broken;
  buffer_.clear();
  sink_.on_malformed(why);
}

void ResponseReader::end_message() {
  state_ = State::head;
  sink_.on_message_end();
}

bool ResponseReader::step() {
  switch (state_) {
    case State::broken:
      return false;
    case State::head:
      return read_head();
    case State::chunk_head:
      return read_chunk_head();
    case State::until_close:
      if (!buffer_.empty()) sink_.on_body(std::exchange(buffer_, {}));
      return false;
    case State::length:
    case State::chunk_data: {
      if (buffer_.empty()) return false;
      const auto size = std::min<std::uint64_t>(left_, buffer_.size());
      const std::string part = buffer_.substr(0, size);
      buffer_.erase(0, size);
      left_ -= size;
      sink_.on_body(part);
      if (left_ != 0) return false;
      if (state_ == State::length) {
        end_message();
      } else {
        state_ = State::chunk_tail;
      }
      return true;
    }
    case State::chunk_tail:
    case State::last_chunk:
      if (buffer_.size() < 2) return false;
      if (!buffer_.starts_with("\r\n")) {
        malformed("a chunk does not end with CRLF");
        return false;
      }
      buffer_.erase(0, 2);
      if (state_ == State::last_chunk) {
        end_message();
      } else {
        state_ = State::chunk_head;
      }
      return true;
  }
  return false;
}

bool ResponseReader::read_chunk_head() {
  constexpr std::size_t kLineMax = 16;
  const std::size_t end = buffer_.find("\r\n");
  if (end == std::string::npos) {
    if (buffer_.size() > kLineMax) malformed("no chunk head: " + buffer_.substr(0, kLineMax));
    return false;
  }
  const auto size = parse_number(std::string_view(buffer_).substr(0, end), 16);
  if (!size) {
    malformed("no chunk head: " + buffer_.substr(0, end));
    return false;
  }
  buffer_.erase(0, end + 2);
  left_ = *size;
  state_ = left_ == 0 ? State::last_chunk : State::chunk_data;
  return true;
}

bool ResponseReader::read_head() {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const std::size_t end = buffer_.find("\r\n\r\n");
  const std::size_t seen = std::min(buffer_.size(), kVersion.size());
  if (std::string_view(buffer_).substr(0, seen) != kVersion.substr(0, seen)) {
    malformed("no status line: " + buffer_.substr(0, 40));
    return false;
  }
  if (end == std::string::npos) return false;

  ResponseHead head;
  std::string_view text = std::string_view(buffer_).substr(0, end + 2);
  const auto status = parse_number(text.substr(kVersion.size(), 3));
  if (!status) {
    malformed("no status: " + std::string(text.substr(0, 40)));
    return false;
  }
  head.status = static_cast<int>(*status);
  text.remove_prefix(text.find("\r\n") + 2);
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos ||
        !head.headers.emplace(lower(line.substr(0, colon)), line.substr(colon + 2)).second) {
      malformed("a header line that is no field, or repeated: " + std::string(line));
      return false;
    }
  }
  buffer_.erase(0, end + 4);
  if (head.status == 100) return true;

  const auto length = parse_number(head.header("content-length"));
  const bool chunked = head.header("transfer-encoding") == "chunked";
  sink_.on_head(head);
  if (chunked && length) {
    malformed("both Content-Length and Transfer-Encoding");
    return false;
  }
  left_ = length.value_or(0);
  if (chunked) {
    state_ = State::chunk_head;
  } else if (head.status == 204 || head.status == 304 || (length && left_ == 0)) {
    end_message();
  } else {
    state_ = length ? State::length : State::until_close;
  }
  return true;
}

bool EventReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  const std::size_t end = buffer_.rfind("\n\n");
  if (end != std::string::npos) {
    whole_ += std::string_view(buffer_).substr(0, end + 2);
    buffer_.erase(0, end + 2);
  }
  return bytes.find('\r') == std::string_view::npos && bytes.find('\0') == std::string_view::npos;
}

std::optional<ReceivedEvent> EventReader::next() {
  if (whole_.empty()) return std::nullopt;
  const std::size_t end = whole_.find("\n\n");
  std::string_view text = std::string_view(whole_).substr(0, end + 1);
  ReceivedEvent event;
  bool has_data = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    const std::size_t colon = line.find(": ");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 2);
    if (name == "data") {
      if (has_data) event.data += '\n';
      event.data += value;
      has_data = true;
    } else if (name == "event") {
      event.type = value;
    } else if (name == "id") {
      event.id = value;
    } else if (name == "retry") {
      event.retry = parse_number(value);
    } else {
      event.type = "malformed: " + std::string(line);
    }
  }
  if (!has_data) event.type = "malformed: no data";
  whole_.erase(0, end + 2);
  return event;
}

}  // namespace ringcast::sim
