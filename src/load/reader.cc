#include "load/reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ringcast/base/time.h"

#include "load/meter.h"
#include "load/payload.h"

namespace ringcast::load {
namespace {

constexpr std::uint32_t kOpenBatch = 64;
constexpr unsigned kDrainMax = 2048;  // completions of one ring before the others have their turn
constexpr int kWaitMs = 50;
constexpr std::uint64_t kRetryNs = 200 * kNsPerMs;
constexpr std::string_view kGapName = "gap";
/// A slow stream reads so often, unless that were a few bytes each time, or more than a buffer.
constexpr std::uint32_t kSlowReadsPerSecond = 10;
constexpr std::uint32_t kSlowBytesMin = 64;
constexpr std::uint32_t kSlowBytesMax = 4096;

}  // namespace

Reader::Reader(const Plan& plan, const SourceAddresses& sources, RunState& state,
               std::uint32_t first, std::uint32_t count)
    : plan_(plan),
      sources_(sources),
      state_(state),
      first_(first),
      per_ring_(plan.streams_per_ring),
      missed_(plan.missed()),
      streams_(count),
      sequences_(count, plan.lanes()),
      gaps_(count, plan.lanes()),
      returning_(plan.storm_at || plan.replay > 0 ? count : 0),
      parser_(partials_),
      ids_(plan.keeps_ids() ? count : 0, plan.last_event_id),
      fresh_end_(plan.replay == 0 ? count : (first == 0 ? 1 : 0)) {
  for (const Url& url : plan.events) {
    for (std::uint32_t topic = 0; topic < plan.topic_count(); ++topic) {
      requests_.push_back(build_request(url, topic, {}, plan.last_event_id));
    }
  }
  if (std::any_of(plan.events.begin(), plan.events.end(),
                  [](const Url& url) { return url.secure; })) {
    tls_ = std::make_unique<TlsStreams>(count);
  }
}

std::string Reader::build_request(const Url& url, std::uint32_t topic,
                                  std::string_view token_header,
                                  std::string_view last_event_id) const {
  std::string out = "GET " + plan_.target_of(url, topic);
  out += " HTTP/1.1\r\nHost: " + url.host +
         "\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n";
  for (const std::string& header : plan_.headers) out += header + "\r\n";
  out += token_header;
  if (!last_event_id.empty()) {
    out += "Last-Event-ID: ";
    out += last_event_id;
    out += "\r\n";
  }
  out += "\r\n";
  return out;
}

Result<void> Reader::create_rings() {
  const auto count = static_cast<std::uint32_t>(streams_.size());
  for (std::uint32_t first = 0; first < count; first += per_ring_) {
    auto ring = ClientRing::create({.slots = std::min(per_ring_, count - first)});
    if (!ring) return ring.error();
    rings_.push_back(std::move(ring.value()));
  }
  return {};
}

void Reader::run() {
  if (auto created = create_rings(); !created) return state_.fail(created.error().message);
  prctl(PR_SET_TIMERSLACK, 1UL);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) return state_.fail(system_error("epoll_create1", errno).message);
  for (std::uint32_t ring = 0; ring < rings_.size(); ++ring) {
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u32 = ring}};
    epoll_ctl(poller, EPOLL_CTL_ADD, rings_[ring]->bell(), &event);
  }
  std::vector<std::uint32_t> unfinished;  // rings that have more than their turn took
  const auto drain = [this, &unfinished](std::uint32_t ring) {
    const bool empty = rings_[ring]->drain(
        kDrainMax, [this] { now_ns_ = read_clock().mono_ns; },
        [this, ring](const ClientRing::Completion& completion) { handle(ring, completion); });
    if (!empty) unfinished.push_back(ring);
  };

  std::array<epoll_event, 64> ready{};
  std::vector<std::uint32_t> turn;
  while (!state_.stopping() && !state_.failed()) {
    now_ns_ = read_clock().mono_ns;
    open_some();
    if (state_.resuming() && !resuming_) resume_stalled();
    if (!paced_.empty()) receive_paced();
    if (state_.storming() && !storming_) begin_storm();
    if (!opened_again_) open_again();
    turn.swap(unfinished);
    unfinished.clear();
    const int count = epoll_wait(poller, ready.data(), static_cast<int>(ready.size()),
                                 turn.empty() ? wait_ms() : 0);
    for (int i = 0; i < count; ++i) turn.push_back(ready[static_cast<std::size_t>(i)].data.u32);
    for (const std::uint32_t ring : turn) drain(ring);
    // While a burst goes on, do not sleep between every two deliveries: waking costs both sides.
    // Connections that are being made would only take longer, each of their round trips.
    if (!turn.empty() && plan_.gather_us > 0 && connecting_ == 0) usleep(plan_.gather_us);
    turn.clear();
  }
  close(poller);
  rings_.clear();
  cpu_ns_ = thread_cpu_ns();
}

