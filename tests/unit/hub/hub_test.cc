#include "ringcast/hub/hub.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <xxhash.h>

#include "ringcast/hub/embedded_store.h"

namespace ringcast::hub {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint64_t kStartMs = 1'700'000'000'000;

/// Keeps every promise at once.
class PromptHighWater : public HighWater {
 public:
  [[nodiscard]] std::uint64_t reserved_ms() const override { return reserved_; }
  void request(std::uint64_t ms) override { reserved_ = ms; }

 private:
  std::uint64_t reserved_ = 0;
};

struct Publish {
  std::string event{};
  std::string topic{};
  std::string data{};
  std::optional<std::uint32_t> retry_ms{};
};

/// An event as a shard reads it.
struct Seen {
  EventId id;
  std::string topic;
  std::uint64_t topic_hash;
  std::string frame;
  std::uint8_t chunk_head_bytes;
};

/// The hub on a real ring, and the test in place of the shards, all on one thread.
class HubTest : public testing::Test {
 protected:
  void start(const ExchangeOptions& options) {
    auto exchange = Exchange::create(options);
    ASSERT_TRUE(exchange) << exchange.error().message;
    exchange_ = std::move(exchange).value();
    ring_ = make_ring();
    auto store = EmbeddedStore::start(high_water_, {.mono_ns = 1, .unix_ms = now_ms_});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::make_unique<EmbeddedStore>(std::move(store).value());
    hub_ = std::make_unique<Hub>(*exchange_, *store_, *ring_, counters_);
  }

  static std::unique_ptr<uring::Ring> make_ring() {
    auto ring = uring::Ring::create({.submissions = 64, .slots = 8, .receive_buffers = 8});
    EXPECT_TRUE(ring) << ring.error().message;
    return std::move(ring).value();
  }

  std::optional<nanoseconds> turn() { return hub_->turn({.mono_ns = 1, .unix_ms = now_ms_}); }

  /// As a shard does; false when its ring is full.
  bool publish(std::size_t shard, const Publish& event, std::uint32_t serial = 1) {
    const Command command{.kind = RecordKind::event,
                          .origin = {uring::Slot{static_cast<std::uint32_t>(10 + shard)}, 7},
                          .serial = serial,
                          .event_bytes = static_cast<std::uint32_t>(event.event.size()),
                          .topic_bytes = static_cast<std::uint32_t>(event.topic.size()),
                          .data_bytes = static_cast<std::uint32_t>(event.data.size()),
                          .retry_ms = event.retry_ms.value_or(0),
                          .has_retry = event.retry_ms.has_value()};
    const std::string text = event.event + event.topic + event.data;
    const auto record = exchange_->port(shard).commands->reserve(sizeof command + text.size());
    if (record.empty()) return false;
    std::memcpy(record.data(), &command, sizeof command);
    std::memcpy(record.data() + sizeof command, text.data(), text.size());
    exchange_->port(shard).commands->commit(record.size());
    return true;
  }

  std::optional<Seen> read_event(std::size_t shard) {
    const auto record = exchange_->events().peek(shard);
    if (record.empty()) return std::nullopt;
    EventRecord header;
    std::memcpy(&header, record.data(), sizeof header);
    const std::string text(reinterpret_cast<const char*>(record.data()) + sizeof header,
                           record.size() - sizeof header);
    EXPECT_EQ(text.size(), header.topic_bytes + header.frame_bytes);
    Seen seen{header.id, text.substr(0, header.topic_bytes), header.topic_hash,
              text.substr(header.topic_bytes), header.chunk_head_bytes};
    exchange_->events().release(shard);
    return seen;
  }
  std::vector<Seen> read_events(std::size_t shard) {
    std::vector<Seen> all;
    while (auto seen = read_event(shard)) all.push_back(std::move(*seen));
    return all;
  }
  std::vector<Reply> read_replies(std::size_t shard) {
    std::vector<Reply> all;
    Reply reply;
    while (exchange_->port(shard).replies.try_pop(reply)) all.push_back(reply);
    return all;
  }

