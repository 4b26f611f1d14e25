#include "ringcast/tls/ticket_keys.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace ringcast;
using namespace ringcast::tls;

Time at(std::uint64_t seconds) {
  return {.mono_ns = seconds * kNsPerSecond, .unix_ms = 0};
}

TEST(TicketKeys, AKeySealsForItsTimeAndIsReplaced) {
  TicketKeys keys(at(1000));
  const TicketKeys::Key first = keys.newest();
  EXPECT_FALSE(keys.advance(at(1000)));
  EXPECT_FALSE(keys.advance(at(1000 + kTicketKeySeconds - 1)));
  EXPECT_EQ(keys.newest().name, first.name);
  EXPECT_TRUE(keys.advance(at(1000 + kTicketKeySeconds)));
  const TicketKeys::Key second = keys.newest();
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  EXPECT_NE(second.mac, first.mac);
  EXPECT_NE(second.cipher, second.mac);
  EXPECT_FALSE(keys.advance(at(1000 + kTicketKeySeconds)));
}

TEST(TicketKeys, AKeyOpensForAsLongAsATicketOfItsCanLive) {
  TicketKeys keys(at(0));
  const TicketKeys::Key first = keys.newest();
  // The last ticket is sealed just before the next key is made.
  for (std::uint64_t seconds = 0; seconds < kTicketKeySeconds + kTicketSeconds; seconds += 60) {
    keys.advance(at(seconds));
    const auto found = keys.find(first.name.data());
    ASSERT_TRUE(found.has_value()) << seconds;
    EXPECT_EQ(found->key.cipher, first.cipher);
    EXPECT_EQ(found->key.mac, first.mac);
    EXPECT_EQ(found->newest, seconds < kTicketKeySeconds);
  }
  keys.advance(at(kTicketKeySeconds + kTicketSeconds));
  EXPECT_FALSE(keys.find(first.name.data()).has_value());
}

TEST(TicketKeys, AfterALongPauseOldKeysAreGone) {
  TicketKeys keys(at(0));
  const TicketKeys::Key first = keys.newest();
  EXPECT_TRUE(keys.advance(at(7 * 86'400)));
  EXPECT_FALSE(keys.find(first.name.data()).has_value());
  EXPECT_TRUE(keys.find(keys.newest().name.data()).has_value());
}

TEST(TicketKeys, AnUnknownOrEmptyNameOpensNothing) {
  const TicketKeys keys(at(0));
  const std::array<unsigned char, 16> zeros{};  // as the slots that have no key yet
  EXPECT_FALSE(keys.find(zeros.data()).has_value());
  TicketKeys::Key near = keys.newest();
  near.name.back() ^= 1;
  EXPECT_FALSE(keys.find(near.name.data()).has_value());
}

TEST(TicketKeys, ReadersSeeWholeKeysWhileTheyTurn) {
  TicketKeys keys(at(0));
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const TicketKeys::Key newest = keys.newest();
        const auto found = keys.find(newest.name.data());
        // Three turns in between would be needed for it to be gone; then it is not found at all.
        if (found && found->key.cipher != newest.cipher) ++wrong;
      }
    });
  }
  for (std::uint64_t turn = 1; turn <= 2000; ++turn) {
    EXPECT_TRUE(keys.advance(at(turn * kTicketKeySeconds)));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
