#include "load/http_publisher.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>

#include <strings.h>
#include <sys/prctl.h>

#include "ringcast/base/time.h"

#include "load/meter.h"
#include "load/payload.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kDeferNs = 20 * kNsPerMs;
constexpr std::uint64_t kWaitMaxNs = 50 * kNsPerMs;

/// The value of a header field, blanks in front of it removed; empty when there is none.
std::string_view field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n")) {
    head.remove_prefix(at + 2);
    if (head.size() <= name.size() || head[name.size()] != ':' ||
        strncasecmp(head.data(), name.data(), name.size()) != 0) {
      continue;
    }
    std::string_view value = head.substr(name.size() + 1);
    value = value.substr(0, value.find("\r\n"));
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    return value;
  }
  return {};
}

/// Bytes of a chunked body, its last chunk and the empty line after it included; 0 = not all there
/// yet.
std::size_t chunked_body_bytes(std::string_view body, bool& malformed) {
  std::size_t at = 0;
  while (true) {
    const std::size_t line_end = body.find("\r\n", at);
    if (line_end == std::string_view::npos) return 0;
    std::size_t chunk = 0;
    const char* first = body.data() + at;
    if (std::from_chars(first, body.data() + line_end, chunk, 16).ptr == first) {
      malformed = true;
      return 0;
    }
    if (chunk == 0) {
      const std::size_t end = body.find("\r\n", line_end + 2);
      return end == std::string_view::npos ? 0 : end + 2;
    }
    at = line_end + 2 + chunk + 2;
    if (at > body.size()) return 0;
  }
}

}  // namespace

ResponseProgress read_response(std::string_view bytes) {
  using State = ResponseProgress::State;
  ResponseProgress out;
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return out;
  const std::string_view head = bytes.substr(0, head_end + 2);
  out.body_at = head_end + 4;
  if (!head.starts_with("HTTP/1.") || head.size() < 13) return {.state = State::malformed};
  std::from_chars(head.data() + 9, head.data() + 12, out.status);
  const std::string_view connection = field(head, "Connection");
  out.closes =
      head[7] == '0' || (connection.size() == 5 && strncasecmp(connection.data(), "close", 5) == 0);
  std::size_t body_bytes = 0;
  const std::string_view length = field(head, "Content-Length");
  if (field(head, "Transfer-Encoding").starts_with("chunked")) {
    bool malformed = false;
    body_bytes = chunked_body_bytes(bytes.substr(out.body_at), malformed);
    if (malformed) return {.state = State::malformed};
    if (body_bytes == 0) return out;
  } else if (!length.empty()) {
    std::from_chars(length.data(), length.data() + length.size(), body_bytes);
  }
  out.bytes = out.body_at + body_bytes;
  if (out.bytes <= bytes.size()) out.state = State::complete;
  return out;
}

void HttpPublisher::run() {
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 µs would make every event that late
  lanes_.resize(traffic_.lanes);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i].events = traffic_.events_of_lane(i, traffic_.events);
    if (!connect_lane(lanes_[i])) return;
  }
  start(read_clock().mono_ns);
  for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i].due_ns = due_ns(next_of(i));

  while (going_on()) {
    const std::uint64_t now_ns = read_clock().mono_ns;
    look_at_state(now_ns);
    for (std::size_t i = 0; i < lanes_.size(); ++i) send_due(i, now_ns);
    wait();
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if ((polls_[i].revents & POLLOUT) != 0) write_some(lanes_[i]);
      if ((polls_[i].revents & ~POLLOUT) != 0) read_some(lanes_[i]);
    }
  }
  finish(read_clock().mono_ns, thread_cpu_ns());
}

std::vector<std::uint64_t> HttpPublisher::published() const {
  std::vector<std::uint64_t> out;
  for (const Lane& lane : lanes_) out.push_back(lane.next);
  out.resize(traffic_.lanes);
  return out;
}

bool HttpPublisher::connect_lane(Lane& lane) {
  const auto connected = lane.link.connect(plan_.publish);
  if (!connected) state_.fail("publishing to " + connected.error().message);
  return connected.ok();
}

void HttpPublisher::look_at_state(std::uint64_t now_ns) {
  if (release_more(now_ns)) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i].due_ns = due_ns(next_of(i));
  }
  if (!lead_sent_ && traffic_.first_lane == 0 && state_.lead_wanted()) {
    lead_sent_ = lanes_.front().leads = true;
  }
}

