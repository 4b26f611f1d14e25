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
  started_ns_.set(read_clock().mono_ns);
  while (going_on()) {
    put_due(read_clock().mono_ns);
    write_all();
    wait();
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if ((polls_[i].revents & ~POLLOUT) != 0) read_replies(lanes_[i]);
    }
  }
  finished_ns_.set(read_clock().mono_ns);
  cpu_ns_ = thread_cpu_ns();
  done_.store(true, std::memory_order_release);
}

std::vector<std::uint64_t> ChannelPublisher::published() const {
  std::vector<std::uint64_t> out;
  for (const Lane& lane : lanes_) out.push_back(lane.replied);
  out.resize(plan_.publishers);
  return out;
}

bool ChannelPublisher::connect_lanes() {
  for (std::uint32_t i = 0; i < plan_.publishers; ++i) {
    auto link = RedisLink::connect(plan_.publish_redis);
    if (!link) {
      state_.fail("publishing: " + link.error().message);
      return false;
    }
    lanes_.push_back({.link = std::move(link.value())});
  }
  return true;
}

void ChannelPublisher::put_due(std::uint64_t now_ns) {
  for (; next_ < plan_.publications; ++next_) {
    const std::uint64_t due = due_ns(next_);
    const auto index = static_cast<std::uint16_t>(next_ % lanes_.size());
    Lane& lane = lanes_[index];
    if (due > now_ns || lane.sent - lane.replied >= plan_.pipeline) return;
    const Stamp stamp{.run = plan_.run,
                      .lane = index,
                      .sequence = static_cast<std::uint32_t>(lane.sent),
                      .sent_ns = plan_.rate > 0 ? due : now_ns};
    lane.link->put(
        {"PUBLISH", plan_.channel, plan_.body_of(stamp, plan_.topic_of_event(lane.sent))});
    ++lane.sent;
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
  const bool all_sent = next_ == plan_.publications;
  const std::uint64_t due = all_sent ? now_ns + kWaitMaxNs : due_ns(next_);
  const bool has_time = all_sent || due > now_ns + kTimeNs;
  const Lane& next_lane = lanes_[next_ % lanes_.size()];
  const bool full = next_lane.sent - next_lane.replied >= plan_.pipeline;

  polls_.resize(lanes_.size());
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    const std::uint64_t unreplied = lane.sent - lane.replied;
    const bool read = unreplied > 0 && (has_time || full || unreplied >= kRepliesTogether);
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
  const auto receivers = static_cast<std::uint64_t>(reply.integer);
  receivers_min_ = acknowledged_.get() == 0 ? receivers : std::min(receivers_min_, receivers);
  receivers_max_ = std::max(receivers_max_, receivers);
  ++lane.replied;
  acknowledged_.add();
}

}  // namespace ringcast::load
