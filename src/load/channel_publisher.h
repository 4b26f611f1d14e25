#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include <poll.h>

#include "load/publisher.h"
#include "load/redis_link.h"

namespace ringcast::load {

/// Publishes with PUBLISH on a channel of Redis, pipelined: what is due is sent whether or not what
/// was sent before has been replied to, up to Plan::pipeline commands on each connection. Without a
/// rate that many are always under way.
///
/// Events are sent in the order of their numbers, so a connection that is full holds up the others.
/// A refusal of Redis, or the end of a connection, fails the run.
class ChannelPublisher : public Publisher {
 public:
  ChannelPublisher(const Plan& plan, const Traffic& traffic, RunState& state)
      : Publisher(plan, traffic, state) {}

  void run() override;
  [[nodiscard]] std::vector<std::uint64_t> published() const override;

 private:
  struct Lane {
    std::unique_ptr<RedisLink> link;
    std::uint64_t sent = 0;
    std::uint64_t replied = 0;
    std::uint32_t uncounted = 0;         ///< replies to expect before those to what was sent
    std::deque<std::uint64_t> since_ns;  ///< of what is not replied to; only if that is timed
  };

  [[nodiscard]] bool connect_lanes();
  void put_lead(std::uint64_t now_ns);
  void put_due(std::uint64_t now_ns);
  void write_all();
  void wait();
  void read_replies(Lane& lane);
  void take_reply(Lane& lane, const redisReply& reply);

  std::vector<Lane> lanes_;
  std::vector<pollfd> polls_;
  std::uint64_t next_ = 0;    ///< event of the traffic
  std::uint64_t now_ns_ = 0;  ///< when replies were read
  bool lead_sent_ = false;
};

}  // namespace ringcast::load