void HttpPublisher::send_due(std::size_t index, std::uint64_t now_ns) {
  Lane& lane = lanes_[index];
  if (lane.waiting || lane.due_ns > now_ns) return;
  if (!lane.leads && (lane.next == lane.events || is_held(next_of(index)))) return;
  const std::uint64_t event = next_of(index);
  const auto number = static_cast<std::uint16_t>(traffic_.first_lane + index);
  Stamp stamp{.run = plan_.run,
              .lane = number,
              .sequence = static_cast<std::uint32_t>(lane.next),
              .sent_ns = is_paced(event) ? due_ns(event) : now_ns};
  if (lane.leads) stamp = {.run = plan_.run, .lane = kLeadLane, .sequence = 0, .sent_ns = now_ns};
  const std::string request =
      request_of(number, stamp, plan_.topic_of_event(number, stamp.sequence));
  lane.due_ns = stamp.sent_ns;  // from here on: what the answer's latency counts from
  lane.waiting = true;
  static_cast<void>(lane.link.write(request));  // if it cannot, reading tells why
  write_some(lane);
}

std::string HttpPublisher::request_of(std::size_t lane, const Stamp& stamp,
                                      const std::string& topic) const {
  const std::string body = plan_.body_of(stamp, topic);
  const std::string target =
      plan_.publish.target_for(topic.empty() ? plan_.broadcast_topic : topic);
  std::string request = plan_.publish_method + ' ' + target +
                        " HTTP/1.1\r\nHost: " + plan_.publish.host +
                        "\r\nContent-Type: " + plan_.publish_type +
                        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  for (const std::string& header : plan_.headers) request += header + "\r\n";
  request += plan_.token_header(static_cast<std::uint32_t>(lane));
  return request + "\r\n" + body;
}

void HttpPublisher::write_some(Lane& lane) {
  const auto sent = lane.link.send_some();
  if (!sent) state_.fail("publishing: " + sent.error().message);
}

void HttpPublisher::read_some(Lane& lane) {
  const bool ended = lane.link.read_some(lane.response) == HttpLink::Read::ended;
  const ResponseProgress response = read_response(lane.response);
  if (response.state == ResponseProgress::State::malformed) {
    return state_.fail("publishing: the answer is no HTTP/1 response");
  }
  if (response.state == ResponseProgress::State::complete) answered(lane, response);
  if (state_.failed() || !(ended || response.closes)) return;
  if (lane.waiting) {
    std::string reason =
        "publishing: the connection ended before the answer to event " + std::to_string(lane.next);
    if (!lane.link.failure().empty()) reason.append(": ").append(lane.link.failure());
    return state_.fail(std::move(reason));
  }
  lane.response.clear();
  static_cast<void>(connect_lane(lane));
}

void HttpPublisher::answered(Lane& lane, const ResponseProgress& response) {
  const std::uint64_t now_ns = read_clock().mono_ns;
  const auto index = static_cast<std::size_t>(&lane - lanes_.data());
  lane.waiting = false;
  if (response.status == 503 || response.status == 429) {
    deferred_.add();
    lane.due_ns = now_ns + kDeferNs;
  } else if (response.status / 100 == 2) {
    if (lane.leads) {
      lane.leads = false;
    } else {
      last_answer_ns_ = now_ns;
      latency_.record(now_ns > lane.due_ns ? now_ns - lane.due_ns : 0);
      ++lane.next;
      acknowledged_.add();
    }
    lane.due_ns = due_ns(next_of(index));
  } else {
    const std::string body = lane.response.substr(response.body_at, 200);
    return state_.fail("publishing: answered " + std::to_string(response.status) + " " + body);
  }
  lane.response.erase(0, response.bytes);
}

void HttpPublisher::wait() {
  const std::uint64_t now_ns = read_clock().mono_ns;
  std::uint64_t until_ns = now_ns + kWaitMaxNs;
  polls_.resize(lanes_.size());
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    const bool unsent = lane.link.has_unsent();
    polls_[i] = {lane.link.descriptor(), static_cast<short>(POLLIN | (unsent ? POLLOUT : 0)), 0};
    if (!lane.waiting && (lane.leads || (lane.next < lane.events && !is_held(next_of(i))))) {
      until_ns = std::min(until_ns, lane.due_ns);
    }
  }
  const std::uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(left_ns)};
  ppoll(polls_.data(), polls_.size(), &timeout, nullptr);
}

}  // namespace ringcast::load