int Reader::wait_ms() const {
  const bool room = connecting_ < plan_.connecting_max;
  if (room && fresh_ < fresh_end_) return 0;
  std::uint64_t due_ns = now_ns_ + kWaitMs * kNsPerMs;
  if (room && !reopen_.empty()) due_ns = std::min(due_ns, reopen_.top().due_ns);
  if (!paced_.empty()) due_ns = std::min(due_ns, paced_.top().due_ns);
  return due_ns <= now_ns_ ? 0 : static_cast<int>((due_ns - now_ns_ + kNsPerMs - 1) / kNsPerMs);
}

void Reader::open_some() {
  while (connecting_ < plan_.connecting_max && !reopen_.empty() &&
         reopen_.top().due_ns <= now_ns_) {
    const std::uint32_t stream = reopen_.top().stream;
    reopen_.pop();
    open_neighbours(stream, 1);
  }
  if (fresh_ == fresh_end_ || connecting_ >= plan_.connecting_max) return;
  const std::uint32_t left_in_ring = per_ring_ - slot_of(fresh_);
  const std::uint32_t count =
      std::min({kOpenBatch, left_in_ring, fresh_end_ - fresh_, plan_.connecting_max - connecting_});
  open_neighbours(fresh_, count);
  fresh_ += count;
}

