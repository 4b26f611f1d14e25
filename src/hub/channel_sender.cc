#include "channel_sender.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <hiredis/hiredis.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include "ringcast/base/assert.h"

#include "redis_entry.h"
#include "redis_reply.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kBackOffMinNs = 100 * kNsPerMs;
constexpr std::uint64_t kBackOffMaxNs = 1'000 * kNsPerMs;
constexpr StandbyQueue::SliceLimits kBatchLimits{};

std::uint64_t number_of(const redisReply* reply) {
  if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0)
    return static_cast<std::uint64_t>(reply->integer);
  const std::string_view text = text_of(reply);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string count_messages(std::uint64_t count) {
  return fmt::format("{} message{}", count, count == 1 ? "" : "s");
}

ChannelSender::ChannelSender(const RedisStoreOptions& options, const RedisAddress& address,
                             RedisConnection& commands, StandbyQueue& queue,
                             RedisCounters& counters)
    : options_(options),
      address_(address),
      keys_(options.redis),
      commands_(commands),
      queue_(queue),
      counters_(counters),
      max_events_(std::to_string(options.redis.max_events)) {}

void ChannelSender::on_lost() {
  RC_ASSERT(in_flight_.empty());
  sha_.clear();
  queue_.unsend();
  rewind_ = false;
  pass_hole_ = false;
  failures_ = 0;
  retry_ns_ = 0;
}

void ChannelSender::pump(std::string_view lease, Time now) {
  now_ = now;
  if (sha_.empty() || !commands_.ready()) return;
  if (rewind_) {
    if (!in_flight_.empty()) return;
    queue_.unsend();
    rewind_ = false;
  }
  if (now.mono_ns < retry_ns_) return;
  if (hole_ && in_flight_.empty()) judge_hole(!lease.empty());

  const auto role = lease.empty() ? StandbyQueue::Role::standby : StandbyQueue::Role::relay;
  while (in_flight_.size() < at_once()) {
    const auto slice = queue_.next(role, now.mono_ns, kBatchLimits);
    if (!slice) return;
    send(*slice, slice->frozen ? std::string_view() : lease);
    // The connection may have been given up while it was written to.
    if (rewind_ || !commands_.ready()) return;
  }
}

std::optional<std::uint64_t> ChannelSender::next_pump_ns(bool relay) const {
  if (sha_.empty() || in_flight_.size() >= at_once()) return {};
  if (rewind_) return in_flight_.empty() ? std::optional(now_.mono_ns) : std::nullopt;
  const auto due = queue_.next_due_ns();
  if (!due) return {};
  return std::max(retry_ns_, relay ? now_.mono_ns : *due);
}

std::optional<std::string> ChannelSender::take_fenced() {
  return std::exchange(fenced_, std::nullopt);
}

bool ChannelSender::take_script_lost() {
  return std::exchange(script_lost_, false);
}

void ChannelSender::send(const StandbyQueue::Slice& slice, std::string_view lease) {
  text_.clear();
  pieces_.clear();
  for (std::size_t i = 0; i < slice.count; ++i) add_message(queue_.message(slice, i));

  const std::string epoch = std::to_string(slice.epoch);
  const std::string first = std::to_string(slice.first);
  const bool pass_hole = !lease.empty() && pass_hole_;
  arguments_.assign({"EVALSHA", sha_, "3", keys_.relay, keys_.relayed, keys_.stream, lease,
                     pass_hole ? "1" : "0", max_events_, epoch, first});
  for (const Piece& piece : pieces_)
    arguments_.push_back(std::string_view(text_).substr(piece.begin, piece.bytes));

  in_flight_.push_back({.slice = slice, .lease = std::string(lease)});
  queue_.sent(slice);
  commands_.send(arguments_, *this, 0);
}

void ChannelSender::add_message(StandbyQueue::Message& message) {
  fields_.clear();
  std::array<char, 10> retry_text{};
  if (!message.no_event) {
    if (message.too_large) {
      no_event(message, "larger than limits.event_bytes");
    } else if (const auto publication = parser_.parse(message.text); !publication) {
      no_event(message, publication.error().message);
    } else {
      append_fields(publication.value(), retry_text, fields_);
    }
  }
  const auto add = [&](std::string_view piece) {
    pieces_.push_back({.begin = text_.size(), .bytes = piece.size()});
    text_ += piece;
  };
  add(std::to_string(fields_.size()));
  for (const std::string_view field : fields_) add(field);
}

