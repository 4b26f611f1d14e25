#include "network.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ringcast/base/assert.h"
#include "ringcast/base/time.h"

namespace ringcast::sim {

Connection::Connection(World& world, std::uint32_t number, const Line& line, ClientSide& client)
    : world_(world), number_(number), line_(line), client_(client) {}

// ── The client's end ────────────────────────────────────────────────────────────────────────────

void Connection::write(std::string_view bytes) {
  if (client_gone_ || vanished_ || fin_sent_) return;
  std::uint64_t when_ns = std::max(world_.timeline.now(), last_arrival_ns_);
  while (!bytes.empty()) {
    const auto size =
        std::min<std::size_t>(bytes.size(), world_.random.skewed(line_.piece_bytes_max));
    when_ns += world_.random.skewed(line_.piece_delay_ns_max);
    world_.timeline.at(when_ns,
                       [this, piece = std::string(bytes.substr(0, size))] { arrive(piece); });
    bytes.remove_prefix(size);
  }
  last_arrival_ns_ = when_ns;
}

void Connection::arrive(const std::string& piece) {
  if (dead_ || vanished_) return;
  if (server_closed_) {
    reset_client();  // nobody is there any more
    return;
  }
  received_ += piece;
  if (server_ != nullptr) server_->on_readable(slot_);
}

void Connection::half_close() {
  if (fin_sent_ || client_gone_ || vanished_) return;
  fin_sent_ = true;
  last_arrival_ns_ = std::max(world_.timeline.now(), last_arrival_ns_) +
                     world_.random.skewed(line_.piece_delay_ns_max);
  world_.timeline.at(last_arrival_ns_, [this] {
    if (dead_ || vanished_) return;
    fin_received_ = true;
    if (server_ != nullptr && !server_closed_) server_->on_readable(slot_);
  });
}

void Connection::leave() {
  if (client_gone_) return;
  if (!outbound_.empty()) {
    reset();
    return;
  }
  half_close();
  client_gone_ = true;
  reading_ = false;
}

void Connection::reset() {
  if (client_gone_) return;
  client_gone_ = true;
  reading_ = false;
  if (vanished_) return;
  world_.timeline.after(world_.random.skewed(line_.piece_delay_ns_max),
                        [this] { deliver_end(ECONNRESET); });
}

void Connection::vanish() {
  if (client_gone_ || vanished_) return;
  vanished_ = true;
  client_gone_ = true;
  reading_ = false;
  constexpr std::uint64_t kGiveUpMinNs = 2 * kNsPerSecond;
  constexpr std::uint64_t kGiveUpMaxNs = 30 * kNsPerSecond;
  world_.timeline.after(world_.random.between(kGiveUpMinNs, kGiveUpMaxNs),
                        [this] { deliver_end(ETIMEDOUT); });
}

void Connection::deliver_end(int error) {
  if (dead_ || server_closed_) return;
  dead_ = true;
  error_ = error;
  outbound_.clear();
  held_ = 0;
  if (server_ == nullptr) return;
  server_->on_readable(slot_);
  server_->on_writable(slot_);
}

void Connection::set_reading(bool reading) {
  if (client_gone_) return;
  reading_ = reading;
  schedule_read();
}

void Connection::schedule_read() {
  if (!reading_ || read_scheduled_ || end_told_) return;
  if (arrived_bytes() == 0 && !server_fin_ && !server_reset_) return;
  read_scheduled_ = true;
  world_.timeline.after(world_.random.skewed(line_.read_delay_ns_max), [this] { read_now(); });
}

void Connection::read_now() {
  read_scheduled_ = false;
  if (!reading_ || end_told_) return;
  if (arrived_bytes() > 0) {
    const auto size =
        std::min<std::size_t>(arrived_bytes(), world_.random.skewed(line_.read_bytes_max));
    const std::string bytes = outbound_.substr(0, size);
    outbound_.erase(0, size);
    client_.on_bytes(bytes);
    if (server_ != nullptr && !server_closed_) server_->on_writable(slot_);
  } else if (server_reset_ || server_fin_) {
    end_told_ = true;
    const bool clean = !server_reset_;
    if (server_reset_) client_gone_ = true;
    client_.on_end(clean);
  }
  schedule_read();
}

// ── The server's end ────────────────────────────────────────────────────────────────────────────

void Connection::attach(ServerSide& server, std::uint32_t slot) {
  RC_ASSERT(server_ == nullptr);
  server_ = &server;
  slot_ = slot;
  accepted_ns_ = world_.timeline.now();
}

std::string Connection::read(std::size_t bytes) {
  std::string result = received_.substr(0, bytes);
  received_.erase(0, result.size());
  return result;
}

std::optional<int> Connection::receive_end() {
  if (!received_.empty()) return std::nullopt;
  if (error_ != 0) return std::exchange(error_, 0);
  if (dead_ || fin_received_) return 0;
  return std::nullopt;
}

void Connection::hold(std::size_t bytes) {
  constexpr std::uint64_t kHeldNs = 200 * kNsPerMs;
  held_ += bytes;
  world_.timeline.after(kHeldNs, [this, hold = ++holds_] {
    if (hold != holds_) return;
    // To the kernel that is all the same; to a client whose bytes lay here for nothing it is not.
    if (!ever_held_back_ && !dead_ && !client_gone_) {
      world_.fail("connection %u: nothing followed bytes that were to leave with the next",
                  number_);
    }
    let_go();
  });
}

void Connection::let_go() {
  held_ = 0;
  ++holds_;
  schedule_read();
}

int Connection::take(std::string_view bytes, uring::Push push) {
  RC_ASSERT(!server_closed_);
  answered_ = true;
  answer_in_this_turn_ = true;
  if (error_ != 0) {
    ever_held_back_ = true;
    return -std::exchange(error_, 0);
  }
  if (dead_ || server_fin_) {
    ever_held_back_ = true;
    return -EPIPE;
  }
  if (client_gone_ && !vanished_) {
    // Nobody is there: the bytes leave, and a reset comes back.
    world_.timeline.after(world_.random.skewed(line_.piece_delay_ns_max),
                          [this] { deliver_end(ECONNRESET); });
    return static_cast<int>(bytes.size());
  }
  std::size_t size = std::min(bytes.size(), room());
  if (!line_.fair) {
    const Nastiness& nasty = world_.nasty;
    if (world_.random.chance(nasty.failed_send)) {
      ever_held_back_ = send_failed_ = true;
      return -ENOMEM;
    }
    if (world_.random.chance(nasty.refused_send)) size = 0;
    if (size > 1 && world_.random.chance(nasty.short_send))
      size = world_.random.between(1, size - 1);
  }
  if (size < bytes.size()) ever_held_back_ = true;
  if (size == 0) return -EAGAIN;
  bytes_sent_ += size;
  outbound_ += bytes.substr(0, size);
  if (push == uring::Push::with_next) {
    hold(size);
  } else {
    left_together_ = left_together_ || held_ > 0;
    let_go();
  }
  return static_cast<int>(size);
}

bool Connection::writable() const {
  // As the kernel sees it: a third of the buffer is free, or there is an error to collect.
  return dead_ || server_fin_ || room() * 3 >= line_.window_bytes;
}

void Connection::server_shutdown() {
  server_fin_ = true;
  let_go();
}

void Connection::server_close(bool reset) {
  RC_ASSERT(!server_closed_);
  server_closed_ = true;
  if (server_fin_ && fin_received_ && received_.empty()) return;
  if (reset || !received_.empty()) {
    reset_client();
  } else {
    server_shutdown();
  }
}

void Connection::reset_client() {
  server_reset_ = true;
  const std::size_t arrived = world_.random.between(0, outbound_.size());
  lost_bytes_ = lost_bytes_ || arrived < outbound_.size();
  outbound_.resize(arrived);
  let_go();
}

// ── What the log kept ───────────────────────────────────────────────────────────────────────────

void Connection::note_request_bytes(std::size_t bytes, const Kept& kept) {
  if (!answered_ || bytes_taken_ < request_end_) kept_at_request_ = kept;
  bytes_taken_ += bytes;
  taken_.push_back({bytes_taken_, world_.timeline.now()});
}

std::optional<std::uint64_t> Connection::taken_ns(std::uint64_t bytes) const {
  const auto found = std::find_if(taken_.begin(), taken_.end(),
                                  [bytes](const Taken& taken) { return taken.bytes >= bytes; });
  return found == taken_.end() ? std::nullopt : std::optional(found->when_ns);
}

void Connection::note_turn_end(const Kept& kept) {
  if (!answer_in_this_turn_) return;
  answer_in_this_turn_ = false;
  if (answers_kept_) answers_.push_back({bytes_sent_, kept});
  if (!answer_noted_) kept_at_answer_ = kept;
  answer_noted_ = true;
}

void Connection::answer_begins_before(std::uint64_t bytes) {
  const auto found = std::find_if(answers_.begin(), answers_.end(),
                                  [bytes](const Answer& answer) { return answer.bytes >= bytes; });
  RC_ASSERT(found != answers_.end());
  kept_at_answer_ = found->kept;
  answers_kept_ = false;
  answers_ = {};
}

// ── Listeners ───────────────────────────────────────────────────────────────────────────────────

int Network::listen() {
  listeners_.emplace_back();
  return kFirstListener + static_cast<int>(listeners_.size()) - 1;
}

void Network::close_listener(int listener) {
  Listener& at = listeners_[static_cast<std::size_t>(listener - kFirstListener)];
  at.open = false;
  at.server = nullptr;
  for (Connection* connection : at.waiting) connection->server_close(true);
  at.waiting.clear();
}

Connection& Network::connect(int listener, const Line& line, ClientSide& client) {
  connections_.push_back(std::make_unique<Connection>(
      world_, static_cast<std::uint32_t>(connections_.size()), line, client));
  Connection& connection = *connections_.back();
  world_.timeline.after(
      world_.random.skewed(line.piece_delay_ns_max), [this, listener, &connection] {
        Listener& at = listeners_[static_cast<std::size_t>(listener - kFirstListener)];
        if (!at.open) {
          connection.server_close(true);
          return;
        }
        at.waiting.push_back(&connection);
        if (at.server != nullptr) at.server->on_backlog(listener);
      });
  return connection;
}

void Network::watch(int listener, ServerSide& server) {
  listeners_[static_cast<std::size_t>(listener - kFirstListener)].server = &server;
}

Connection* Network::take_waiting(int listener) {
  Listener& at = listeners_[static_cast<std::size_t>(listener - kFirstListener)];
  if (at.waiting.empty()) return nullptr;
  Connection* connection = at.waiting.front();
  at.waiting.pop_front();
  return connection;
}

void Network::put_back(int listener, Connection& connection) {
  listeners_[static_cast<std::size_t>(listener - kFirstListener)].waiting.push_front(&connection);
}

}  // namespace ringcast::sim
