#include "ringcast/shard/signed_out.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

TEST(SignedOut, HoldsWhatWasPutThereUntilItExpires) {
  SignedOut set(64);
  EXPECT_FALSE(set.contains(7));
  set.add(7, 1'000, 10);
  EXPECT_TRUE(set.contains(7));
  EXPECT_FALSE(set.contains(8));
  EXPECT_FALSE(set.contains(7 + 16));  // of the same stripe
  set.add(7 + 32, 9'000, 1'001);       // the expired one makes room
  EXPECT_FALSE(set.contains(7));
  EXPECT_TRUE(set.contains(7 + 32));
}

TEST(SignedOut, ForgetsTheFirstWhenItIsFull) {
  SignedOut set(16);  // two in each stripe
  for (std::uint64_t i = 0; i < 3; ++i) set.add(1 + 16 * i, 1'000, 0);
  EXPECT_FALSE(set.contains(1));
  EXPECT_TRUE(set.contains(17));
  EXPECT_TRUE(set.contains(33));
}

TEST(SignedOut, TwiceIsOnce) {
  SignedOut set(16);
  for (int i = 0; i < 100; ++i) set.add(5, 1'000, 0);
  set.add(21, 1'000, 0);
  EXPECT_TRUE(set.contains(5));
  EXPECT_TRUE(set.contains(21));
}

TEST(SignedOut, OtherThreadsSeeItAtOnce) {
  SignedOut set(100'000);
  constexpr std::uint64_t kSessions = 20'000;
  std::atomic<std::uint64_t> added{0};
  std::thread reader([&set, &added] {
    for (std::uint64_t seen = 0; seen < kSessions;) {
      seen = added.load(std::memory_order_acquire);
      if (seen > 0) {
        ASSERT_TRUE(set.contains(seen));
      }
    }
  });
  for (std::uint64_t session = 1; session <= kSessions; ++session) {
    set.add(session, 1'000, 0);
    added.store(session, std::memory_order_release);
  }
  reader.join();
}

}  // namespace
}  // namespace ringcast::shard
