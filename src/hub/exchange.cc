#include "ringcast/hub/exchange.h"

#include <algorithm>

namespace ringcast::hub {
namespace {

constexpr std::size_t kCommandsBytesMin = std::size_t{256} << 10;
constexpr std::size_t kEventsBytesMin = std::size_t{1} << 20;
constexpr std::size_t kRecordsMin = 4;  // of the largest size, so that one never waits for the next
constexpr std::size_t kNamesBytesMax = 1024;  // event and topic beside the data, and headers

}  // namespace

Exchange::Port::~Port() {
  Reply reply;
  while (replies.try_pop(reply)) delete reply.page;
}

Result<std::unique_ptr<Exchange>> Exchange::create(const ExchangeOptions& options) {
  std::unique_ptr<Exchange> exchange(new Exchange(options));
  auto events = RecordRing::create(
      std::max(kEventsBytesMin, kRecordsMin * (options.frame_bytes_max + kNamesBytesMax)),
      options.shards);
  if (!events) return events.error();
  exchange->events_ = std::move(events).value();
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    auto commands = RecordRing::create(
        std::max(kCommandsBytesMin, kRecordsMin * (options.event_bytes_max + kNamesBytesMax)), 1);
    if (!commands) return commands.error();
    exchange->ports_.push_back(
        std::make_unique<Port>(std::move(commands).value(), options.publishes_in_flight));
  }
  return exchange;
}

}  // namespace ringcast::hub
