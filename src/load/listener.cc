#include "load/listener.h"

#include <poll.h>

#include "ringcast/base/time.h"

#include "load/meter.h"
#include "load/payload.h"

namespace ringcast::load {
namespace {

constexpr int kWaitMs = 50;

std::string_view text_of(const redisReply& reply) {
  return reply.type == REDIS_REPLY_STRING ? std::string_view{reply.str, reply.len}
                                          : std::string_view{};
}

}  // namespace

void Listener::run() {
  auto going_well = subscribe();
  std::vector<pollfd> polls;
  for (const auto& link : links_) polls.push_back({link->descriptor(), POLLIN, 0});
  while (going_well && !state_.stopping() && !state_.failed()) {
    poll(polls.data(), polls.size(), kWaitMs);
    for (std::uint32_t i = 0; going_well && i < links_.size(); ++i) {
      if (polls[i].revents != 0) going_well = read(i);
    }
  }
  if (!going_well) state_.fail("a subscriber of Redis: " + going_well.error().message);
  cpu_ns_ = thread_cpu_ns();
}

Result<void> Listener::subscribe() {
  for (std::uint32_t i = 0; i < plan_.subscribers; ++i) {
    auto link = RedisLink::connect(plan_.subscribe_redis);
    if (!link) return link.error();
    links_.push_back(std::move(link.value()));
    links_.back()->put({"SUBSCRIBE", plan_.channel});
    if (auto written = links_.back()->write_some(); !written) return written;
    if (links_.back()->unsent()) return Error{"the channel's name fits into no socket"};
  }
  return {};
}

Result<void> Listener::read(std::uint32_t subscriber) {
  RedisLink& link = *links_[subscriber];
  if (auto read = link.read_some(); !read) return read;
  now_ns_ = read_clock().mono_ns;
  while (true) {
    auto reply = link.next_reply();
    if (!reply) return reply.error();
    if (!reply.value()) return {};
    if (auto taken = take(subscriber, *reply.value()); !taken) return taken;
  }
}

Result<void> Listener::take(std::uint32_t subscriber, const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) return Error{std::string{reply.str, reply.len}};
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) {
    return Error{"Redis sent what is no message"};
  }
  const std::string_view kind = text_of(*reply.element[0]);
  if (kind == "message") take_message(subscriber, text_of(*reply.element[2]));
  if (kind == "subscribe") counters_.ready.add();
  return {};
}

void Listener::take_message(std::uint32_t subscriber, std::string_view body) {
  const auto stamp = find_stamp(body);
  if (!stamp || stamp->run != plan_.run || stamp->lane >= plan_.lanes()) {
    return counters_.others.add();
  }
  const auto arrival = sequences_.arrive(subscriber, stamp->lane, stamp->sequence);
  if (arrival == SequenceTable::Arrival::duplicate) return counters_.duplicates.add();
  if (arrival == SequenceTable::Arrival::late) counters_.late.add();
  counters_.messages.add();
  counters_.last_arrival_ns.set(now_ns_);
  latency_.record(now_ns_ > stamp->sent_ns ? now_ns_ - stamp->sent_ns : 0,
                  plan_.third_of(stamp->lane, stamp->sequence));
}

std::uint64_t Listener::missing(std::span<const std::uint64_t> published) const {
  std::uint64_t count = 0;
  for (std::uint32_t subscriber = 0; subscriber < plan_.subscribers; ++subscriber) {
    for (std::uint32_t lane = 0; lane < published.size(); ++lane) {
      count += sequences_.missing(subscriber, lane, static_cast<std::uint32_t>(published[lane]));
    }
  }
  return count;
}

}  // namespace ringcast::load
