#include "topics.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

using sse::kPublicTopic;
using sse::TopicId;

std::vector<TopicId> to_vector(std::span<const TopicId> topics) {
  return {topics.begin(), topics.end()};
}

TEST(TopicTable, EmptyNameIsThePublicRoom) {
  TopicTable topics;
  EXPECT_EQ(topics.intern("", topic_hash("")), kPublicTopic);
  EXPECT_EQ(topics.intern("", 0), kPublicTopic);
  EXPECT_EQ(topics.size(), 1u);
  topics.release_unused(kPublicTopic);
  EXPECT_EQ(topics.size(), 1u) << "it stays when nothing refers to it";
}

TEST(TopicTable, OneNameHasOneTopic) {
  TopicTable topics;
  const TopicId orders = topics.intern("orders", topic_hash("orders"));
  const TopicId users = topics.intern("users", topic_hash("users"));
  EXPECT_NE(orders, users);
  EXPECT_EQ(topics.intern("orders", topic_hash("orders")), orders);
  EXPECT_EQ(topics[orders].name, "orders");
  EXPECT_EQ(topics.size(), 3u);
}

TEST(TopicTable, NamesOfOneHashAreKeptApart) {
  constexpr std::uint64_t kHash = 0x1234;
  TopicTable topics;
  const TopicId a = topics.intern("a", kHash);
  const TopicId b = topics.intern("b", kHash);
  const TopicId c = topics.intern("c", kHash);
  EXPECT_NE(a, b);
  EXPECT_NE(b, c);
  // The one in the middle goes; its neighbours are still found.
  topics.release_unused(b);
  EXPECT_EQ(topics.intern("a", kHash), a);
  EXPECT_EQ(topics.intern("c", kHash), c);
  const TopicId again = topics.intern("b", kHash);
  EXPECT_EQ(topics[again].name, "b");
  EXPECT_NE(again, a);
  EXPECT_NE(again, c);
}

TEST(TopicTable, NameMayHoldAnyBytes) {
  TopicTable topics;
  using namespace std::string_literals;
  const TopicId with = topics.intern("a\0b"s, 1);
  const TopicId without = topics.intern("a"s, 1);
  EXPECT_NE(with, without);
  EXPECT_EQ(topics.intern("a\0b"s, 1), with);
}

TEST(TopicTable, TopicStaysWhileAnythingRefersToIt) {
  TopicTable topics;
  const TopicId id = topics.intern("a", 1);
  const auto stays = [&] {
    topics[id].newest = 17;
    topics.release_unused(id);
    return topics.size() == 2 && topics[id].newest == 17;
  };
  topics[id].log_events = 1;
  EXPECT_TRUE(stays()) << "for an event in the log";
  topics[id].log_events = 0;
  topics[id].sets = 1;
  EXPECT_TRUE(stays()) << "for a stream";
  topics[id].sets = 0;
  topics[id].queued = true;
  EXPECT_TRUE(stays()) << "for the pump";
  topics[id].queued = false;
  topics.release_unused(id);
  EXPECT_EQ(topics.size(), 1u);
}

TEST(TopicTable, ReusedIdRemembersNothing) {
  TopicTable topics;
  const TopicId first = topics.intern("first", 1);
  topics[first].newest = 17;
  topics[first].newest_evicted = 16;
  topics[first].members.push_back({});
  topics[first].members_left = 1;
  topics[first].round = 9;
  topics.release_unused(first);
  const TopicId second = topics.intern("second", 2);
  ASSERT_EQ(second, first);
  EXPECT_EQ(topics[second].newest, sse::kNoOrdinal);
  EXPECT_EQ(topics[second].newest_evicted, sse::kNoOrdinal);
  EXPECT_TRUE(topics[second].members.empty());
  EXPECT_EQ(topics[second].members_left, 0u);
  EXPECT_EQ(topics[second].round, 0u);
}

TEST(TopicSets, SetZeroIsThePublicRoomAlone) {
  TopicTable topics;
  TopicSets sets(topics);
  EXPECT_EQ(sets.intern({}), 0u);
  EXPECT_EQ(sets.intern({kPublicTopic, kPublicTopic}), 0u);
  EXPECT_EQ(to_vector(sets.topics(0)), std::vector<TopicId>{kPublicTopic});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(sets.intern({}), 0u);
    sets.release(0);
  }
  sets.release(0);
  sets.release(0);
  EXPECT_EQ(to_vector(sets.topics(0)), std::vector<TopicId>{kPublicTopic}) << "never freed";
}

TEST(TopicSets, OrderAndRepetitionDoNotMatter) {
  TopicTable topics;
  TopicSets sets(topics);
  const TopicId a = topics.intern("a", 1);
  const TopicId b = topics.intern("b", 2);
  const std::uint32_t set = sets.intern({b, a, b});
  EXPECT_EQ(to_vector(sets.topics(set)), (std::vector<TopicId>{kPublicTopic, a, b}));
  EXPECT_EQ(sets.intern({a, kPublicTopic, b}), set);
  EXPECT_NE(sets.intern({a}), set);
  EXPECT_EQ(topics[a].sets, 2u) << "once for each set, not for each stream";
  EXPECT_EQ(topics[b].sets, 1u);
}

