// How the tail reads what is unusual: pages that are too large, errors, and what makes no sense.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/hub/redis_store.h"

#include "fake_redis.h"
#include "log_capture.h"
#include "redis_instance.h"
#include "redis_page_size.h"
#include "redis_server.h"
#include "redis_socket.h"

namespace ringcast::hub {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::Instance;
using test::until;
using Words = std::vector<std::string>;

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(PageSizeTest, ShrinksWhenAPageIsLostAndGrowsWithThoseThatCome) {
  PageSize size;
  for (const std::size_t entries : {128u, 32u, 8u, 2u, 1u, 1u}) {
    EXPECT_EQ(size.entries(), entries);
    size.on_lost();
  }
  size.on_reply(2, 1, 10);  // was the end
  EXPECT_EQ(size.entries(), 1u);
  for (const std::size_t entries : {2u, 4u, 8u, 16u, 32u, 64u, 128u, 128u}) {
    size.on_reply(size.entries() + 1, size.entries() + 1, 1'000);
    EXPECT_EQ(size.entries(), entries);
  }
}

TEST(PageSizeTest, ComesNowhereNearTheLimitWhenAllEntriesAreAlike) {
  for (const std::size_t entry : {20ul, 64ul << 10, kMiB, 10 * kMiB, 64 * kMiB}) {
    PageSize size;
    while (129 * entry > RedisSocket::kReplyBytesMax && size.entries() > 1) size.on_lost();
    for (int page = 0; page < 100; ++page) {
      const std::size_t asked = size.entries() + 1;
      EXPECT_LE(asked * entry, RedisSocket::kReplyBytesMax) << entry;
      size.on_reply(asked, asked, asked * entry);
    }
  }
}

class RedisTailTest : public testing::Test {
 protected:
  void start(const std::string& url = {}) {
    one_ = std::make_unique<Instance>(server_, [&](RedisStoreOptions& options) {
      if (!url.empty()) options.redis.url = url;
    });
  }
  void start_up() {
    start();
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->is_up(); }));
  }
  /// `count` entries of so many bytes.
  void add_large(std::size_t count, std::size_t bytes) {
    const std::string script =
        "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'data', string.rep('x', ARGV[2])) "
        "end return 1";
    const auto reply = client_(
        {"EVAL", script, "1", "ringcast:events", std::to_string(count), std::to_string(bytes)});
    ASSERT_EQ(reply.number, 1) << reply.text;
  }
  /// Turns of the next 300 ms after which the next one is due at once.
  int hasty_turns() {
    int hasty = 0;
    (void)until(
        {one_.get()},
        [&] {
          hasty += one_->wait == 0ns;
          return false;
        },
        300ms);
    return hasty;
  }

  test::RedisServer server_;
  test::RedisClient client_{server_};
  std::unique_ptr<Instance> one_;
};

// ── Pages that are too large ────────────────────────────────────────────────────────────────────

TEST_F(RedisTailTest, APageThatIsTooLargeIsReadInParts) {
  test::add(client_, {"data", "first"});
  add_large(140, kMiB * 5 / 4);  // skipped: longer than limits.event_bytes
  test::add(client_, {"data", "last"});
  start();
  ASSERT_TRUE(until(
      {one_.get()}, [&] { return one_->sink.delivered.size() == 2; }, 30s));
  EXPECT_EQ(one_->sink.data(), (Words{"first", "last"}));
  EXPECT_EQ(one_->counters.entries_invalid.get(), 140u);
  EXPECT_EQ(one_->sink.gaps(), 0u);
}

TEST_F(RedisTailTest, TwoOfTheLargestEventsFitIntoOneReply) {
  one_ = std::make_unique<Instance>(
      server_, [](RedisStoreOptions& options) { options.event_bytes_max = 64 * kMiB; });
  add_large(2, 64 * kMiB);
  test::add(client_, {"data", "last"});
  ASSERT_TRUE(until(
      {one_.get()}, [&] { return one_->sink.delivered.size() == 3; }, 30s));
  EXPECT_EQ(one_->sink.data().back(), "last");
  EXPECT_EQ(one_->sink.gaps(), 0u);
}

TEST_F(RedisTailTest, AnEntryThatNeverFitsIsSaidAndTheRestComesOnceItIsGone) {
  test::add(client_, {"data", "first"});
  start_up();
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->sink.delivered.size() == 1; }));
  const test::LogCapture log;
  client_({"CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0"});
  const std::string id =
      client_({"XADD", "ringcast:events", "*", "data", std::string(5 * kMiB, 'x')}).text;
  test::add(client_, {"data", "last"});
  ASSERT_TRUE(until(
      {one_.get()}, [&] { return log.says("XDEL takes the large one away"); }, 20s));
  EXPECT_TRUE(log.says(to_string(one_->sink.delivered[0].id))) << log.text();
  client_({"XDEL", "ringcast:events", id});
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->sink.delivered.size() == 2; }));
  EXPECT_EQ(one_->sink.data(), (Words{"first", "last"}));
}

// ── Errors ──────────────────────────────────────────────────────────────────────────────────────

