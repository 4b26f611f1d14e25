#include <deque>
#include <random>

#include <gtest/gtest.h>

#include "pump.h"

namespace ringcast::shard {
namespace {

using sse::TopicId;

TEST(TopicQueue, FirstInFirstOut) {
  TopicQueue queue;
  EXPECT_TRUE(queue.empty());
  for (std::uint32_t i = 0; i < 10; ++i) queue.push(TopicId{i});
  EXPECT_EQ(queue.size(), 10u);
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(queue.pop(), TopicId{i});
  EXPECT_TRUE(queue.empty());
}

TEST(TopicQueue, OrderSurvivesGrowthWhereverTheFrontStands) {
  for (std::uint32_t front = 0; front <= 64; ++front) {
    TopicQueue queue;
    for (std::uint32_t i = 0; i < front; ++i) {
      queue.push(TopicId{0});
      (void)queue.pop();
    }
    for (std::uint32_t i = 0; i < 200; ++i) queue.push(TopicId{i});
    for (std::uint32_t i = 0; i < 200; ++i) ASSERT_EQ(queue.pop(), TopicId{i}) << front;
  }
}

TEST(TopicQueue, RandomOperationsMatchADeque) {
  std::mt19937 random(5);
  TopicQueue queue;
  std::deque<TopicId> model;
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 100 < ((step / 1000) % 2 == 0 ? 60u : 40u)) {
      const TopicId topic{static_cast<std::uint32_t>(random())};
      queue.push(topic);
      model.push_back(topic);
    } else if (!model.empty()) {
      ASSERT_EQ(queue.pop(), model.front());
      model.pop_front();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.empty(), model.empty());
  }
}

TEST(TopicQueue, PopOfNothingIsABug) {
  TopicQueue queue;
  EXPECT_DEATH((void)queue.pop(), "size_ > 0");
}

}  // namespace
}  // namespace ringcast::shard