void Reader::open_neighbours(std::uint32_t first, std::uint32_t count) {
  std::array<int, kOpenBatch> descriptors{};
  std::uint32_t made = 0;
  for (; made < count; ++made) {
    const auto descriptor = sources_.make_socket(first_ + first + made, opened_again_);
    if (!descriptor) {
      state_.fail(descriptor.error().message);
      break;
    }
    descriptors[made] = descriptor.value();
    if (plan_.late_buffer_bytes > 0 && plan_.is_late(first_ + first + made)) {
      const auto bytes = static_cast<int>(plan_.late_buffer_bytes);
      setsockopt(descriptors[made], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
  }
  ClientRing& ring = ring_of(first);
  auto adopted =
      made == 0 ? Result<void>{} : ring.adopt(slot_of(first), {descriptors.data(), made});
  for (std::uint32_t i = 0; i < made; ++i) close(descriptors[i]);
  if (!adopted) return state_.fail(adopted.error().message);

  for (std::uint32_t stream = first; stream < first + made; ++stream) {
    streams_[stream].phase = Phase::connecting;
    if (streams_[stream].returning) returning_.begin(stream, now_ns_);
    const Url& url = plan_.events_of(first_ + stream);
    const std::string_view first_bytes =
        url.secure ? tls_->begin(stream, url.tls) : request_for(stream);
    ring.open(slot_of(stream), url.socket_address(), url.address_bytes, first_bytes,
              receive_mode(stream), receive_bytes(stream));
  }
  connecting_ += made;
  ring.submit();
}

std::string_view Reader::request_for(std::uint32_t stream) {
  const std::uint32_t topic = plan_.topic_of(first_ + stream);
  const bool goes_on =
      (streams_[stream].opened_before || streams_[stream].returning) && !ids_.of(stream).empty();
  const Url& url = plan_.events_of(first_ + stream);
  if (!goes_on && plan_.tokens.empty()) {
    const auto server = static_cast<std::size_t>(&url - plan_.events.data());
    return requests_[server * plan_.topic_count() + topic];
  }
  std::string& request = own_requests_[stream];
  request = build_request(url, topic, plan_.token_header(first_ + stream),
                          goes_on ? ids_.of(stream) : plan_.last_event_id);
  return request;
}

ClientRing::Receive Reader::receive_mode(std::uint32_t stream) const {
  return !resuming_ && plan_.is_late(first_ + stream) ? ClientRing::Receive::once
                                                      : ClientRing::Receive::until_end;
}

std::uint32_t Reader::receive_bytes(std::uint32_t stream) const {
  if (plan_.slow == 0 || !plan_.is_slow(first_ + stream)) return 0;
  return std::clamp(plan_.slow_bytes_per_second / kSlowReadsPerSecond, kSlowBytesMin,
                    kSlowBytesMax);
}

void Reader::receive_paced() {
  std::vector<bool> touched(rings_.size(), false);
  while (!paced_.empty() && (resuming_ || paced_.top().due_ns <= now_ns_)) {
    const std::uint32_t stream = paced_.top().stream;
    paced_.pop();
    ring_of(stream).receive(slot_of(stream), receive_mode(stream), receive_bytes(stream));
    touched[stream / per_ring_] = true;
  }
  for (std::size_t ring = 0; ring < rings_.size(); ++ring) {
    if (touched[ring]) rings_[ring]->submit();
  }
}

void Reader::resume_stalled() {
  resuming_ = true;
  for (const std::uint32_t stream : parked_) {
    ring_of(stream).receive(slot_of(stream), ClientRing::Receive::until_end);
  }
  parked_.clear();
  for (const auto& ring : rings_) ring->submit();
}

void Reader::open_again() {
  const auto total = static_cast<std::uint32_t>(streams_.size());
  if (plan_.replay > 0) {
    if (!state_.opening_again()) return;
    const std::string position = state_.position();
    for (std::uint32_t stream = fresh_; stream < total; ++stream) {
      streams_[stream].returning = true;
      ids_.set(stream, position);
      returning_.expect(stream, plan_.missed_of(plan_.topic_of(first_ + stream)));
    }
    fresh_end_ = total;
  } else {
    if (!storming_ || counters_.storm_closed.get() < total) return;
    if (plan_.storm_missed > 0 && !state_.opening_again()) return;
    fresh_ = 0;
  }
  opened_again_ = true;
  now_ns_ = read_clock().mono_ns;
  counters_.return_began_ns.set(now_ns_);
}

void Reader::begin_storm() {
  storming_ = true;
  for (const Stream& stream : streams_) {
    if (stream.phase != Phase::live) return state_.fail("a stream had ended before the storm");
  }
  counters_.storm_began_ns.set(now_ns_);
  for (std::uint32_t stream = 0; stream < streams_.size(); ++stream) {
    streams_[stream].closing = true;
    returning_.expect(stream, plan_.missed_of(plan_.topic_of(first_ + stream)));
    streams_[stream].phase = Phase::ending;
    ring_of(stream).shutdown(slot_of(stream));
  }
  for (const auto& ring : rings_) ring->submit();
}

void Reader::handle(std::uint32_t ring, const ClientRing::Completion& completion) {
  const std::uint32_t stream = ring * per_ring_ + completion.slot;
  switch (completion.step) {
    case ClientRing::Step::connect:
      if (tls_ != nullptr) tls_->end(stream, false);  // no fault of TLS
      [[fallthrough]];
    case ClientRing::Step::send:
      return connection_ended(stream, completion.result);
    case ClientRing::Step::shutdown:
      return;
    case ClientRing::Step::send_more:
      // Why it failed, if it did, is told by the receive.
      if (const auto error = tls_->sent(stream)) return connection_ended(stream, *error);
      return send_output(stream);
    case ClientRing::Step::receive:
      break;
  }
  if (completion.result > 0) take_input(stream, completion.bytes);
  if (completion.more) return;
  if (completion.result <= 0 && completion.result != -ENOBUFS) {
    return receive_ended(stream, completion.result);
  }
  const auto mode = receive_mode(stream);
  if (mode == ClientRing::Receive::once && streams_[stream].phase == Phase::live) {
    if (!plan_.is_slow(first_ + stream)) return parked_.push_back(stream);
    const auto received = static_cast<std::uint64_t>(std::max(completion.result, 0));
    paced_.push({now_ns_ + received * kNsPerSecond / plan_.slow_bytes_per_second, stream});
    return;
  }
  rings_[ring]->receive(completion.slot, mode, receive_bytes(stream));
}

void Reader::take_input(std::uint32_t stream, std::string_view bytes) {
  if (tls_ == nullptr || !tls_->has(stream)) return take_bytes(stream, bytes);
  Stream& self = streams_[stream];
  if (self.phase == Phase::ending) return;
  const auto outcome = tls_->feed(
      stream, bytes, [this, stream](std::string_view said) { take_bytes(stream, said); });
  switch (outcome) {
    case TlsStreams::Outcome::opened:
      tls_->write(stream, request_for(stream));
      own_requests_.erase(stream);
      break;
    case TlsStreams::Outcome::failed:
      tls_failed(stream);
      [[fallthrough]];
    case TlsStreams::Outcome::ended:
      send_output(stream);  // an alert
      if (self.phase == Phase::ending) return;
      self.phase = Phase::ending;
      return ring_of(stream).shutdown(slot_of(stream));
    case TlsStreams::Outcome::going_on:
      break;
  }
  send_output(stream);
}

/// Sends what TLS has to say. When it has nothing more and the head has been read, the connection
/// is all that the stream still needs.
void Reader::send_output(std::uint32_t stream) {
  const std::string_view output = tls_->take_output(stream);
  if (!output.empty()) return ring_of(stream).send_more(slot_of(stream), output);
  if (streams_[stream].phase != Phase::live || !tls_->has(stream)) return;
  tls_->settle(stream);
  if (const auto more = tls_->take_output(stream); !more.empty()) {
    ring_of(stream).send_more(slot_of(stream), more);
  }
}

void Reader::tls_failed(std::uint32_t stream) {
  const TlsStreams::Failure failure = tls_->failure(stream);
  if (!failure.hopeless && !streams_[stream].was_live) return;
  state_.fail("TLS with " + plan_.events_of(first_ + stream).host + ": " + failure.reason);
}

void Reader::take_bytes(std::uint32_t stream, std::string_view bytes) {
  Stream& self = streams_[stream];
  if (self.phase == Phase::ending) return;
  counters_.received_bytes.add(bytes.size());
  parser_.feed(self.parser, bytes,
               [this, stream](const Event& event) { take_event(stream, event); });
  switch (self.parser.phase) {
    case ParserState::Phase::head:
      return;
    case ParserState::Phase::ended:
    case ParserState::Phase::refused:
    case ParserState::Phase::malformed:
      self.phase = Phase::ending;
      rings_[stream / per_ring_]->shutdown(slot_of(stream));
      break;
    default:
      if (self.phase == Phase::live) return;
      self.phase = Phase::live;
      break;
  }
  if (self.was_live || self.parser.status != 200) return;
  became_live(stream);
  own_requests_.erase(stream);
}

void Reader::became_live(std::uint32_t stream) {
  Stream& self = streams_[stream];
  self.was_live = true;
  self.attempts = 0;
  if (self.opened_before) counters_.reconnects.add();
  self.opened_before = true;
  --connecting_;
  counters_.open.add();
  if (self.returning) look_whether_back(stream);
}

void Reader::look_whether_back(std::uint32_t stream) {
  if (!streams_[stream].was_live || !returning_.has_all(stream)) return;
  streams_[stream].returning = false;
  return_latency_.record(returning_.took_ns(stream, now_ns_));
  counters_.last_return_ns.set(now_ns_);
  counters_.returned.add();
}

void Reader::take_event(std::uint32_t stream, const Event& event) {
  const std::uint32_t global = first_ + stream;
  if (event.has_id && plan_.keeps_ids()) remember_id(stream, event.id);
  if (event.type == kGapName) {
    counters_.gaps.add();
    gaps_.tell(stream);
    return;
  }
  const auto stamp = find_stamp(event.data);
  if (!stamp || stamp->run != plan_.run || stamp->lane >= plan_.lanes()) {
    counters_.other_events.add();
    return;
  }
  const std::uint32_t topics = plan_.topics_of_lane(stamp->lane);
  if (topics > 1 && stamp->sequence % topics != plan_.topic_of(global)) {
    counters_.misrouted.add();
    return;
  }
  if (plan_.is_late(global)) return take_late_event(stream, *stamp, stamp->sequence / topics);
  const auto arrival = sequences_.arrive(stream, stamp->lane, stamp->sequence / topics);
  if (arrival == SequenceTable::Arrival::duplicate) {
    counters_.duplicates.add();
    return;
  }
  if (arrival == SequenceTable::Arrival::late) counters_.late.add();
  record_arrival(stream, *stamp);
}

void Reader::record_arrival(std::uint32_t stream, const Stamp& stamp) {
  counters_.deliveries.add();
  counters_.last_arrival_ns.set(now_ns_);
  if (missed_.holds(std::uint64_t{stamp.sequence} * plan_.publishers + stamp.lane)) {
    // How long it was missed says nothing of the server.
    if (!streams_[stream].returning) return;
    counters_.missed_arrived.add();
    returning_.arrived(stream);
    return look_whether_back(stream);
  }
  const bool of_topic = plan_.is_topic_lane(stamp.lane);
  if (of_topic) counters_.topic_deliveries.add();
  Latency& latency = of_topic ? topic_latency_ : latency_;
  const std::uint64_t took_ns = now_ns_ > stamp.sent_ns ? now_ns_ - stamp.sent_ns : 0;
  latency.record(took_ns, plan_.third_of(stamp.lane, stamp.sequence));
  if (plan_.stretch != nullptr && plan_.stretch->holds(stamp.sent_ns)) {
    latency.stretch.record(took_ns);
  }
}

void Reader::remember_id(std::uint32_t stream, std::string_view id) {
  if (id.size() > kIdBytesMax) {
    return state_.fail("an event's ID is longer than " + std::to_string(kIdBytesMax) + " bytes");
  }
  if (id.find('\0') != std::string_view::npos) return;
  ids_.set(stream, id);
  const bool is_sought = plan_.replay > 0 && first_ + stream == 0 && !state_.has_position();
  if (is_sought && !id.empty()) state_.tell_position(id);
}

void Reader::take_late_event(std::uint32_t stream, const Stamp& stamp, std::uint32_t index) {
  const bool slow = plan_.is_slow(first_ + stream);
  const std::uint32_t due = sequences_.due(stream, stamp.lane);
  const bool told = gaps_.take(stream, stamp.lane);
  switch (sequences_.arrive(stream, stamp.lane, index)) {
    case SequenceTable::Arrival::ahead:
      if (told) {
        (slow ? counters_.slow_skipped : counters_.stalled_skipped).add(index - due);
      } else {
        (slow ? counters_.slow_unannounced : counters_.stalled_unannounced).add(index - due);
      }
      break;
    case SequenceTable::Arrival::next:
      break;
    case SequenceTable::Arrival::late:  // was counted as jumped over
      return counters_.late.add();
    case SequenceTable::Arrival::duplicate:
      return counters_.duplicates.add();
  }
  if (!slow) return counters_.stalled_deliveries.add();
  counters_.slow_deliveries.add();
  slow_latency_.record(now_ns_ > stamp.sent_ns ? now_ns_ - stamp.sent_ns : 0);
}

void Reader::receive_ended(std::uint32_t stream, std::int32_t error) {
  if (tls_ == nullptr || !tls_->is_sending(stream)) return connection_ended(stream, error);
  tls_->end_when_sent(stream, error);
  ring_of(stream).shutdown(slot_of(stream));  // so that it does not wait for room
}

void Reader::connection_ended(std::uint32_t stream, std::int32_t error) {
  Stream& self = streams_[stream];
  std::string tls_reason;
  if (tls_ != nullptr && tls_->has(stream)) {
    tls_reason = tls_->failure(stream).reason;
    tls_->end(stream, self.phase != Phase::ending);
  }
  const std::uint16_t status = self.parser.status;
  const bool malformed = self.parser.phase == ParserState::Phase::malformed;
  const bool was_live = self.was_live;
  parser_.reset(self.parser);
  self.phase = Phase::waiting;
  self.was_live = false;
  own_requests_.erase(stream);
  if (was_live && self.closing) {
    self.closing = false;
    self.returning = true;
    self.opened_before = false;  // it does not count as reconnected
    counters_.open.sub();
    return counters_.storm_closed.add();
  }
  if (was_live) {
    counters_.open.sub();
    counters_.dropped.add();
    if (plan_.is_late(first_ + stream)) {
      (plan_.is_slow(first_ + stream) ? counters_.slow_dropped : counters_.stalled_dropped).add();
    }
    if (malformed) state_.fail("the server sent what is no chunked coding");
    if (plan_.reconnect) reopen_.push({now_ns_ + kRetryNs, stream});
    return;
  }
  --connecting_;
  counters_.opens_failed.add();
  if (error == -EADDRNOTAVAIL) {
    return state_.fail(
        "ports ran out: no free one towards " + plan_.events_of(first_ + stream).host + " after " +
        std::to_string(counters_.open.get()) +
        " streams; widen net.ipv4.ip_local_port_range or give more --source addresses");
  }
  if (++self.attempts < kAttemptsMax) {
    reopen_.push({now_ns_ + kRetryNs * self.attempts, stream});
    return;
  }
  std::string reason = "a stream did not open in " + std::to_string(kAttemptsMax) + " attempts: ";
  if (malformed) {
    reason += "the answer was no event stream";
  } else if (!tls_reason.empty()) {
    reason += "TLS: " + tls_reason;
  } else if (status != 0) {
    reason += "answered " + std::to_string(status);
  } else {
    reason += error == 0 ? "closed before an answer"
                         : system_error(plan_.events_of(first_ + stream).host, error).message;
  }
  state_.fail(std::move(reason));
}

std::uint64_t Reader::missing(const Traffic& traffic,
                              std::span<const std::uint64_t> published) const {
  std::uint64_t count = 0;
  for (std::uint32_t stream = 0; stream < streams_.size(); ++stream) {
    if (plan_.is_late(first_ + stream)) continue;
    const std::uint32_t topic = plan_.topic_of(first_ + stream);
    for (std::uint32_t i = 0; i < traffic.lanes; ++i) {
      const std::uint32_t lane = traffic.first_lane + i;
      count += sequences_.missing(stream, lane, plan_.share_of_lane(lane, topic, published[i]));
    }
  }
  return count;
}

}  // namespace ringcast::load
