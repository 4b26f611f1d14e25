#include "backlog.h"

#include <gtest/gtest.h>

namespace ringcast::uring {
namespace {

TEST(Backlog, KeepsTheOrderWhenItGrowsAroundItsEnd) {
  Backlog backlog(4);
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  Event event{};
  // More in than out, so that it grows several times, with its head in the middle.
  for (int round = 0; round != 100; ++round) {
    for (int i = 0; i != 5; ++i) backlog.push(Event{pushed++, 0, 0});
    for (int i = 0; i != 3; ++i) {
      ASSERT_TRUE(backlog.pop(event));
      ASSERT_EQ(event.user_data, popped++);
    }
  }
  while (backlog.pop(event)) ASSERT_EQ(event.user_data, popped++);
  EXPECT_EQ(popped, pushed);
  EXPECT_TRUE(backlog.empty());
}

}  // namespace
}  // namespace ringcast::uring