TEST(TopicSets, LastStreamTakesTheSetAndItsTopicsAlong) {
  TopicTable topics;
  TopicSets sets(topics);
  const TopicId a = topics.intern("a", 1);
  const TopicId b = topics.intern("b", 2);
  topics[b].log_events = 1;  // the log still holds an event of it
  const std::uint32_t set = sets.intern({a, b});
  EXPECT_EQ(sets.intern({a, b}), set);
  sets.release(set);
  EXPECT_EQ(topics.size(), 3u);
  EXPECT_EQ(to_vector(sets.topics(set)), (std::vector<TopicId>{kPublicTopic, a, b}));
  sets.release(set);
  EXPECT_EQ(topics.size(), 2u) << "a is gone, b is kept for its event";
  EXPECT_EQ(topics.intern("b", 2), b);
  EXPECT_EQ(topics[b].sets, 0u);
}

TEST(TopicSets, ReleaseWithoutAReferenceIsABug) {
  TopicTable topics;
  TopicSets sets(topics);
  const std::uint32_t set = sets.intern({topics.intern("a", 1)});
  sets.release(set);
  EXPECT_DEATH(sets.release(set), "streams > 0");
}

// Names, few of them and with few different hashes, are subscribed to, published to and forgotten
// at random. The model counts references; the tables must agree after each step.
TEST(TopicSets, RandomHistoriesMatchAModel) {
  constexpr int kNames = 30;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    TopicTable topics;
    TopicSets sets(topics);
    struct Use {
      std::set<std::string> names;
      std::uint32_t set = 0;
    };
    std::vector<Use> streams;
    std::map<std::string, int> log_events;

    const auto hash = [](const std::string& name) { return std::uint64_t{name.size() % 3}; };
    const auto pick = [&] { return std::string(1 + random() % kNames, 'x'); };
    const auto used_names = [&] {
      std::set<std::string> used;
      for (const auto& [name, events] : log_events) used.insert(name);
      for (const Use& use : streams) used.insert(use.names.begin(), use.names.end());
      return used;
    };

    for (int step = 0; step < 1500; ++step) {
      switch (random() % 5) {
        case 0:
        case 1: {  // a stream opens
          Use use;
          std::vector<TopicId> ids;
          for (auto count = random() % 4; count > 0; --count) {
            const std::string name = pick();
            use.names.insert(name);
            ids.push_back(topics.intern(name, hash(name)));
          }
          use.set = sets.intern(ids);
          for (const Use& other : streams) {
            ASSERT_EQ(other.set == use.set, other.names == use.names) << "seed " << seed;
          }
          streams.push_back(use);
          break;
        }
        case 2:
          if (!streams.empty()) {  // one ends
            const std::size_t which = random() % streams.size();
            sets.release(streams[which].set);
            streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(which));
          }
          break;
        case 3: {  // an event
          const std::string name = pick();
          const TopicId id = topics.intern(name, hash(name));
          ++topics[id].log_events;
          ++log_events[name];
          break;
        }
        default:
          if (!log_events.empty()) {  // an event is evicted
            auto at = log_events.begin();
            std::advance(at, random() % log_events.size());
            const TopicId id = topics.intern(at->first, hash(at->first));
            --topics[id].log_events;
            topics.release_unused(id);
            if (--at->second == 0) log_events.erase(at);
          }
      }
      const std::set<std::string> used = used_names();
      ASSERT_EQ(topics.size(), used.size() + 1) << "seed " << seed << " step " << step;
      for (const Use& use : streams) {
        std::set<std::string> names;
        for (const TopicId id : sets.topics(use.set)) {
          if (id != kPublicTopic) names.insert(topics[id].name);
        }
        ASSERT_EQ(names, use.names) << "seed " << seed << " step " << step;
        const auto listed = sets.topics(use.set);
        ASSERT_EQ(listed.front(), kPublicTopic);
        ASSERT_TRUE(std::is_sorted(listed.begin(), listed.end()));
      }
      for (const std::string& name : used) {
        const TopicId id = topics.intern(name, hash(name));
        std::set<std::uint32_t> with;
        for (const Use& use : streams) {
          if (use.names.contains(name)) with.insert(use.set);
        }
        ASSERT_EQ(topics[id].sets, with.size());
      }
      ASSERT_EQ(topics.size(), used.size() + 1) << "looking up adds nothing";
    }
  }
}

TEST(TopicHash, EmptyNameAndNamesDiffer) {
  EXPECT_EQ(topic_hash("orders"), topic_hash(std::string("ord") + "ers"));
  EXPECT_NE(topic_hash("orders"), topic_hash("order"));
}

}  // namespace
}  // namespace ringcast::shard
