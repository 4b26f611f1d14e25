#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "ringcast/base/event_id.h"
#include "ringcast/base/time.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/history.h"
#include "ringcast/hub/redis_counters.h"
#include "ringcast/hub/redis_options.h"
#include "ringcast/hub/redis_store.h"

#include "redis_connection.h"
#include "redis_page_size.h"
#include "redis_reply.h"

namespace ringcast::hub {

class RedisTail;

/// Pages of the stream for cursors that are older than the log: docs/design/redis.md, "Cursors that
/// are older than the log".
///
/// Threads: the hub's. Blocking: nothing. Bounds: `history_at_once` commands without a reply, the
/// others wait in order, `history_waiting_max` of them and kWaitNs each at most.
class RedisHistory final : public ReplyHandler {
 public:
  /// `now` is kept up to date by the owner.
  RedisHistory(const RedisStoreOptions& options, const RedisKeys& keys, RedisConnection& commands,
               const RedisTail& tail, EventSink& sink, RedisCounters& counters, const Time& now);

  void request(const Ticket& ticket, EventId after);
  void on_lost();
  /// Refuses all that wait, and what comes.
  void stop();

  /// Returns monotonic nanoseconds of the next call, or 0.
  [[nodiscard]] std::uint64_t turn();

  void on_reply(std::uint64_t tag, const redisReply* reply) override;

  static constexpr std::uint64_t kWaitNs = 5 * kNsPerSecond;

 private:
  struct Request {
    Ticket ticket;
    EventId after;
    std::uint64_t deadline_ns = 0;
    EventId newest{};         ///< that was delivered when it was sent
    std::size_t entries = 0;  ///< asked for
    bool is_answered = false;
  };

  /// An empty page at the end of the stream, which the tail has not come to: the answer waits for
  /// that, or the same page would be asked for again at once.
  struct Held {
    Request request;
    std::unique_ptr<HistoryPage> page;
  };

  void answer(const Request& request, std::unique_ptr<HistoryPage> page);
  void answer_held();
  void send_waiting();
  void send(Request request);
  void refuse(Request& request);
  void show_waiting();
  /// `is_end`: nothing stands behind the page in the stream. Null when the entries make no sense:
  /// of another shape, or not in order.
  [[nodiscard]] std::unique_ptr<HistoryPage> build_page(const Request& request,
                                                        const redisReply* entries, bool& is_end);
  void adapt_page_size(const Request& request, const redisReply* entries, const HistoryPage& page);

  const RedisKeys keys_;
  const std::size_t event_bytes_max_;
  const std::size_t at_once_;
  const std::size_t waiting_max_;
  RedisConnection& commands_;
  const RedisTail& tail_;
  EventSink& sink_;
  RedisCounters& counters_;
  const Time& now_;

  std::deque<Request> waiting_;
  std::deque<Request> in_flight_;  // in the order of their replies
  std::deque<Held> held_;
  PageSize page_size_;
  bool stopping_ = false;
  RawEntry raw_;  // scratch
};

}  // namespace ringcast::hub
