#include "redis_appender.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include "ringcast/base/assert.h"

#include "redis_reply.h"
#include "redis_tail.h"
#include "redis_words.h"

namespace ringcast::hub {
namespace {

// What a reply answers: the upper byte. Below it the number of the publication or of the client.
constexpr int kTagShift = 56;
enum class Asked : std::uint8_t { append, client, run, kill, end_of_stream, aside };

constexpr std::uint64_t tag_of(Asked asked, std::uint64_t number = 0) {
  return static_cast<std::uint64_t>(asked) << kTagShift | number;
}

constexpr std::size_t kZombiesMax = 16;

std::string_view error_of(const redisReply* reply) {
  return {reply->str, reply->len};
}

}  // namespace

std::string_view RedisAppender::Item::event() const {
  return std::string_view(bytes).substr(0, event_bytes);
}
std::string_view RedisAppender::Item::topic() const {
  return std::string_view(bytes).substr(event_bytes, topic_bytes);
}
std::string_view RedisAppender::Item::data() const {
  return std::string_view(bytes).substr(event_bytes + topic_bytes);
}

RedisAppender::RedisAppender(const RedisStoreOptions& options, const RedisAddress& address,
                             const RedisKeys& keys, RedisConnection& commands,
                             const RedisTail& tail, EventSink& sink, RedisCounters& counters,
                             const Time& now)
    : keys_(keys),
      max_events_(std::to_string(options.redis.max_events)),
      address_(address),
      items_max_(options.queue_events_max),
      bytes_max_(options.queue_bytes_max),
      timeout_ns_(options.redis.publish_timeout_ms * kNsPerMs),
      instance_(options.instance),
      commands_(commands),
      tail_(tail),
      sink_(sink),
      counters_(counters),
      now_(now),
      late_sign_outs_(keys, max_events_, commands, now) {}

void RedisAppender::append(const Ticket& ticket, const Publication& publication) {
  Item item{.ticket = ticket,
            .has_retry = publication.retry_ms.has_value(),
            .retry_ms = publication.retry_ms.value_or(0),
            .event_bytes = static_cast<std::uint32_t>(publication.event.size()),
            .topic_bytes = static_cast<std::uint32_t>(publication.topic.size())};
  item.bytes.reserve(publication.event.size() + publication.topic.size() + publication.data.size());
  item.bytes.append(publication.event).append(publication.topic).append(publication.data);
  take(std::move(item));
}

void RedisAppender::sign_out(const Ticket& ticket, std::string_view topic, const SignOut& what) {
  Item item{.ticket = ticket,
            .topic_bytes = static_cast<std::uint32_t>(topic.size()),
            .bytes = std::string(topic) + sign_out_text(what),
            .sign_out = what};
  take(std::move(item));
}

void RedisAppender::take(Item item) {
  if (closed_ || unanswered_ >= items_max_ || unanswered_bytes_ + item.cost() > bytes_max_) {
    counters_.not_taken.add();
    sink_.answer(item.ticket, {.outcome = Outcome::not_taken});
    return;
  }
  item.deadline_ns = now_.mono_ns + timeout_ns_;
  ++unanswered_;
  unanswered_bytes_ += item.cost();
  items_.push_back(std::move(item));
  show_queue();
  send_queued();
}

RedisAppender::Item* RedisAppender::find(std::uint64_t number) {
  if (number < base_ || number - base_ >= items_.size()) return nullptr;
  return &items_[number - base_];
}

bool RedisAppender::can_send() const {
  return commands_.ready() && fence_state_ == Fence::none && in_flight_.size() < kInFlightMax &&
         in_flight_bytes_ < kInFlightBytesMax;
}

void RedisAppender::send_queued() {
  for (; next_send_ < base_ + items_.size(); ++next_send_) {
    Item& item = items_[next_send_ - base_];
    if (item.state != State::queued) continue;
    if (!can_send()) return;
    send(next_send_, item);
  }
}

void RedisAppender::send(std::uint64_t number, Item& item) {
  item.state = State::sent;
  item.holes = tail_.holes();
  sent_here_ = true;
  in_flight_.push_back(item.cost());
  in_flight_bytes_ += item.cost();

  if (item.is_sign_out()) {
    send_to_set(commands_, keys_, item.topic(), item.sign_out, now_, *this, tag_of(Asked::aside));
  }
  const std::string nonce = to_string(Nonce{.instance = instance_, .number = number});
  std::array<char, 10> retry_text;
  words_.assign({"XADD", keys_.stream, "MAXLEN", "~", max_events_, "*"});
  if (item.is_sign_out()) {
    for (const auto word :
         {std::string_view("sign-out"), item.data(), std::string_view("topic"), item.topic()}) {
      words_.push_back(word);
    }
  } else {
    const Publication publication{
        .event = item.event(),
        .data = item.data(),
        .topic = item.topic(),
        .retry_ms = item.has_retry ? std::optional(item.retry_ms) : std::nullopt};
    append_fields(publication, retry_text, words_);
  }
  words_.emplace_back("n");
  words_.emplace_back(nonce);
  commands_.send(words_, *this, tag_of(Asked::append, number));
}

void RedisAppender::answer(Item& item, Outcome outcome, EventId id) {
  RC_ASSERT(item.state != State::answered);
  if (item.state == State::unknown) --unknown_;
  item.state = State::answered;
  --unanswered_;
  unanswered_bytes_ -= item.cost();
  switch (outcome) {
    case Outcome::done:
      if (!item.is_sign_out()) counters_.published.add();
      break;
    case Outcome::not_taken:
      counters_.not_taken.add();
      break;
    case Outcome::unknown:
      counters_.unknown.add();
      break;
  }
  std::string().swap(item.bytes);
  sink_.answer(item.ticket, {.outcome = outcome, .id = id});
}

void RedisAppender::fail(Item& item, Outcome outcome) {
  if (item.is_sign_out()) late_sign_outs_.add(item.topic(), item.sign_out);
  answer(item, outcome);
}

void RedisAppender::drop_answered() {
  while (!items_.empty() && items_.front().state == State::answered) {
    items_.pop_front();
    ++base_;
  }
  next_send_ = std::max(next_send_, base_);
  show_queue();
}

void RedisAppender::show_queue() {
  counters_.queue_events.set(unanswered_);
  counters_.queue_bytes.set(unanswered_bytes_);
}

void RedisAppender::on_ready() {
  fence_state_ = Fence::asked;
  self_ = {};
  const std::array<std::string_view, 2> who{"CLIENT", "ID"};
  const std::array<std::string_view, 2> where{"INFO", "server"};
  commands_.send(who, *this, tag_of(Asked::client));
  commands_.send(where, *this, tag_of(Asked::run));
}

void RedisAppender::on_lost() {
  late_sign_outs_.on_lost();
  in_flight_.clear();
  in_flight_bytes_ = 0;
  for (Item& item : items_) {
    if (item.state != State::sent) continue;
    item.state = State::unknown;
    ++unknown_;
  }
  if (std::exchange(sent_here_, false)) zombies_.push_back(std::exchange(self_, {}));
  fence_state_ = Fence::asked;
}

void RedisAppender::on_run(const redisReply* reply) {
  constexpr std::string_view kField = "run_id:";
  const std::string_view text = text_of(reply);
  if (const auto at = text.find(kField); at != std::string_view::npos) {
    const auto value = text.substr(at + kField.size());
    self_.run = value.substr(0, value.find_first_of("\r\n"));
  }
  // The connections to a process that is gone went with it.
  std::erase_if(zombies_, [&](const Client& zombie) {
    return !zombie.run.empty() && !self_.run.empty() && zombie.run != self_.run;
  });
  const bool all_known = !self_.run.empty() &&
                         std::none_of(zombies_.begin(), zombies_.end(), [](const Client& zombie) {
                           return zombie.run.empty() || zombie.number == 0;
                         });
  if (!all_known || zombies_.size() > kZombiesMax) {
    zombies_.clear();
    leave_unknown();
  }
  for (const Client& zombie : zombies_) {
    const std::string number = std::to_string(zombie.number);
    const std::array<std::string_view, 4> kill{"CLIENT", "KILL", "ID", number};
    commands_.send(kill, *this, tag_of(Asked::kill, static_cast<std::uint64_t>(zombie.number)));
  }
  if (unknown_ == 0) {
    // What follows is executed after that, on this connection.
    fence_state_ = Fence::none;
    send_queued();
    return;
  }
  read_when_asked_ = tail_.position();
  const std::array<std::string_view, 3> end{"XINFO", "STREAM", keys_.stream};
  commands_.send(end, *this, tag_of(Asked::end_of_stream));
}

void RedisAppender::on_killed(std::int64_t number, const redisReply* reply) {
  if (is_error(reply)) {
    complain(error_of(reply));
    zombies_.clear();
    leave_unknown();
    return;
  }
  std::erase_if(zombies_, [&](const Client& zombie) { return zombie.number == number; });
}

void RedisAppender::on_located(const redisReply* reply) {
  if (fence_state_ != Fence::asked) return;
  const auto state = read_stream_state(reply);
  if (!state || state->last_generated < read_when_asked_) {
    // Cannot be known, or Redis lost events: one of them may be this.
    if (is_error(reply)) complain(error_of(reply));
    leave_unknown();
    fence_state_ = Fence::none;
  } else {
    fence_ = state->last_generated;
    fence_state_ = Fence::reading;
  }
  settle();
}

void RedisAppender::settle() {
  if (unknown_ == 0) {
    if (fence_state_ == Fence::reading) fence_state_ = Fence::none;
    return;
  }
  if (fence_state_ != Fence::reading || tail_.position() < fence_) return;
  fence_state_ = Fence::none;
  for (Item& item : items_) {
    if (item.state != State::unknown) continue;
    if (item.holes != tail_.holes()) {
      fail(item, Outcome::unknown);
    } else {
      --unknown_;
      item.state = State::queued;
      counters_.resent.add();
    }
  }
  next_send_ = base_;
}

void RedisAppender::leave_unknown() {
  for (Item& item : items_) {
    if (item.state == State::unknown) fail(item, Outcome::unknown);
  }
  drop_answered();
}

void RedisAppender::on_seen(const Nonce& nonce, EventId id) {
  if (nonce.instance != instance_) return;
  Item* const item = find(nonce.number);
  if (item == nullptr || item->state == State::answered) return;
  answer(*item, Outcome::done, id);
  drop_answered();
}

void RedisAppender::on_reply(std::uint64_t tag, const redisReply* reply) {
  const auto asked = static_cast<Asked>(tag >> kTagShift);
  const std::uint64_t number = tag & ((std::uint64_t{1} << kTagShift) - 1);
  if (asked == Asked::append && !in_flight_.empty()) {
    in_flight_bytes_ -= in_flight_.front();
    in_flight_.pop_front();
  }
  if (reply == nullptr) return;  // on_lost comes
  switch (asked) {
    case Asked::append:
      on_appended(number, reply);
      break;
    case Asked::client:
      if (reply->type == REDIS_REPLY_INTEGER) self_.number = reply->integer;
      break;
    case Asked::run:
      on_run(reply);
      break;
    case Asked::kill:
      on_killed(static_cast<std::int64_t>(number), reply);
      break;
    case Asked::end_of_stream:
      on_located(reply);
      break;
    case Asked::aside:
      if (is_error(reply)) complain(error_of(reply));
      break;
  }
}

void RedisAppender::on_appended(std::uint64_t number, const redisReply* reply) {
  Item* const item = find(number);
  const bool waits = item != nullptr && item->state == State::sent;
  if (!is_error(reply)) {
    const auto id = parse_event_id(text_of(reply));
    if (waits) {
      if (id) {
        answer(*item, Outcome::done, *id);
      } else {
        answer(*item, Outcome::unknown);
      }
    }
  } else {
    const std::string_view error = error_of(reply);
    complain(error);
    if (waits) fail(*item, Outcome::not_taken);
    if (classify_redis_error(error) == RedisFault::moved_on) {
      commands_.fail(describe_redis_error(error, address_));
    }
  }
  drop_answered();
}

std::uint64_t RedisAppender::turn() {
  // All wait equally long, so that the first one is the first that is due.
  std::uint64_t next_ns = 0;
  for (Item& item : items_) {
    if (item.state == State::answered) continue;
    if (item.deadline_ns > now_.mono_ns) {
      next_ns = item.deadline_ns;
      break;
    }
    fail(item, item.state == State::queued ? Outcome::not_taken : Outcome::unknown);
  }
  drop_answered();
  settle();
  send_queued();
  const std::uint64_t late_ns = late_sign_outs_.turn();
  if (late_ns != 0) next_ns = next_ns == 0 ? late_ns : std::min(next_ns, late_ns);
  return next_ns;
}

void RedisAppender::give_up() {
  closed_ = true;
  for (Item& item : items_) {
    if (item.state == State::answered) continue;
    answer(item, item.state == State::queued ? Outcome::not_taken : Outcome::unknown);
  }
  drop_answered();
}

void RedisAppender::complain(std::string_view error) {
  const auto held_back = log_limit_.pass(now_);
  if (!held_back) return;
  spdlog::error("Redis does not take events: {} ({} more such errors were not logged)",
                describe_redis_error(error, address_), *held_back);
}

}  // namespace ringcast::hub
