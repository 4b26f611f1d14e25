// DESIGN: nothing is allocated on the path of an event. The hub and a shard on real rings with real
// loopback connections, all on one thread, turn by turn; the count is exact.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringcast/hub/embedded_store.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/hub/hub.h"
#include "ringcast/shard/shard.h"
#include "ringcast/uring/ring.h"

#include "allocation_counter.h"
#include "tls_client.h"

namespace ringcast {
namespace {

using std::chrono::nanoseconds;

// What OpenSSL takes counts as well. It must be told before it takes anything.
const bool kCountsOpenssl =
    CRYPTO_set_mem_functions(
        [](std::size_t bytes, const char*, int) { return ::operator new(bytes, std::nothrow); },
        [](void* old, std::size_t bytes, const char*, int) -> void* {
          // Nothing here grows a block that OpenSSL has; a new one stands for it.
          void* const fresh = ::operator new(bytes, std::nothrow);
          if (fresh != nullptr && old != nullptr) {
            std::memcpy(fresh, old, std::min(bytes, malloc_usable_size(old)));
            ::operator delete(old);
          }
          return fresh;
        },
        [](void* block, const char*, int) { ::operator delete(block); }) == 1;

constexpr std::size_t kStreams = 200;
constexpr int kTopics = 8;
constexpr int kWarmUpEvents = 600;  // more than the history keeps: it wraps
constexpr int kEvents = 1000;

class PromptHighWater : public hub::HighWater {
 public:
  [[nodiscard]] std::uint64_t reserved_ms() const override { return reserved_; }
  void request(std::uint64_t ms) override { reserved_ = ms; }

 private:
  std::uint64_t reserved_ = 0;
};

/// A client that asks for one stream and reads what comes into a buffer of the test's.
class Client {
 public:
  Client(const sockaddr_in& server, const std::string& path, bool tls)
      : request_("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") {
    descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(descriptor_, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0);
    if (tls) {
      tls_ = std::make_unique<tls::test::TlsClient>();
      say(tls_->take_output());
    } else {
      say(std::exchange(request_, {}));
    }
  }
  Client(Client&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        request_(std::move(other.request_)),
        tls_(std::move(other.tls_)),
        before_(other.before_) {}
  Client(const Client&) = delete;
  ~Client() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  /// Counts the events' ends that have arrived.
  std::size_t read_events(std::span<char> buffer) {
    std::size_t events = 0;
    while (true) {
      const ssize_t count = recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count <= 0) return events;
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
      events += count_ends(tls_ ? open(bytes) : std::string(bytes));
    }
  }

