#include "ringcast/base/slab.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

TEST(Slab, HandsOutDistinctHandlesUpToItsSize) {
  Slab<int, 4> slab(10);
  std::set<std::uint32_t> handles;
  for (int i = 0; i < 10; ++i) handles.insert(slab.take());
  EXPECT_EQ(handles.size(), 10u);
  EXPECT_FALSE(handles.contains(Slab<int>::kNone));
  EXPECT_TRUE(slab.full());
  EXPECT_EQ((slab.take()), (Slab<int, 4>::kNone));
  EXPECT_EQ(slab.size(), 10u) << "a refusal counts nothing";
}

TEST(Slab, GivenBackHandleIsTakenAgain) {
  Slab<int, 4> slab(2);
  const auto first = slab.take();
  (void)slab.take();
  slab.give_back(first);
  EXPECT_EQ(slab.size(), 1u);
  EXPECT_FALSE(slab.full());
  EXPECT_EQ(slab.take(), first);
  EXPECT_TRUE(slab.full());
}

TEST(Slab, ObjectsNeverMoveWhileTheSlabGrows) {
  Slab<int, 4> slab(1000);
  std::vector<std::pair<std::uint32_t, int*>> taken;
  for (int i = 0; i < 1000; ++i) {
    const auto handle = slab.take();
    slab[handle] = i;
    taken.emplace_back(handle, &slab[handle]);
  }
  for (int i = 0; i < 1000; ++i) {
    const auto [handle, address] = taken[static_cast<std::size_t>(i)];
    EXPECT_EQ(&slab[handle], address);
    EXPECT_EQ(*address, i);
  }
}

TEST(Slab, BuffersOfGivenBackObjectsAreKept) {
  Slab<std::string> slab(1);
  auto handle = slab.take();
  slab[handle].assign(1000, 'x');
  const char* const buffer = slab[handle].data();
  slab[handle].clear();
  slab.give_back(handle);
  handle = slab.take();
  slab[handle].assign(900, 'y');
  EXPECT_EQ(slab[handle].data(), buffer);
}

TEST(Slab, EmptySlabHasNothing) {
  Slab<int> slab(0);
  EXPECT_EQ(slab.take(), Slab<int>::kNone);
  EXPECT_TRUE(slab.full());
}

}  // namespace
}  // namespace ringcast
