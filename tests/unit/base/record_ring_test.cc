#include "ringcast/base/record_ring.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

constexpr std::size_t kRingBytes = 4096;

std::unique_ptr<RecordRing> make(std::size_t readers, std::size_t bytes = kRingBytes) {
  auto ring = RecordRing::create(bytes, readers);
  EXPECT_TRUE(ring.ok());
  return std::move(ring).value();
}

bool write(RecordRing& ring, std::string_view text) {
  const std::span<std::byte> room = ring.reserve(text.size());
  if (room.empty()) return false;
  std::memcpy(room.data(), text.data(), text.size());
  ring.commit(text.size());
  return true;
}

std::string text_of(std::span<const std::byte> record) {
  return {reinterpret_cast<const char*>(record.data()), record.size()};
}

TEST(RecordRing, RecordsArriveInOrder) {
  const auto ring = make(1);
  EXPECT_TRUE(ring->empty(0));
  EXPECT_TRUE(ring->peek(0).empty());
  ASSERT_TRUE(write(*ring, "one"));
  ASSERT_TRUE(write(*ring, "twotwo"));
  EXPECT_FALSE(ring->empty(0));
  EXPECT_EQ(text_of(ring->peek(0)), "one");
  EXPECT_EQ(text_of(ring->peek(0)), "one") << "peek does not consume";
  ring->release(0);
  EXPECT_EQ(text_of(ring->peek(0)), "twotwo");
  ring->release(0);
  EXPECT_TRUE(ring->peek(0).empty());
  EXPECT_TRUE(ring->empty(0));
}

TEST(RecordRing, ReservationIsInvisibleUntilCommitted) {
  const auto ring = make(1);
  ASSERT_EQ(ring->reserve(10).size(), 10u);
  EXPECT_TRUE(ring->peek(0).empty());
  EXPECT_TRUE(ring->empty(0));
  const std::span<std::byte> again = ring->reserve(6);
  std::memcpy(again.data(), "second", 6);
  ring->commit(6);
  EXPECT_EQ(text_of(ring->peek(0)), "second");
}

TEST(RecordRing, CommitCutsTheReservation) {
  const auto ring = make(1);
  std::memcpy(ring->reserve(100).data(), "short", 5);
  ring->commit(5);
  ASSERT_TRUE(write(*ring, "next"));
  EXPECT_EQ(text_of(ring->peek(0)), "short");
  ring->release(0);
  EXPECT_EQ(text_of(ring->peek(0)), "next");
}

TEST(RecordRing, FullRingRefusesUntilTheSlowestReaderReleases) {
  const auto ring = make(2);
  const std::string record(ring->record_bytes_max() - 8, 'x');
  ASSERT_TRUE(write(*ring, record));
  ASSERT_TRUE(write(*ring, record));
  EXPECT_FALSE(write(*ring, "y"));
  EXPECT_EQ(ring->peek(0).size(), record.size());
  ring->release(0);
  EXPECT_FALSE(write(*ring, "y")) << "reader 1 still holds the first record";
  EXPECT_EQ(ring->peek(1).size(), record.size());
  ring->release(1);
  EXPECT_TRUE(write(*ring, "y"));
}

TEST(RecordRing, LargestRecordFitsInAnEmptyRingAtEveryPlace) {
  const auto ring = make(1);
  for (std::size_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(write(*ring, "z"));
    ASSERT_EQ(text_of(ring->peek(0)), "z");
    ring->release(0);
    const std::string large(ring->record_bytes_max(), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(write(*ring, large));
    ASSERT_EQ(text_of(ring->peek(0)), large);
    ring->release(0);
  }
}

TEST(RecordRingDeathTest, RecordLargerThanTheLimitIsABug) {
  const auto ring = make(1);
  EXPECT_DEATH((void)ring->reserve(ring->record_bytes_max() + 1), "internal error");
}

TEST(RecordRing, EachReaderSeesEveryRecord) {
  const auto ring = make(3);
  ASSERT_TRUE(write(*ring, "a"));
  ASSERT_TRUE(write(*ring, "b"));
  for (std::size_t reader = 0; reader < 3; ++reader) {
    EXPECT_EQ(text_of(ring->peek(reader)), "a");
    ring->release(reader);
    EXPECT_EQ(text_of(ring->peek(reader)), "b");
    ring->release(reader);
    EXPECT_TRUE(ring->empty(reader));
  }
}

// Every record says its number, and its length and bytes follow from that.
std::size_t length_of(std::uint64_t number) {
  return 8 + (number * 2654435761u >> 7) % 300;
}
std::byte filler_of(std::uint64_t number) {
  return static_cast<std::byte>(number * 31 + 7);
}

void stress(std::size_t readers, std::uint64_t records) {
  const auto ring = make(readers);
  std::vector<std::uint64_t> faults(readers, 0);
  std::vector<std::thread> threads;
  for (std::size_t reader = 0; reader < readers; ++reader) {
    threads.emplace_back([&, reader] {
      for (std::uint64_t number = 0; number < records;) {
        const std::span<const std::byte> record = ring->peek(reader);
        if (record.empty()) {
          std::this_thread::yield();
          continue;
        }
        std::uint64_t said = 0;
        std::memcpy(&said, record.data(), sizeof said);
        bool good = said == number && record.size() == length_of(number);
        for (const std::byte filler : record.subspan(sizeof said))
          good &= filler == filler_of(number);
        if (!good) ++faults[reader];
        ring->release(reader);
        ++number;
      }
    });
  }
  for (std::uint64_t number = 0; number < records; ++number) {
    std::span<std::byte> room;
    while ((room = ring->reserve(length_of(number))).empty()) std::this_thread::yield();
    std::memcpy(room.data(), &number, sizeof number);
    std::memset(room.data() + sizeof number, static_cast<int>(filler_of(number)),
                room.size() - sizeof number);
    ring->commit(room.size());
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint64_t count : faults) EXPECT_EQ(count, 0u);
  for (std::size_t reader = 0; reader < readers; ++reader) EXPECT_TRUE(ring->empty(reader));
}

TEST(RecordRing, TwoThreadsExchangeEveryRecordIntact) {
  stress(1, 200'000);
}
TEST(RecordRing, ThreeReaderThreadsSeeEveryRecordIntact) {
  stress(3, 100'000);
}

}  // namespace
}  // namespace ringcast