 private:
  void say(std::string_view bytes) const {
    EXPECT_EQ(send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string open(std::string_view records) {
    tls_->feed(records);
    EXPECT_FALSE(tls_->failed()) << tls_->failure();
    if (tls_->connected() && !request_.empty()) tls_->write(std::exchange(request_, {}));
    if (const std::string out = tls_->take_output(); !out.empty()) say(out);
    return tls_->take_plaintext();
  }
  std::size_t count_ends(std::string_view text) {
    std::size_t ends = 0;
    for (const char c : text) {
      if (c == '\n' && before_ == '\n') ++ends;
      before_ = c;
    }
    return ends;
  }

  int descriptor_ = -1;
  std::string request_;  // that is still to be said
  std::unique_ptr<tls::test::TlsClient> tls_;
  char before_ = 0;
};

struct Event {
  std::string topic;
  std::string data;
};

struct Setting {
  uring::Descriptors descriptors;
  bool tls;
};

class Allocation : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    auto* const generic = reinterpret_cast<sockaddr*>(&address_);
    const int on = 1;
    ASSERT_EQ(setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    ASSERT_EQ(bind(listener_, generic, length), 0);
    ASSERT_EQ(listen(listener_, 1024), 0);
    ASSERT_EQ(getsockname(listener_, generic, &length), 0);

    constexpr std::uint32_t kSlots = 1024;
    auto exchange =
        hub::Exchange::create({.shards = 1, .event_bytes_max = 4096, .frame_bytes_max = 4096 * 8});
    ASSERT_TRUE(exchange) << exchange.error().message;
    exchange_ = std::move(exchange).value();
    auto store = hub::EmbeddedStore::start(high_water_, read_clock());
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::make_unique<hub::EmbeddedStore>(std::move(store).value());
    auto hub_ring = uring::Ring::create({.submissions = 256, .slots = 8, .receive_buffers = 8});
    ASSERT_TRUE(hub_ring) << hub_ring.error().message;
    hub_ring_ = std::move(hub_ring).value();
    auto ring = uring::Ring::create({.slots = kSlots, .descriptors = GetParam().descriptors});
    ASSERT_TRUE(ring) << ring.error().message;
    ring_ = std::move(ring).value();
    hub_ = std::make_unique<hub::Hub>(*exchange_, *store_, *hub_ring_, hub_counters_);
    auto access = std::make_shared<auth::Access>();
    access->required = false;
    auto policy = std::make_shared<shard::Policy>();
    policy->access = std::move(access);
    policy->tls = tls::test::common_context();
    auto shard = shard::Shard::create(
        {.slots = kSlots,
         .streams_max = 900,
         .floor = store_->floor(),
         .history = {.events = 256, .bytes = 1 << 18},
         .limits = {.event_bytes = 4096}},
        {.policy = std::move(policy),
         .addresses = table_,
         .users = table_,
         .signed_out = signed_out_},
        *exchange_, *ring_, {{.descriptor = listener_, .tls = GetParam().tls}}, counters_);
    ASSERT_TRUE(shard) << shard.error().message;
    shard_ = std::move(shard).value();
  }
  void TearDown() override {
    // The ring first: operations on the listener and the connections are outstanding.
    ring_.reset();
    close(listener_);
  }

  void turn() {
    const std::uint64_t before = test::allocations();
    (void)hub_->turn(read_clock());
    hub_ring_->wait(nanoseconds(0));
    (void)shard_->turn(read_clock());
    ring_->wait(nanoseconds(0));
    allocations_in_turns_ += test::allocations() - before;
  }

  bool publish(const Event& event) {
    const hub::Command command{
        .kind = hub::RecordKind::event,
        .origin = {uring::Slot{0}, ~std::uint32_t{0}},  // nobody: the connection has gone
        .serial = 0,
        .event_bytes = 0,
        .topic_bytes = static_cast<std::uint32_t>(event.topic.size()),
        .data_bytes = static_cast<std::uint32_t>(event.data.size()),
        .retry_ms = 0,
        .has_retry = false};
    RecordRing& commands = *exchange_->port(0).commands;
    const auto record = commands.reserve(sizeof command + event.topic.size() + event.data.size());
    if (record.empty()) return false;
    std::byte* at = record.data();
    std::memcpy(at, &command, sizeof command);
    std::memcpy(at += sizeof command, event.topic.data(), event.topic.size());
    std::memcpy(at + event.topic.size(), event.data.data(), event.data.size());
    commands.commit(record.size());
    return true;
  }

  /// Publishes `count` of `events` in bursts and takes turns until every stream has all of its own.
  void publish_and_deliver(const std::vector<Event>& events, int count) {
    const std::uint64_t expected = counters_.events_appended.get() + static_cast<unsigned>(count);
    for (int i = 0; i < count; ++i) {
      while (!publish(events[static_cast<std::size_t>(i) % events.size()])) turn();
      if (i % 7 == 0) turn();
      if (i % 50 == 0) read_all();
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (counters_.events_appended.get() < expected || !idle()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      turn();
    }
    read_all();
  }
  /// The last turn had nothing to send.
  bool idle() {
    const std::uint64_t sends = counters_.sends.get();
    turn();
    return counters_.sends.get() == sends;
  }

  void read_all() {
    for (Client& client : clients_) events_read_ += client.read_events(buffer_);
  }

  int listener_ = -1;
  sockaddr_in address_{};
  PromptHighWater high_water_;
  hub::Counters hub_counters_;
  shard::Counters counters_;
  shard::RateTable table_{16, 0};
  shard::SignedOut signed_out_{16};
  std::unique_ptr<hub::Exchange> exchange_;
  std::unique_ptr<hub::EmbeddedStore> store_;
  std::unique_ptr<uring::Ring> hub_ring_;
  std::unique_ptr<uring::Ring> ring_;
  std::unique_ptr<hub::Hub> hub_;
  std::unique_ptr<shard::Shard> shard_;
  std::vector<Client> clients_;
  std::vector<char> buffer_ = std::vector<char>(1 << 16);
  std::size_t events_read_ = 0;
  std::uint64_t allocations_in_turns_ = 0;
};

TEST_P(Allocation, NothingIsAllocatedOnThePathOfAnEvent) {
  const auto topic = [](std::size_t i) { return "room/" + std::to_string(i % kTopics); };
  // Streams with no topic, with one, and with two.
  for (std::size_t i = 0; i < kStreams; ++i) {
    std::string path = "/events";
    if (i % 4 != 0) path += "?topic=" + topic(i);
    if (i % 4 == 3) path += "&topic=" + topic(i / 4);
    clients_.emplace_back(address_, path, GetParam().tls);
  }
  for (int i = 0; i < 10'000 && counters_.streams_open.get() < kStreams; ++i) {
    turn();
    if (GetParam().tls) read_all();  // it has to answer
  }
  ASSERT_EQ(counters_.streams_open.get(), kStreams);
  ASSERT_EQ(counters_.streams_tls.get(), GetParam().tls ? kStreams : 0u);

  std::vector<Event> events;
  for (std::size_t i = 0; i < 3 * kTopics + 1; ++i) {
    events.push_back({.topic = i % 3 == 0 ? "" : topic(i), .data = std::string(20 + i * 40, 'x')});
  }
  publish_and_deliver(events, kWarmUpEvents);
  ASSERT_GT(counters_.events_evicted.get(), 0u) << "the history did not wrap";

  const std::uint64_t deliveries = counters_.deliveries.get();
  events_read_ = 0;
  allocations_in_turns_ = 0;
  publish_and_deliver(events, kEvents);
  EXPECT_TRUE(kCountsOpenssl);
  EXPECT_EQ(allocations_in_turns_, 0u);

  // The events did go out, or the count would mean nothing.
  EXPECT_EQ(counters_.streams_open.get(), kStreams);
  EXPECT_EQ(counters_.gaps.get(), 0u);
  EXPECT_GT(counters_.deliveries.get() - deliveries, kStreams * kEvents / 3);
  EXPECT_EQ(events_read_, counters_.deliveries.get() - deliveries);
}

INSTANTIATE_TEST_SUITE_P(Descriptors, Allocation,
                         testing::Values(Setting{uring::Descriptors::direct, false},
                                         Setting{uring::Descriptors::ordinary, false},
                                         Setting{uring::Descriptors::direct, true}),
                         [](const auto& each) {
                           const bool direct = each.param.descriptors == uring::Descriptors::direct;
                           return std::string(each.param.tls ? "tls_" : "") +
                                  (direct ? "direct" : "ordinary");
                         });

}  // namespace
}  // namespace ringcast
