#include "load/sequence_table.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

using Arrival = SequenceTable::Arrival;

TEST(SequenceTable, InOrderNothingIsMissing) {
  SequenceTable table{2, 1};
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(table.arrive(1, 0, i), Arrival::next);
  EXPECT_EQ(table.missing(1, 0, 100), 0U);
  EXPECT_EQ(table.missing(1, 0, 103), 3U);
  EXPECT_EQ(table.missing(0, 0, 100), 100U);
}

TEST(SequenceTable, TellsLateFromDuplicate) {
  SequenceTable table{1, 1};
  EXPECT_EQ(table.arrive(0, 0, 0), Arrival::next);
  EXPECT_EQ(table.arrive(0, 0, 0), Arrival::duplicate);
  EXPECT_EQ(table.arrive(0, 0, 4), Arrival::ahead);
  EXPECT_EQ(table.missing(0, 0, 5), 3U);
  EXPECT_EQ(table.arrive(0, 0, 2), Arrival::late);
  EXPECT_EQ(table.arrive(0, 0, 2), Arrival::duplicate);
  EXPECT_EQ(table.missing(0, 0, 5), 2U);
  EXPECT_EQ(table.arrive(0, 0, 1), Arrival::late);
  EXPECT_EQ(table.arrive(0, 0, 3), Arrival::late);
  EXPECT_EQ(table.missing(0, 0, 5), 0U);
  EXPECT_EQ(table.arrive(0, 0, 4), Arrival::duplicate);
  EXPECT_EQ(table.arrive(0, 0, 5), Arrival::next);
}

TEST(SequenceTable, LanesAndStreamsAreApart) {
  SequenceTable table{3, 2};
  EXPECT_EQ(table.arrive(1, 0, 0), Arrival::next);
  EXPECT_EQ(table.arrive(1, 1, 0), Arrival::next);
  EXPECT_EQ(table.arrive(2, 0, 0), Arrival::next);
  EXPECT_EQ(table.arrive(1, 1, 5), Arrival::ahead);
  EXPECT_EQ(table.missing(1, 0, 6), 5U);
  EXPECT_EQ(table.missing(1, 1, 6), 4U);
}

TEST(SequenceTable, AgreesWithASetForAnyOrder) {
  std::mt19937 random{11};
  for (int round = 0; round < 50; ++round) {
    SequenceTable table{1, 1};
    std::set<std::uint32_t> arrived;
    for (int i = 0; i < 200; ++i) {
      const auto index = static_cast<std::uint32_t>(random() % 60);
      const bool fresh = !arrived.contains(index);
      const std::uint32_t due = arrived.empty() ? 0 : *arrived.rbegin() + 1;
      const Arrival expected = !fresh         ? Arrival::duplicate
                               : index < due  ? Arrival::late
                               : index == due ? Arrival::next
                                              : Arrival::ahead;
      ASSERT_EQ(table.arrive(0, 0, index), expected);
      arrived.insert(index);
      ASSERT_EQ(table.missing(0, 0, 60), 60 - arrived.size());
      const auto below = static_cast<std::uint64_t>(
          std::count_if(arrived.begin(), arrived.end(), [](std::uint32_t n) { return n < 30; }));
      ASSERT_EQ(table.missing(0, 0, 30), 30 - below);
    }
  }
}

}  // namespace
}  // namespace ringcast::load