  /// How often the ring was rung.
  static int wakes(uring::Ring& ring) {
    ring.wait(nanoseconds(0));
    int count = 0;
    uring::Completion completion;
    while (ring.next(completion)) count += completion.operation == uring::Operation::wake;
    return count;
  }

  PromptHighWater high_water_;
  std::uint64_t now_ms_ = kStartMs;
  Counters counters_;
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<uring::Ring> ring_;
  std::unique_ptr<EmbeddedStore> store_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(HubTest, EveryShardReadsTheEventAndItsPublisherHearsTheId) {
  start({.shards = 3});
  ASSERT_TRUE(
      publish(1, {.event = "install", .topic = "orders", .data = "a\nb", .retry_ms = 5000}, 42));
  now_ms_ += 5;
  EXPECT_EQ(turn(), std::nullopt) << "nothing is left to do";

  const EventId id{kStartMs + 5, 0};
  const std::string text =
      "id: " + to_string(id) + "\nevent: install\nretry: 5000\ndata: a\ndata: b\n\n";
  for (std::size_t shard = 0; shard < 3; ++shard) {
    const auto seen = read_events(shard);
    ASSERT_EQ(seen.size(), 1u) << shard;
    EXPECT_EQ(seen[0].id, id);
    EXPECT_EQ(seen[0].topic, "orders");
    EXPECT_EQ(seen[0].topic_hash, XXH3_64bits("orders", 6));
    EXPECT_EQ(seen[0].frame.substr(seen[0].chunk_head_bytes), text + "\r\n");
    EXPECT_EQ(std::stoul(seen[0].frame, nullptr, 16), text.size());
  }
  const auto replies = read_replies(1);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].id, id);
  EXPECT_EQ(replies[0].serial, 42u);
  EXPECT_EQ(replies[0].origin, (uring::Handle{uring::Slot{11}, 7}));
  EXPECT_TRUE(read_replies(0).empty());
  EXPECT_TRUE(read_replies(2).empty());
  EXPECT_EQ(counters_.events.get(), 1u);
  EXPECT_EQ(counters_.last_id_ms.get(), id.ms);
}

TEST_F(HubTest, EventWithoutTopicHasHashZero) {
  start({.shards = 1});
  ASSERT_TRUE(publish(0, {.data = "x"}));
  turn();
  const auto seen = read_events(0);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].topic, "");
  EXPECT_EQ(seen[0].topic_hash, 0u);
}

TEST_F(HubTest, ShardsTakeTurns) {
  start({.shards = 3});
  // Shard 0 floods; the others' only events do not wait behind its flood.
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(publish(0, {.data = "flood"}));
  ASSERT_TRUE(publish(1, {.data = "one"}));
  ASSERT_TRUE(publish(2, {.data = "two"}));
  turn();
  const auto seen = read_events(0);
  ASSERT_EQ(seen.size(), 22u);
  const auto place = [&seen](const std::string& data) {
    return std::find_if(seen.begin(), seen.end(),
                        [&](const Seen& each) {
                          return each.frame.find("data: " + data + "\n") != std::string::npos;
                        }) -
           seen.begin();
  };
  EXPECT_LE(place("one"), 2);
  EXPECT_LE(place("two"), 2);
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_GT(seen[i].id, seen[i - 1].id);
  EXPECT_EQ(read_replies(0).size(), 20u);
  EXPECT_EQ(read_replies(1).size(), 1u);
}

TEST_F(HubTest, TurnIsBoundedAndSaysWhenThereIsMore) {
  start({.shards = 1});
  int published = 0;
  while (published < 1000 && publish(0, {.data = "x"})) ++published;
  ASSERT_EQ(published, 1000);
  EXPECT_EQ(turn(), nanoseconds(0));
  const auto first = static_cast<int>(read_events(0).size());
  EXPECT_GT(first, 0);
  EXPECT_LT(first, published);
  int turns = 1;
  int seen = first;
  while (turn() == nanoseconds(0) && turns < 100) {
    seen += static_cast<int>(read_events(0).size());
    ++turns;
  }
  seen += static_cast<int>(read_events(0).size());
  EXPECT_EQ(seen, published);
}

