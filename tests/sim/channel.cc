#include "channel.h"

#include <algorithm>
#include <utility>

#include "ringcast/tls/record_layer.h"

#include "tls_site.h"

namespace ringcast::sim {
namespace {

// A header, and what TLS 1.2 allows above the content.
constexpr std::size_t kRecordBytesMax = tls::kHeaderBytes + tls::kPlaintextBytesMax + 2048;
// Far below what a server takes between two of its own records.
constexpr std::uint64_t kKeyUpdatesMax = 16;
constexpr int kFlood = 100;  // far above

}  // namespace

Channel::Channel(Rules& rules, Network& network, ClientSide& user)
    : rules_(rules), world_(rules.world), network_(network), user_(user) {}

void Channel::fail(const std::string& what) const {
  world_.fail("connection %u under TLS: %s", connection_->number(), what.c_str());
}

// ── Saying ──────────────────────────────────────────────────────────────────────────────────────

Connection& Channel::open(int listener, const Line& line, const std::optional<TlsKind>& kind) {
  connection_ = &network_.connect(listener, line, *this);
  client_.reset();
  waiting_text_.clear();
  text_written_ = sent_ = read_ = key_updates_said_ = key_updates_asked_ = 0;
  written_.clear();
  stops_ = muted_ = heard_text_ = false;
  kept_back_.reset();
  fault_ = Fault::none;
  incoming_.clear();
  key_.reset();
  asked_.clear();
  if (kind) {
    constexpr double kOffersTicket = 0.6;
    SSL_SESSION* const ticket = world_.random.chance(kOffersTicket) ? ticket_.get() : nullptr;
    client_ = std::make_unique<TlsClient>(rules_.tls->client_context(), *kind, ticket);
    connection_->keep_answers();
    send_output();
  }
  return *connection_;
}

void Channel::write(std::string_view text) {
  text_written_ += text.size();
  if (!secure()) {
    send(std::string(text));
    written_ = {{text_written_, sent_}};
    return;
  }
  waiting_text_ += text;
  if (client_->state() == TlsClient::State::open) say_waiting_text();
}

void Channel::say_waiting_text() {
  if (waiting_text_.empty() || muted_) return;
  constexpr double kKeyBefore = 0.1;
  constexpr double kKeyBehind = 0.2;
  Random& random = world_.random;
  if (random.chance(kKeyBefore)) change_key();
  client_->write(std::exchange(waiting_text_, {}));
  send_output();
  written_.push_back({text_written_, sent_});
  connection_->request_ends_at(sent_);
  if (random.chance(kKeyBehind)) change_key();
}

void Channel::send_output() {
  std::string output = client_->take_output();
  if (!muted_) send(std::move(output));
}

void Channel::send(std::string bytes) {
  if (bytes.empty()) return;
  sent_ += bytes.size();
  if (kept_back_) {
    *kept_back_ += bytes;
    return;
  }
  if (std::exchange(stops_, false)) {
    const std::size_t cut = world_.random.below(bytes.size());
    kept_back_ = bytes.substr(cut);
    bytes.resize(cut);
    world_.trace("connection %u: keeps back %zu bytes", connection_->number(), kept_back_->size());
  }
  connection_->write(bytes);
}

void Channel::go_on() {
  stops_ = false;
  if (kept_back_) connection_->write(*std::exchange(kept_back_, std::nullopt));
}

void Channel::half_close() {
  if (talks() && world_.random.chance(0.5)) say_close();
  if (secure() && fault_ == Fault::none) fault_ = Fault::may_end;
  go_on();
  connection_->half_close();
}

void Channel::leave() {
  if (talks() && world_.random.chance(0.5)) say_close();
  connection_->leave();
}
void Channel::reset() {
  connection_->reset();
}
void Channel::vanish() {
  connection_->vanish();
}

// ── Saying more ─────────────────────────────────────────────────────────────────────────────────

void Channel::change_key() {
  if (!talks() || !client_->is_tls13() || key_updates_said_ == kKeyUpdatesMax) return;
  const bool asks = world_.random.chance(0.5);
  ++key_updates_said_;
  key_updates_asked_ += asks ? 1 : 0;
  client_->key_update(asks);
  send_output();
  if (asks) asked_.push_back(sent_);
  ++rules_.met[asks ? "KeyUpdates that are answered" : "KeyUpdates"];
}

void Channel::stop_inside_record() {
  if (talks() && !kept_back_) stops_ = true;
}

void Channel::say_close() {
  if (!talks()) return;
  client_->say_close();
  send_output();
  muted_ = true;
  if (fault_ == Fault::none) fault_ = Fault::closed;
  ++rules_.met["closed by the client's close_notify"];
}

void Channel::say_too_much() {
  if (!talks()) return;
  client_->write("GET / HTTP/1.1\r\nHost: sim\r\n\r\n");
  send_output();
  if (fault_ == Fault::none) fault_ = Fault::may_end;
}

void Channel::misbehave() {
  if (!talks()) return;
  go_on();
  Random& random = world_.random;
  switch (random.below(4)) {
    case 0: {
      client_->write("x");
      std::string record = client_->take_output();
      const std::size_t at = random.between(tls::kHeaderBytes, record.size() - 1);
      record[at] = static_cast<char>(record[at] ^ (1 << random.below(8)));
      send(std::move(record));
      fault_ = Fault::broken;
      ++rules_.met["records with a changed bit"];
      break;
    }
    case 1:
      send(std::string("\x15\x03\x03\x00\x02\x02\x28", 7));  // an alert in clear text
      fault_ = Fault::broken;
      break;
    case 2:
      if (!client_->is_tls13()) return;
      for (int i = 0; i < kFlood; ++i) client_->key_update(false);
      send_output();
      if (fault_ == Fault::none) fault_ = Fault::may_end;
      break;
    default:
      connection_->half_close();
      if (fault_ == Fault::none) fault_ = Fault::may_end;
  }
  muted_ = true;
}

// ── Hearing ─────────────────────────────────────────────────────────────────────────────────────

void Channel::on_bytes(std::string_view bytes) {
  if (!secure()) {
    user_.on_bytes(bytes);
    return;
  }
  incoming_ += bytes;
  while (incoming_.size() >= tls::kHeaderBytes && !world_.failed()) {
    const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(incoming_[i]); };
    const std::size_t size = tls::kHeaderBytes + (std::size_t{byte(3)} << 8 | byte(4));
    if (size > kRecordBytesMax) fail("a record of " + std::to_string(size) + " bytes");
    if (incoming_.size() < size) return;
    const std::string record = incoming_.substr(0, size);
    incoming_.erase(0, size);
    read_ += size;
    on_record(record);
  }
}

