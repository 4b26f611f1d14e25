#include "load/channel_publisher.h"

#include <algorithm>
#include <string>

#include <sys/prctl.h>

#include "ringcast/base/time.h"

#include "load/meter.h"
#include "load/payload.h"

namespace ringcast::load {
namespace {

constexpr std::uint64_t kWaitMaxNs = 50 * kNsPerMs;
/// Nobody waits for replies: unless there is time, they wake nobody before they are so many.
constexpr std::uint64_t kRepliesTogether = 64;
constexpr std::uint64_t kTimeNs = kNsPerMs;

}  // namespace

void ChannelPublisher::run() {
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 µs would make every event that late
  if (!connect_lanes()) return;
  start(read_clock().mono_ns);
  while (going_on()) {
    const std::uint64_t now_ns = read_clock().mono_ns;
    release_more(now_ns);
    put_lead(now_ns);
    put_due(now_ns);
    write_all();
    wait();
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if ((polls_[i].revents & ~POLLOUT) != 0) read_replies(lanes_[i]);
    }
  }
  finish(read_clock().mono_ns, thread_cpu_ns());
}

std::vector<std::uint64_t> ChannelPublisher::published() const {
  std::vector<std::uint64_t> out;
  for (const Lane& lane : lanes_) out.push_back(lane.replied);
  out.resize(traffic_.lanes);
  return out;
}

bool ChannelPublisher::connect_lanes() {
  for (std::uint32_t i = 0; i < traffic_.lanes; ++i) {
    auto link = RedisLink::connect(plan_.publish_redis);
    if (!link) {
      state_.fail("publishing: " + link.error().message);
      return false;
    }
    lanes_.push_back({.link = std::move(link.value())});
  }
  return true;
}

void ChannelPublisher::put_lead(std::uint64_t now_ns) {
  if (lead_sent_ || traffic_.first_lane != 0 || !state_.lead_wanted()) return;
  lead_sent_ = true;
  const Stamp stamp{.run = plan_.run, .lane = kLeadLane, .sequence = 0, .sent_ns = now_ns};
  Lane& lane = lanes_.front();
  lane.link->put({"PUBLISH", plan_.channel, plan_.body_of(stamp, plan_.topic_of_event(0, 0))});
  ++lane.uncounted;
}

void ChannelPublisher::put_due(std::uint64_t now_ns) {
  for (; next_ < traffic_.events && !is_held(next_); ++next_) {
    const std::uint64_t due = due_ns(next_);
    const std::size_t index = next_ % lanes_.size();
    Lane& lane = lanes_[index];
    if (due > now_ns || lane.sent - lane.replied >= plan_.pipeline) return;
    const auto number = static_cast<std::uint16_t>(traffic_.first_lane + index);
    const Stamp stamp{.run = plan_.run,
                      .lane = number,
                      .sequence = static_cast<std::uint32_t>(lane.sent),
                      .sent_ns = is_paced(next_) ? due : now_ns};
    lane.link->put(
        {"PUBLISH", plan_.channel, plan_.body_of(stamp, plan_.topic_of_event(number, lane.sent))});
    ++lane.sent;
    if (plan_.prompt_replies) lane.since_ns.push_back(stamp.sent_ns);
  }
}

void ChannelPublisher::write_all() {
  for (const Lane& lane : lanes_) {
    if (auto written = lane.link->write_some(); !written) {
      return state_.fail("publishing: " + written.error().message);
    }
  }
}

void ChannelPublisher::wait() {
  const std::uint64_t now_ns = read_clock().mono_ns;
  const bool all_sent = next_ == traffic_.events || is_held(next_);
  const std::uint64_t due = all_sent ? now_ns + kWaitMaxNs : due_ns(next_);
  const bool has_time = all_sent || due > now_ns + kTimeNs;
  const Lane& next_lane = lanes_[next_ % lanes_.size()];
  const bool full = next_lane.sent - next_lane.replied >= plan_.pipeline;

  polls_.resize(lanes_.size());
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    const std::uint64_t unreplied = lane.sent - lane.replied + lane.uncounted;
    const bool read = unreplied > 0 &&
                      (plan_.prompt_replies || has_time || full || unreplied >= kRepliesTogether);
    polls_[i] = {lane.link->descriptor(),
                 static_cast<short>((read ? POLLIN : 0) | (lane.link->unsent() ? POLLOUT : 0)), 0};
  }
  std::uint64_t until_ns = now_ns + kWaitMaxNs;
  if (!all_sent && !full) {
    until_ns =
        std::min(until_ns, std::max(due, now_ns + std::uint64_t{plan_.publish_gather_us} * 1'000));
  }
  const std::uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(left_ns)};
  ppoll(polls_.data(), polls_.size(), &timeout, nullptr);
}

void ChannelPublisher::read_replies(Lane& lane) {
  auto read = lane.link->read_some();
  now_ns_ = read_clock().mono_ns;
  while (read) {
    auto reply = lane.link->next_reply();
    if (!reply) return state_.fail("publishing: " + reply.error().message);
    if (!reply.value()) return;
    take_reply(lane, *reply.value());
    if (state_.failed()) return;
  }
  state_.fail("publishing: " + read.error().message);
}

void ChannelPublisher::take_reply(Lane& lane, const redisReply& reply) {
  if (reply.type != REDIS_REPLY_INTEGER) {
    const std::string what = reply.type == REDIS_REPLY_ERROR
                                 ? std::string{reply.str, std::min<std::size_t>(reply.len, 200)}
                                 : "no number";
    return state_.fail("publishing: Redis answered PUBLISH with " + what);
  }
  if (lane.uncounted > 0) {
    --lane.uncounted;
    return;
  }
  const auto receivers = static_cast<std::uint64_t>(reply.integer);
  receivers_min_ = acknowledged_.get() == 0 ? receivers : std::min(receivers_min_, receivers);
  receivers_max_ = std::max(receivers_max_, receivers);
  ++lane.replied;
  last_answer_ns_ = now_ns_;
  if (plan_.prompt_replies) {
    const std::uint64_t since_ns = lane.since_ns.front();
    lane.since_ns.pop_front();
    latency_.record(now_ns_ > since_ns ? now_ns_ - since_ns : 0);
  }
  acknowledged_.add();
}

}  // namespace ringcast::load