TEST_F(HubTest, EventThatHasNoRoomGetsNoId) {
  start({.shards = 2, .event_bytes_max = 60'000, .frame_bytes_max = 200'000});
  const std::string data(50'000, 'x');
  // Shard 1 is late: it reads nothing. Shard 0 reads everything at once.
  int published = 0;
  std::vector<EventId> ids;
  for (int i = 0; i < 200 && counters_.inbox_full.get() == 0; ++i) {
    ASSERT_TRUE(publish(0, {.data = data}, static_cast<std::uint32_t>(i)));
    ++published;
    turn();
    for (const Reply& reply : read_replies(0)) ids.push_back(reply.id);
    (void)read_events(0);
  }
  ASSERT_GT(counters_.inbox_full.get(), 0u) << "the events ring was never full";
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(published) - 1);
  const std::size_t events_before = counters_.events.get();
  EXPECT_EQ(turn(), std::nullopt) << "waits for room, does not spin";
  EXPECT_EQ(counters_.events.get(), events_before);
  EXPECT_TRUE(read_replies(0).empty());

  // One record of room is enough for the one that waits.
  ASSERT_TRUE(read_event(1));
  turn();
  const auto replies = read_replies(0);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].serial, static_cast<std::uint32_t>(published - 1)) << "none was skipped";
  EXPECT_GT(replies[0].id, ids.back());
  ids.push_back(replies[0].id);

  const auto late = read_events(1);
  ASSERT_EQ(late.size() + 1, ids.size());
  for (std::size_t i = 0; i < late.size(); ++i) EXPECT_EQ(late[i].id, ids[i + 1]);
}

TEST_F(HubTest, CommandsOfAllShardsWaitInPlaceWhileThereIsNoRoom) {
  start({.shards = 2, .event_bytes_max = 60'000, .frame_bytes_max = 200'000});
  const std::string data(50'000, 'x');
  while (counters_.inbox_full.get() == 0) {
    ASSERT_TRUE(publish(0, {.data = data}));
    turn();
  }
  while (publish(0, {.data = data})) {
  }
  ASSERT_TRUE(publish(1, {.data = "small"}, 77));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(turn(), std::nullopt);
  EXPECT_TRUE(read_replies(1).empty()) << "a small one may not overtake: there might always be one";
  std::size_t seen = read_events(0).size();
  ASSERT_EQ(read_events(1).size(), seen);
  turn();
  const auto replies = read_replies(1);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].serial, 77u);
}

TEST_F(HubTest, SleepingShardIsRungOnceForABatch) {
  start({.shards = 2});
  const auto rings = {make_ring(), make_ring()};
  std::size_t shard = 0;
  for (const auto& ring : rings) exchange_->port(shard++).ring.store(ring.get());
  uring::Ring& first = **rings.begin();
  uring::Ring& second = **(rings.begin() + 1);

  exchange_->port(1).bell.about_to_sleep();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(publish(0, {.data = "x"}));
  turn();
  ring_->wait(nanoseconds(0));  // what the turn prepared reaches the kernel here
  EXPECT_EQ(wakes(second), 1);
  EXPECT_EQ(wakes(first), 0) << "it was awake";
  EXPECT_EQ(counters_.wakes.get(), 1u);

  ASSERT_TRUE(publish(0, {.data = "x"}));
  turn();
  ring_->wait(nanoseconds(0));
  EXPECT_EQ(wakes(second), 0) << "it has not gone back to sleep";
}

TEST_F(HubTest, HubAsksToBeRungOnlyWhenItSleeps) {
  start({.shards = 1});
  EXPECT_FALSE(exchange_->hub_bell.must_wake());
  EXPECT_EQ(turn(), std::nullopt);
  EXPECT_TRUE(exchange_->hub_bell.must_wake());
  EXPECT_FALSE(exchange_->hub_bell.must_wake()) << "one of the wakers is enough";
  EXPECT_FALSE(exchange_->room_bell.must_wake()) << "there is room";
  ring_->wake_from_outside();
  ring_->wait(std::chrono::seconds(10));
  EXPECT_EQ(turn(), std::nullopt) << "a wake is taken and the sleep goes on";
}

