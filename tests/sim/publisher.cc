#include "publisher.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace ringcast::sim {
namespace {

std::string hexadecimal(std::size_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "%zx", value);
  return text;
}

}  // namespace

Publisher::Publisher(Rules& rules, Network& network, std::uint32_t number,
                     const std::optional<TlsKind>& tls)
    : rules_(rules),
      world_(rules.world),
      channel_(rules, network, *this),
      number_(number),
      tls_(tls) {}

void Publisher::fail(const std::string& what) {
  world_.fail("publisher %u (connection %u): %s", number_,
              connection_ == nullptr ? 0 : connection_->number(), what.c_str());
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────

void Publisher::open(int listener, const Line& line) {
  connection_ = &channel_.open(listener, line, tls_);
  reader_.emplace(*this);
  outstanding_.clear();
  sent_bytes_ = 0;
  told_to_close_ = half_closed_ = dawdles_ = false;
  dawdles_since_ns_ = 0;
  newest_.reset();
}

bool Publisher::says_no_more() const {
  return half_closed_ || dawdles_ || told_to_close_ || channel_.ends_by_client();
}

void Publisher::send(std::string text, Outstanding request) {
  sent_bytes_ += text.size();
  request.end = sent_bytes_;
  // A server that is short of room ends connections without a request: at once when they had one
  // before, after a second when they never did. What is on its way then crosses that end
  // (RFC 9112, section 9.5), so the client has to send it again.
  constexpr std::uint64_t kSilentNs = 1'000'000'000;
  const bool silent = connection_->accepted_ns() != 0 &&
                      world_.timeline.now() - connection_->accepted_ns() >= kSilentNs / 2;
  const bool slow_to_begin = channel_.secure() && rules_.setup.scarce_slots;
  request.after_pause = answers_ > 0 || !outstanding_.empty() || silent || slow_to_begin;
  outstanding_.push_back(std::move(request));
  channel_.write(text);
}

void Publisher::publish(Publication& publication) {
  if (says_no_more()) return;
  std::string text = "POST /publish HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n";
  const std::string& body = publication.body;
  if (world_.random.chance(0.2)) {
    const std::size_t cut = world_.random.between(1, body.size() - 1);
    text += "Transfer-Encoding: chunked\r\n\r\n" + hexadecimal(cut) + "\r\n" + body.substr(0, cut) +
            "\r\n" + hexadecimal(body.size() - cut) + "\r\n" + body.substr(cut) + "\r\n0\r\n\r\n";
  } else {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  Outstanding request;
  request.publication = &publication;
  request.statuses =
      publication.refusal != 0 ? std::vector{publication.refusal} : std::vector{204, 503};
  send(std::move(text), std::move(request));
}

void Publisher::ask() {
  if (says_no_more()) return;
  Outstanding request;
  std::string line;
  switch (world_.random.below(5)) {
    case 0:
      line = "GET /nothing HTTP/1.1";
      request.statuses = {404};
      break;
    case 1:
      line = "DELETE /publish HTTP/1.1";
      request.statuses = {405};
      break;
    case 2:
      line = "OPTIONS /publish HTTP/1.1";
      request.statuses = {204};
      break;
    case 3:
      line = "GET / HTTP/1.1";
      request.statuses = {200};
      break;
    default:
      line = "GET /events?topic= HTTP/1.1";
      request.statuses = {400};
  }
  send(line + "\r\nHost: sim\r\n\r\n", std::move(request));
}

void Publisher::dawdle() {
  if (says_no_more()) return;
  dawdles_ = true;
  static constexpr std::string_view kHead = "GET /events HTTP/1.1\r\nHost: sim\r\n";
  channel_.write(kHead.substr(0, world_.random.between(1, kHead.size() - 1)));
  dawdles_since_ns_ = world_.timeline.now();
}

void Publisher::half_close() {
  half_closed_ = true;
  channel_.half_close();
}

void Publisher::reset() {
  channel_.reset();
  forget();
}

void Publisher::fidget() {
  constexpr double kEnds = 0.1;
  Random& random = world_.random;
  if (!random.chance(kEnds)) {
    channel_.change_key();
  } else if (random.chance(0.5)) {
    channel_.say_close();
  } else {
    channel_.misbehave();
  }
}

void Publisher::forget() {
  connection_ = nullptr;
  answers_ = 0;
  outstanding_.clear();
}

// ── Being answered ──────────────────────────────────────────────────────────────────────────────

void Publisher::on_bytes(std::string_view bytes) {
  reader_->feed(bytes);
}
void Publisher::on_malformed(const std::string& why) {
  fail("malformed answer: " + why);
}
void Publisher::on_body(std::string_view bytes) {
  body_ += bytes;
}

void Publisher::on_head(const ResponseHead& head) {
  body_.clear();
  status_ = head.status;
  if (head.closes()) told_to_close_ = true;
  const bool overloaded = head.status == 503 && (rules_.setup.scarce_slots || rules_.draining);
  if (outstanding_.empty()) {
    if (!(dawdles_ && head.status == 408))
      fail("an answer to no request: " + std::to_string(head.status));
    return;
  }
  const Outstanding& request = outstanding_.front();
  if (std::find(request.statuses.begin(), request.statuses.end(), head.status) ==
          request.statuses.end() &&
      !overloaded) {
    fail("answered " + std::to_string(head.status) + ", not " +
         std::to_string(request.statuses.front()));
    return;
  }
  if (head.status == 503 && head.header("retry-after").empty()) fail("503 without Retry-After");
  if (request.publication == nullptr) return;
  const std::string_view id = head.header("event-id");
  rules_.model.on_answer(*request.publication, head.status, id);
  if (head.status != 204) return;
  const auto& acknowledged = request.publication->acknowledged;
  if (newest_ && acknowledged && *acknowledged <= *newest_) {
    fail("acknowledged " + std::string(id) + " after " + to_string(*newest_));
  }
  newest_ = acknowledged;
}

void Publisher::on_message_end() {
  if (status_ >= 400 && !body_.starts_with(R"({"error":")"))
    fail("an error without a reason: " + body_);
  world_.trace("publisher %u: answered %d %s", number_, status_, body_.substr(0, 80).c_str());
  if (!outstanding_.empty()) outstanding_.pop_front();
  ++answers_;
}

void Publisher::on_end(bool clean) {
  world_.trace("publisher %u: connection %u ended (%s), %zu unanswered", number_,
               connection_->number(), clean ? "FIN" : "reset", outstanding_.size());
  if (reader_->unfinished() && clean && !channel_.gives_up_answers())
    fail("ended inside an answer");
  const bool excused = told_to_close_ || rules_.draining || channel_.gives_up_answers() ||
                       (!outstanding_.empty() && outstanding_.front().after_pause) ||
                       connection_->lost_bytes() || connection_->ever_held_back();
  if (!excused && !outstanding_.empty() && channel_.server_took(outstanding_.front().end)) {
    fail("the connection was closed without an answer to a whole request");
  }
  connection_->leave();
  forget();
}

// ── At rest ─────────────────────────────────────────────────────────────────────────────────────

void Publisher::check_answered() {
  if (!connected()) return;
  channel_.check_fault_ended();
  if (rules_.setup.scarce_slots || channel_.ends_by_client()) return;
  if (!outstanding_.empty() && !half_closed_) {
    fail(std::to_string(outstanding_.size()) + " requests were never answered");
  }
}

void Publisher::check_deadline() {
  if (!connected() || !dawdles_ || connection_->accepted_ns() == 0) return;
  const shard::ShardOptions& options = rules_.setup.shard;
  const std::uint32_t handshake_seconds = channel_.secure() ? options.tls.handshake_seconds : 0;
  const std::uint64_t limit_ns =
      (options.limits.header_seconds + handshake_seconds + 3) * kNsPerSecond + rules_.patience_ns();
  if (world_.timeline.now() > std::max(connection_->accepted_ns(), dawdles_since_ns_) + limit_ns) {
    fail("half a head is waited for without end");
  }
}

}  // namespace ringcast::sim
