#include "load/gap_ledger.h"

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(GapLedger, AGapAllowsOneJumpInEachLane) {
  GapLedger ledger{2, 3};
  EXPECT_FALSE(ledger.take(1, 0));
  ledger.tell(1);
  EXPECT_TRUE(ledger.take(1, 0));
  EXPECT_FALSE(ledger.take(1, 0));
  EXPECT_TRUE(ledger.take(1, 2));
  EXPECT_TRUE(ledger.take(1, 1));
  EXPECT_FALSE(ledger.take(1, 2));
}

TEST(GapLedger, AGapCountsForItsStreamOnly) {
  GapLedger ledger{3, 2};
  ledger.tell(1);
  for (const std::uint32_t other : {0U, 2U}) {
    for (const std::uint32_t lane : {0U, 1U}) EXPECT_FALSE(ledger.take(other, lane));
  }
}

}  // namespace
}  // namespace ringcast::load
