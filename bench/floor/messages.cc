#include "messages.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <mutex>

#include "ringcast/base/time.h"

namespace floor_bench {
namespace {

constexpr std::uint32_t kRetryMs = 3000;

std::string as_chunk(std::string_view bytes) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  std::string out{size.data(), end};
  return out.append("\r\n").append(bytes).append("\r\n");
}

/// The string after "data": in a body of ringcast-load, which has nothing to unescape.
std::string_view data_of(std::string_view body) {
  constexpr std::string_view kKey = "\"data\":\"";
  const std::size_t at = body.find(kKey);
  if (at == std::string_view::npos) return {};
  body.remove_prefix(at + kKey.size());
  return body.substr(0, body.find('"'));
}

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "Content-Length: ";
  const std::size_t at = head.find(kName);
  std::size_t length = 0;
  if (at != std::string_view::npos) {
    std::from_chars(head.data() + at + kName.size(), head.data() + head.size(), length);
  }
  return length;
}

}  // namespace

Request read_request(std::string_view bytes) {
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return {};
  if (bytes.starts_with("GET ")) return {.kind = Request::Kind::stream};
  const std::size_t length = content_length(bytes.substr(0, head_end + 2));
  const std::string_view rest = bytes.substr(head_end + 4);
  if (rest.size() < length) return {};
  return {.kind = Request::Kind::publish, .body = rest.substr(0, length)};
}

std::string next_id() {
  static std::mutex mutex;
  static std::uint64_t last_ms = 0;
  static std::uint64_t sequence = 0;
  const std::lock_guard lock{mutex};
  const std::uint64_t now_ms = std::max(ringcast::read_clock().unix_ms, last_ms);
  sequence = now_ms == last_ms ? sequence + 1 : 0;
  last_ms = now_ms;
  return std::to_string(now_ms) + "-" + std::to_string(sequence);
}

std::string stream_opening(std::string_view id) {
  std::string heartbeat = "retry: " + std::to_string(kRetryMs) + "\n\nid: ";
  heartbeat.append(id).append("\nevent: heartbeat\ndata: \n\n");
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
         "Connection: keep-alive\r\nX-Accel-Buffering: no\r\nVary: Origin\r\n"
         "Transfer-Encoding: chunked\r\n\r\n" +
         as_chunk(heartbeat);
}

std::string event_chunk(std::string_view id, std::string_view body) {
  std::string event = "id: ";
  event.append(id).append("\ndata: ").append(data_of(body)).append("\n\n");
  return as_chunk(event);
}

std::string publish_answer(std::string_view id) {
  std::string answer = "HTTP/1.1 204 No Content\r\nEvent-Id: ";
  return answer.append(id).append("\r\n\r\n");
}

}  // namespace floor_bench
