#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringcast::test {

struct ReceivedEvent {
  std::string type;
  std::string data;
  std::string last_event_id;

  friend bool operator==(const ReceivedEvent&, const ReceivedEvent&) = default;
};

/// What a client makes of an event stream: WHATWG HTML section 9.2.6, "Interpreting an event
/// stream", written from its text alone. It takes a whole stream, bytes instead of code points.
class SseClient {
 public:
  explicit SseClient(std::string_view stream) {
    if (stream.starts_with("\xef\xbb\xbf")) stream.remove_prefix(3);
    while (!stream.empty()) {
      const std::size_t end = stream.find_first_of("\r\n");
      if (end == std::string_view::npos)
        break;  // an unfinished line at the end of the file is dropped
      process(stream.substr(0, end));
      const bool crlf = stream.substr(end, 2) == "\r\n";
      stream.remove_prefix(end + (crlf ? 2 : 1));
    }
  }

  [[nodiscard]] const std::vector<ReceivedEvent>& events() const { return events_; }
  [[nodiscard]] std::optional<std::uint64_t> reconnection_ms() const { return reconnection_ms_; }
  /// Nothing of an event that no empty line has ended.
  [[nodiscard]] bool between_events() const { return data_buffer_.empty() && type_buffer_.empty(); }

 private:
  void process(std::string_view line) {
    if (line.empty()) return dispatch();
    const std::size_t colon = line.find(':');
    if (colon == 0) return;  // a comment
    if (colon == std::string_view::npos) return field(line, "");
    std::string_view value = line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    field(line.substr(0, colon), value);
  }

  void field(std::string_view name, std::string_view value) {
    if (name == "event") {
      type_buffer_ = value;
    } else if (name == "data") {
      data_buffer_ += value;
      data_buffer_ += '\n';
    } else if (name == "id") {
      if (value.find('\0') == std::string_view::npos) id_buffer_ = value;
    } else if (name == "retry") {
      std::uint64_t ms = 0;
      const auto [stopped, failure] =
          std::from_chars(value.data(), value.data() + value.size(), ms);
      if (failure == std::errc{} && stopped == value.data() + value.size()) reconnection_ms_ = ms;
    }
  }

  void dispatch() {
    last_event_id_ = id_buffer_;
    if (data_buffer_.empty()) {
      type_buffer_.clear();
      return;
    }
    data_buffer_.pop_back();
    events_.push_back(
        {type_buffer_.empty() ? "message" : type_buffer_, data_buffer_, last_event_id_});
    data_buffer_.clear();
    type_buffer_.clear();
  }

  std::string data_buffer_;
  std::string type_buffer_;
  std::string id_buffer_;
  std::string last_event_id_;
  std::optional<std::uint64_t> reconnection_ms_;
  std::vector<ReceivedEvent> events_;
};

/// The data as a client is to see it: each CR, LF and CRLF is one LF.
inline std::string normalised(std::string_view data) {
  std::string text;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] == '\r') {
      text += '\n';
      if (i + 1 < data.size() && data[i + 1] == '\n') ++i;
    } else {
      text += data[i];
    }
  }
  return text;
}

/// The content of exactly one chunk (RFC 9112 section 7.1) with a minimal lower-case size; nothing
/// if `frame` is anything else.
inline std::optional<std::string_view> dechunk(std::string_view frame, std::size_t head_bytes) {
  if (head_bytes < 3 || frame.size() < head_bytes + 2) return std::nullopt;
  const std::string_view digits = frame.substr(0, head_bytes - 2);
  if (frame.substr(head_bytes - 2, 2) != "\r\n" || !frame.ends_with("\r\n")) return std::nullopt;
  if (digits.front() == '0' ||
      digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  std::size_t size = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
  if (size != frame.size() - head_bytes - 2) return std::nullopt;
  return frame.substr(head_bytes, size);
}

}  // namespace ringcast::test
