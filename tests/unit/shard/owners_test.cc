#include "owners.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

using Handle = Owners::Handle;

std::vector<Handle> due_at(Owners& owners, std::uint32_t now_s) {
  std::vector<Handle> due;
  EXPECT_FALSE(owners.take_due(now_s, 1'000'000, due));
  std::sort(due.begin(), due.end());
  return due;
}

TEST(Owners, AreDueInTheirSecondAndNotBefore) {
  Owners owners(8);
  const Handle handle = owners.add({.ends_s = 100});
  EXPECT_TRUE(due_at(owners, 99).empty());
  EXPECT_EQ(due_at(owners, 100), std::vector{handle});
}

TEST(Owners, WithoutATimeAreNeverDue) {
  Owners owners(8);
  const Handle handle = owners.add({.ends_s = Owners::kNever});
  EXPECT_FALSE(owners.any_timed());
  EXPECT_TRUE(due_at(owners, Owners::kNever - 1).empty());
  owners.remove(handle);
  EXPECT_EQ(owners.size(), 0U);
}

TEST(Owners, BeyondATurnOfTheWheelWaitForTheirTime) {
  Owners owners(8);
  EXPECT_TRUE(due_at(owners, 10).empty());
  const Handle later = owners.add({.ends_s = 10 + 3 * 1024 + 5});
  for (std::uint32_t now_s = 11; now_s < 10 + 3 * 1024 + 5; now_s += 7) {
    ASSERT_TRUE(due_at(owners, now_s).empty()) << now_s;
  }
  EXPECT_EQ(due_at(owners, 10 + 3 * 1024 + 6), std::vector{later});
}

TEST(Owners, InThePastAreDueAtOnce) {
  Owners owners(8);
  const Handle first = owners.add({.ends_s = 50});
  EXPECT_EQ(due_at(owners, 60), std::vector{first});
  owners.remove(first);
  const Handle second = owners.add({.ends_s = 20});
  EXPECT_EQ(due_at(owners, 61), std::vector{second});
}

TEST(Owners, AreFoundAfterALongSleep) {
  Owners owners(8);
  const Handle handle = owners.add({.ends_s = 5});
  EXPECT_EQ(due_at(owners, 5 + 100 * 1024), std::vector{handle});
}

TEST(Owners, WhoSignOutAreDueAtOnceAndMarked) {
  Owners owners(8);
  const Handle handle = owners.add({.session = 7, .ends_s = 4000});
  EXPECT_TRUE(due_at(owners, 100).empty());
  owners.sign_out(handle);
  EXPECT_TRUE(owners[handle].signed_out);
  EXPECT_EQ(due_at(owners, 101), std::vector{handle});
}

TEST(Owners, PutOffAreDueInTheNextSecond) {
  Owners owners(8);
  const Handle handle = owners.add({.ends_s = 10});
  EXPECT_EQ(due_at(owners, 10), std::vector{handle});
  owners.put_off(handle, 10);
  EXPECT_EQ(owners[handle].put_off, 1U);
  EXPECT_TRUE(due_at(owners, 10).empty());
  EXPECT_EQ(due_at(owners, 11), std::vector{handle});
}

TEST(Owners, AreHandedOutAFewAtATime) {
  Owners owners(64);
  for (int i = 0; i < 10; ++i) (void)owners.add({.ends_s = 3});
  std::vector<Handle> due;
  std::size_t handled = 0;
  while (owners.take_due(5, 4, due)) {
    EXPECT_EQ(due.size(), 4U);
    for (const Handle handle : due) owners.remove(handle);
    handled += due.size();
  }
  for (const Handle handle : due) owners.remove(handle);
  EXPECT_EQ(handled + due.size(), 10U);
  EXPECT_EQ(owners.size(), 0U);
}

// Against the obvious: a map from handle to second.
TEST(Owners, AgreeWithASimpleModel) {
  std::mt19937 random(1);
  const auto below = [&random](std::uint32_t end) {
    return static_cast<std::uint32_t>(random() % end);
  };
  Owners owners(200);
  std::map<Handle, std::uint32_t> model;
  std::uint32_t now_s = 1;
  for (int step = 0; step < 20'000; ++step) {
    switch (below(5)) {
      case 0:
      case 1:
        if (!owners.full()) {
          const std::uint32_t ends_s = now_s + below(5'000);
          model[owners.add({.ends_s = ends_s})] = ends_s;
        }
        break;
      case 2:
        if (!model.empty()) {
          const auto victim =
              std::next(model.begin(), below(static_cast<std::uint32_t>(model.size())));
          owners.remove(victim->first);
          model.erase(victim);
        }
        break;
      case 3:
        if (!model.empty()) {
          const auto one =
              std::next(model.begin(), below(static_cast<std::uint32_t>(model.size())));
          owners.sign_out(one->first);
          one->second = 0;
        }
        break;
      default: {
        now_s += 1 + below(below(10) == 0 ? 3'000 : 3);
        std::vector<Handle> expected;
        for (const auto& [handle, ends_s] : model) {
          if (ends_s <= now_s) expected.push_back(handle);
        }
        ASSERT_EQ(due_at(owners, now_s), expected) << "step " << step;
        for (const Handle handle : expected) {
          if (below(2) == 0) {
            owners.remove(handle);
            model.erase(handle);
          } else {
            owners.put_off(handle, now_s);
            model[handle] = now_s + 1;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ringcast::shard