void ChannelSender::no_event(StandbyQueue::Message& message, std::string_view reason) {
  counters_.channel_invalid.add();
  queue_.clear(message);
  if (const auto held_back = invalid_log_.pass(now_)) {
    spdlog::warn(
        "redis: a message on the channel \"{}\" is no event: {}{}", keys_.channel, reason,
        *held_back == 0 ? "" : fmt::format(" (and {} before it)", count_messages(*held_back)));
  }
}

void ChannelSender::on_reply(std::uint64_t, const redisReply* reply) {
  RC_ASSERT(!in_flight_.empty());
  const Batch batch = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (reply == nullptr) {
    rewind_ = true;
  } else if (is_error(reply)) {
    if (!rewind_) on_error(text_of(reply));
  } else if (is_array(reply) && reply->elements >= 2) {
    on_outcome(batch, *reply);
  } else if (!rewind_) {
    on_error("ERR unexpected reply to the channel's script");
  }
}

void ChannelSender::on_outcome(const Batch& batch, const redisReply& reply) {
  counters_.channel_relayed.add(number_of(reply.element[0]));
  const std::uint64_t relayed = number_of(reply.element[1]);
  const std::string_view refusal =
      reply.elements > 2 ? text_of(reply.element[2]) : std::string_view();
  if (refusal != "fenced") {
    queue_.settle({.epoch = batch.slice.epoch, .number = relayed}, now_.mono_ns);
  }
  // What follows a batch that was not taken says nothing by itself.
  if (rewind_) return;
  if (refusal == "fenced") {
    rewind_ = true;
    pass_hole_ = false;
    fenced_ = batch.lease;
  } else if (refusal == "hole") {
    on_hole(batch);
  } else {
    pass_hole_ = false;
    failures_ = 0;
    retry_ns_ = 0;
    if (hole_ && hole_->before.epoch == batch.slice.epoch) hole_.reset();
    if (relayed < batch.slice.last()) rewind_ = true;
  }
}

void ChannelSender::on_error(std::string_view error) {
  rewind_ = true;
  const RedisFault fault = classify_redis_error(error);
  if (fault == RedisFault::no_script) {
    sha_.clear();
    script_lost_ = true;
    return;
  }
  if (fault == RedisFault::moved_on) {
    commands_.fail(describe_redis_error(error, address_));
    return;
  }
  back_off();
  if (error_log_.pass(now_)) {
    spdlog::warn("redis: {} of the channel \"{}\" wait: {}", count_messages(queue_.size()),
                 keys_.channel, describe_redis_error(error, address_));
  }
}

void ChannelSender::on_hole(const Batch& batch) {
  rewind_ = true;
  if (!batch.lease.empty()) {
    // The lease is ours and nothing was before this batch: nobody else will fill the hole.
    pass_hole_ = true;
    if (hole_log_.pass(now_)) {
      spdlog::warn("redis: messages of the channel \"{}\" before {}:{} are lost", keys_.channel,
                   batch.slice.epoch, batch.slice.first);
    }
    return;
  }
  const ChannelNumber before{.epoch = batch.slice.epoch, .number = batch.slice.first};
  if (!hole_ || hole_->before != before) hole_ = Hole{.before = before, .since_ns = now_.mono_ns};
  back_off();
}

void ChannelSender::judge_hole(bool relay) {
  const std::uint64_t age_ns = now_.mono_ns - hole_->since_ns;
  if (relay && age_ns >= kHoleRelayNs) {
    queue_.thaw(hole_->before.epoch);
    hole_.reset();
  } else if (!relay && age_ns >= kHoleMaxNs) {
    const std::size_t dropped = queue_.drop(hole_->before.epoch);
    counters_.channel_dropped.add(dropped);
    if (dropped > 0 && hole_log_.pass(now_)) {
      spdlog::warn("redis: {} of the channel \"{}\" were dropped: those before them are lost",
                   count_messages(dropped), keys_.channel);
    }
    hole_.reset();
  }
}

void ChannelSender::back_off() {
  const std::uint64_t wait_ns = std::min(kBackOffMinNs << std::min(failures_, 4u), kBackOffMaxNs);
  ++failures_;
  retry_ns_ = now_.mono_ns + wait_ns;
}

}  // namespace ringcast::hub