TEST_F(HubTest, HubWithoutRoomAsksToBeRungByWhoMakesRoom) {
  start({.shards = 1, .event_bytes_max = 60'000, .frame_bytes_max = 200'000});
  while (counters_.inbox_full.get() == 0) {
    ASSERT_TRUE(publish(0, {.data = std::string(50'000, 'x')}));
    turn();
  }
  EXPECT_EQ(turn(), std::nullopt);
  EXPECT_TRUE(exchange_->room_bell.must_wake());
  EXPECT_FALSE(exchange_->hub_bell.must_wake()) << "more commands would be of no use to it";
}

TEST_F(HubTest, LargestEventsFit) {
  constexpr std::size_t kEventBytes = 65'536;
  start({.shards = 1, .event_bytes_max = kEventBytes, .frame_bytes_max = 8 * kEventBytes});
  // Every byte a line end: the frame is the largest that a body of this size can become.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(publish(0, {.event = std::string(256, 'e'),
                            .topic = std::string(256, 't'),
                            .data = std::string(kEventBytes, '\n')}));
    turn();
    const auto seen = read_events(0);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_GT(seen[0].frame.size(), 6 * kEventBytes);
    ASSERT_EQ(read_replies(0).size(), 1u);
  }
}

TEST_F(HubTest, CommandsOfTheLargestBodyFitFourTimes) {
  constexpr std::size_t kEventBytes = 1 << 20;
  start({.shards = 1, .event_bytes_max = kEventBytes, .frame_bytes_max = 8 * kEventBytes});
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(publish(0, {.event = std::string(256, 'e'),
                            .topic = std::string(256, 't'),
                            .data = std::string(kEventBytes, 'x')}))
        << i;
  }
}

/// Takes everything and answers nothing: the test does.
class SilentStore : public EventStore {
 public:
  void attach(EventSink& to, uring::Ring&) override { sink = &to; }
  bool append(const Ticket& ticket, const Publication&, Time) override {
    tickets.push_back(ticket);
    return true;
  }
  bool sign_out(const Ticket& ticket, std::string_view, const SignOut&, Time) override {
    tickets.push_back(ticket);
    return true;
  }
  bool history(const Ticket& ticket, EventId after, Time) override {
    tickets.push_back(ticket);
    asked_after = after;
    return true;
  }
  void on_completion(const uring::Completion&, Time) override {}
  Next turn(Time) override { return next; }
  void stop(Time) override {}
  [[nodiscard]] bool stopped() const override { return true; }

  EventSink* sink = nullptr;
  std::vector<Ticket> tickets;
  EventId asked_after;
  Next next;
};

class HubOfRemoteStoreTest : public HubTest {
 protected:
  void start_silent(std::uint32_t shards) {
    start({.shards = shards});
    hub_ = std::make_unique<Hub>(*exchange_, silent_, *ring_, counters_);
  }

  SilentStore silent_;
};

TEST_F(HubOfRemoteStoreTest, PublishersHearWhatBecameOfTheirEventWhenTheStoreKnows) {
  start_silent(2);
  for (const std::uint32_t serial : {1u, 2u, 3u}) ASSERT_TRUE(publish(1, {.data = "x"}, serial));
  EXPECT_EQ(turn(), std::nullopt);
  ASSERT_EQ(silent_.tickets.size(), 3u);
  EXPECT_TRUE(read_replies(1).empty());

  const EventId id{kStartMs, 4};
  silent_.sink->answer(silent_.tickets[2], {.outcome = Outcome::not_taken});
  silent_.sink->answer(silent_.tickets[0], {.id = id});
  silent_.sink->answer(silent_.tickets[1], {.outcome = Outcome::unknown});
  const auto replies = read_replies(1);
  ASSERT_EQ(replies.size(), 3u);
  const auto is = [](const Reply& reply, std::uint32_t serial, Outcome outcome) {
    return reply.kind == RecordKind::event && reply.serial == serial && reply.outcome == outcome;
  };
  EXPECT_TRUE(is(replies[0], 3, Outcome::not_taken));
  EXPECT_TRUE(is(replies[1], 1, Outcome::done));
  EXPECT_EQ(replies[1].id, id);
  EXPECT_TRUE(is(replies[2], 2, Outcome::unknown));
  EXPECT_TRUE(read_replies(0).empty());
}