void Channel::on_record(std::string_view record) {
  using State = TlsClient::State;
  const State before = client_->state();
  if (before == State::closed || before == State::alerted) fail("a record behind the last one");
  const auto sealed = rules_.tls->cipher().on_read(record);
  if (!sealed && key_) fail("a record that no shard has sealed");
  if (sealed) key_ = sealed->key;

  std::string text;
  const std::uint64_t key_updates = client_->key_updates();
  client_->feed(record, text);
  const State state = client_->state();
  if (before == State::handshaking && state == State::open) {
    world_.trace("connection %u: %s, %s%s", connection_->number(), client_->version(),
                 client_->suite(), client_->resumed() ? ", resumed" : "");
    ++rules_.met[client_->resumed() ? "handshakes resumed" : "full handshakes"];
  }
  if (state == State::broken) fail("cannot be read: " + client_->reason());
  if (state == State::alerted && fault_ == Fault::none) fail("an alert: " + client_->reason());
  if (auto ticket = client_->take_ticket()) ticket_ = std::move(ticket);
  check_key_updates(client_->key_updates() - key_updates, !text.empty(),
                    sealed ? std::optional(sealed->sealed_ns) : std::nullopt);
  if (world_.failed()) return;
  if (!muted_) send_output();
  if (state == State::open) say_waiting_text();
  if (text.empty()) return;
  if (!std::exchange(heard_text_, true)) connection_->answer_begins_before(read_);
  user_.on_bytes(text);
}

void Channel::check_key_updates(std::uint64_t answers, bool has_text,
                                const std::optional<std::uint64_t>& sealed_ns) {
  if (answers > key_updates_asked_) {
    fail("changes the key without being asked");
    return;
  }
  key_updates_asked_ -= answers;
  const auto taken_ns = [this] { return connection_->taken_ns(asked_.front()); };
  if (answers > 0) {
    // One for all that had come until then.
    const std::uint64_t then_ns = sealed_ns.value_or(world_.timeline.now());
    while (!asked_.empty() && taken_ns() && *taken_ns() <= then_ns) asked_.pop_front();
  } else if (has_text && sealed_ns && !asked_.empty() && taken_ns() && *taken_ns() < *sealed_ns) {
    fail("is sent data although it has asked for another key before");
  }
}

void Channel::on_end(bool clean) {
  if (secure()) check_last_words(clean);
  user_.on_end(clean);  // may open another connection
}

void Channel::check_last_words(bool clean) {
  switch (client_->state()) {
    case TlsClient::State::closed:
      ++rules_.met["ends with close_notify"];
      return;
    case TlsClient::State::alerted:
      ++rules_.met["ends with an alert"];
      return;
    default:
      break;
  }
  if (rules_.draining && !heard_text_) return;  // a drain does not wait for handshakes
  if (clean && !incoming_.empty()) fail("ended inside a record");
  if (clean && fault_ != Fault::may_end) fail("ended without a last record");
  const bool answered = fault_ == Fault::closed || fault_ == Fault::broken;
  if (answered && key_ && !connection_->ever_held_back())
    fail("was cut off without an answer to what it did");
}

// ── At rest ─────────────────────────────────────────────────────────────────────────────────────

bool Channel::server_took(std::uint64_t text_bytes) const {
  const auto found = std::find_if(written_.begin(), written_.end(),
                                  [&](const Written& w) { return w.text_end >= text_bytes; });
  if (found == written_.end()) return false;
  // Of a record nothing can be read before it is whole.
  const std::uint64_t needed =
      secure() ? found->wire_end : found->wire_end - (found->text_end - text_bytes);
  return connection_->bytes_taken() >= needed;
}

void Channel::check_all_read() const {
  if (!key_ || ends_by_client()) return;
  const auto oldest_ns = rules_.tls->cipher().oldest_unread_ns(*key_);
  if (oldest_ns && world_.timeline.now() - *oldest_ns > rules_.patience_ns())
    fail("was not sent what was sealed for it");
}

void Channel::check_fault_ended() const {
  if (fault_ != Fault::closed && fault_ != Fault::broken) return;
  if (kept_back_ || connection_->bytes_taken() < sent_) return;
  fail(fault_ == Fault::closed ? "is still open after its close_notify"
                               : "is still open although it sent what is no record");
}

}  // namespace ringcast::sim
