#include "redis_sign_outs.h"

#include <algorithm>
#include <array>

#include "redis_entry.h"
#include "redis_reply.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kRetryNs = kNsPerSecond;
constexpr std::uint64_t kClockMarginMs = 86'400'000;
constexpr std::uint64_t kAside = 0;  // tag of a command whose reply says nothing

}  // namespace

void send_to_set(RedisConnection& commands, const RedisKeys& keys, std::string_view topic,
                 const SignOut& what, Time now, ReplyHandler& handler, std::uint64_t tag) {
  const std::string expiry = std::to_string(what.expires_ms);
  const std::string member = signed_out_member(what.session, topic);
  const std::string passed =
      "(" + std::to_string(now.unix_ms - std::min(now.unix_ms, kClockMarginMs));
  const std::array<std::string_view, 4> add{"ZADD", keys.signed_out, expiry, member};
  const std::array<std::string_view, 4> forget{"ZREMRANGEBYSCORE", keys.signed_out, "-inf", passed};
  commands.send(add, handler, tag);
  commands.send(forget, handler, tag);
}

void RedisSignOuts::add(std::string_view topic, const SignOut& what) {
  if (waiting_.size() == kMax) waiting_.pop_front();
  waiting_.push_back({.number = next_number_++, .topic = std::string(topic), .what = what});
  next_try_ns_ = std::max(next_try_ns_, now_.mono_ns + kRetryNs);
}

void RedisSignOuts::on_lost() {
  for (Waiting& each : waiting_) each.sent = false;
}

std::uint64_t RedisSignOuts::turn() {
  if (waiting_.empty()) return 0;
  if (!commands_.ready()) return 0;  // a turn comes with the connection
  if (now_.mono_ns < next_try_ns_) return next_try_ns_;
  next_try_ns_ = now_.mono_ns + kRetryNs;
  std::erase_if(waiting_,
                [this](const Waiting& each) { return each.what.expires_ms <= now_.unix_ms; });
  for (Waiting& each : waiting_) {
    if (each.sent) continue;
    each.sent = true;
    send_to_set(commands_, keys_, each.topic, each.what, now_, *this, kAside);
    const std::string text = sign_out_text(each.what);
    const std::array<std::string_view, 10> words{"XADD",      keys_.stream, "MAXLEN",   "~",
                                                 max_events_, "*",          "sign-out", text,
                                                 "topic",     each.topic};
    commands_.send(words, *this, each.number);
  }
  return next_try_ns_;
}

void RedisSignOuts::on_reply(std::uint64_t tag, const redisReply* reply) {
  if (reply == nullptr || tag == kAside) return;
  const auto found =
      std::ranges::find(waiting_, tag, [](const Waiting& each) { return each.number; });
  if (found == waiting_.end()) return;
  if (is_error(reply)) {
    found->sent = false;
  } else {
    waiting_.erase(found);
  }
}

}  // namespace ringcast::hub