TEST_F(RedisTailTest, AnOutageAfterAnErrorIsNoBusyLoop) {
  start_up();
  const test::LogCapture log;
  client_({"SET", "ringcast:events", "no stream"});
  ASSERT_TRUE(until({one_.get()}, [&] { return log.says("the Redis stream cannot be read"); }));
  server_.kill();
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->counters.tail_connected.get() == 0; }));
  test::run_for({one_.get()}, 600ms);
  EXPECT_LE(hasty_turns(), 30);
}

TEST_F(RedisTailTest, APageThatWaitsForRoomAfterAnErrorIsNoBusyLoop) {
  // The bell is broken, and the page behind it comes all the same.
  const FakeRedis fake([](const Words& words) -> std::string {
    if (words[0] == "XINFO") {
      return FakeRedis::list({FakeRedis::text("last-generated-id"), FakeRedis::text("9-0")});
    }
    if (words[0] != "XRANGE") return {};
    if (words[2] == "0-0") return FakeRedis::list({FakeRedis::entry("5-0")});
    return FakeRedis::list({FakeRedis::entry("5-0"), FakeRedis::entry("9-0")});
  });
  start(fake.url());
  one_->sink.room = 1;
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->no_room; }));
  test::run_for({one_.get()}, 600ms);
  EXPECT_LE(hasty_turns(), 30);
  one_->sink.room = SIZE_MAX;
  ASSERT_TRUE(until({one_.get()}, [&] { return one_->sink.delivered.size() == 2; }));
}

// ── What no Redis says ──────────────────────────────────────────────────────────────────────────

TEST_F(RedisTailTest, EntriesThatMakeNoSenseAreRefusedAndReadAgainLater) {
  const std::string shapeless = FakeRedis::list({FakeRedis::text("7-1"), "*-1\r\n"});
  const std::vector<std::vector<std::string>> pages{
      {shapeless},                                         // nothing is left of it
      {FakeRedis::entry("5-0"), shapeless},                //
      {FakeRedis::entry("9-0"), FakeRedis::entry("8-0")},  // falling
      {FakeRedis::entry("9-0"), FakeRedis::entry("9-0")},
      {FakeRedis::entry("0-0"), FakeRedis::entry("0-0")},  // not behind ours
      {FakeRedis::text("5-0")},
  };
  for (const auto& page : pages) {
    const std::string odd = FakeRedis::list(page);
    std::atomic<bool> is_odd = true;
    std::atomic<int> asked = 0;
    const FakeRedis fake([&](const Words& words) -> std::string {
      if (words[0] == "XREAD") {
        std::this_thread::sleep_for(10ms);
        return "*-1\r\n";
      }
      if (words[0] == "XINFO") {
        return FakeRedis::list({FakeRedis::text("last-generated-id"), FakeRedis::text("9-0")});
      }
      if (words[0] != "XRANGE") return {};
      ++asked;
      return is_odd ? odd : FakeRedis::list({FakeRedis::entry("5-0"), FakeRedis::entry("9-0")});
    });
    const test::LogCapture log;
    start(fake.url());
    ASSERT_TRUE(until({one_.get()}, [&] { return log.says("the Redis stream cannot be read"); }))
        << odd;
    test::run_for({one_.get()}, 100ms);
    EXPECT_LE(asked, 2) << odd;  // with a pause
    EXPECT_TRUE(one_->sink.delivered.empty()) << odd;
    is_odd = false;
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->sink.data().size() == 2; })) << odd;
    EXPECT_EQ(one_->sink.data(), (Words{"5-0", "9-0"}));
    one_.reset();
  }
}

TEST_F(RedisTailTest, HistoryThatMakesNoSenseIsRefused) {
  const std::string shapeless = FakeRedis::list({FakeRedis::text("7-1"), "*-1\r\n"});
  const std::vector<std::vector<std::string>> pages{
      {FakeRedis::entry("5-0"), shapeless},
      {FakeRedis::entry("5-0"), FakeRedis::entry("9-0"), FakeRedis::entry("8-0")},
      {FakeRedis::entry("5-0"), FakeRedis::entry("5-0")},
      {FakeRedis::entry("4-0"), FakeRedis::entry("6-0")},
  };
  for (const auto& page : pages) {
    const std::string odd = FakeRedis::list(page);
    const FakeRedis fake([&](const Words& words) -> std::string {
      if (words[0] == "XRANGE" && words[2] == "5-0") return odd;
      if (words[0] == "XRANGE") return FakeRedis::list({});
      if (words[0] == "XINFO") return "-ERR no such key\r\n";
      if (words[0] == "XREAD") std::this_thread::sleep_for(10ms);
      return words[0] == "XREAD" ? "*-1\r\n" : "";
    });
    start(fake.url());
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->counters.commands_connected.get() == 1; }));
    const auto serial = one_->ask_history({5, 0});
    ASSERT_TRUE(until({one_.get()}, [&] { return one_->answer(serial) != nullptr; }));
    EXPECT_EQ(one_->outcome(serial), Outcome::not_taken) << odd;
    one_.reset();
  }
}

}  // namespace
}  // namespace ringcast::hub