TEST_F(HubOfRemoteStoreTest, PagesOfHistoryGoToTheShardThatAsked) {
  start_silent(2);
  const EventId after{17, 3};
  const Command command{.kind = RecordKind::history,
                        .origin = {uring::Slot{5}, 7},
                        .serial = 9,
                        .data_bytes = sizeof after};
  RecordRing& commands = *exchange_->port(1).commands;
  const auto record = commands.reserve(sizeof command + sizeof after);
  std::memcpy(record.data(), &command, sizeof command);
  std::memcpy(record.data() + sizeof command, &after, sizeof after);
  commands.commit(record.size());
  turn();
  EXPECT_EQ(silent_.asked_after, after);

  auto page = std::make_unique<HistoryPage>();
  HistoryPage* const given = page.get();
  ASSERT_EQ(silent_.tickets.size(), 1u);
  silent_.sink->answer(silent_.tickets[0], {.page = std::move(page)});
  const auto replies = read_replies(1);
  ASSERT_EQ(replies.size(), 1u);
  const std::unique_ptr<HistoryPage> taken(replies[0].page);
  EXPECT_EQ(taken.get(), given);
  EXPECT_EQ(replies[0].kind, RecordKind::history);
  EXPECT_EQ(replies[0].serial, 9u);
}

TEST_F(HubOfRemoteStoreTest, EveryShardReadsOfTheHoleAndIsWokenForIt) {
  start_silent(2);
  auto shard_ring = make_ring();
  exchange_->port(0).ring.store(shard_ring.get());
  exchange_->port(1).ring.store(shard_ring.get());
  exchange_->port(0).bell.about_to_sleep();
  const EventId id{8, 0};
  const EventId oldest{8, 1};
  ASSERT_TRUE(silent_.sink->deliver_gap({.id = id, .newest = {5, 0}, .oldest = oldest}));
  ASSERT_TRUE(silent_.sink->deliver_gap({.id = {9, 0}, .newest = {8, 2}, .oldest = std::nullopt}));
  turn();
  EXPECT_EQ(wakes(*shard_ring), 1);

  for (std::size_t shard = 0; shard < 2; ++shard) {
    for (const bool has_oldest : {true, false}) {
      const auto record = exchange_->events().peek(shard);
      EventRecord header{};
      HoleRecord hole{};
      ASSERT_EQ(record.size(), sizeof header + sizeof hole);
      std::memcpy(&header, record.data(), sizeof header);
      std::memcpy(&hole, record.data() + sizeof header, sizeof hole);
      EXPECT_EQ(header.kind, RecordKind::gap);
      EXPECT_EQ(hole.has_oldest, has_oldest);
      if (has_oldest) {
        EXPECT_EQ(header.id, id);
        EXPECT_EQ(hole.newest, (EventId{5, 0}));
        EXPECT_EQ(hole.oldest, oldest);
      }
      exchange_->events().release(shard);
    }
  }
}

TEST_F(HubOfRemoteStoreTest, StoreWithoutRoomWaitsForTheBellOfRoomAndCommandsForTheirs) {
  start_silent(1);
  silent_.next = {.no_room = true};
  EXPECT_EQ(turn(), std::nullopt);
  EXPECT_TRUE(exchange_->room_bell.must_wake());
  EXPECT_TRUE(exchange_->hub_bell.must_wake()) << "commands are taken meanwhile";
}

}  // namespace
}  // namespace ringcast::hub
