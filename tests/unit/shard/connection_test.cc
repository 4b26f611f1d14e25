#include "connection.h"

#include <list>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

using Handle = ConnectionPool::Handle;

TEST(ConnectionPool, HandsOutUpToItsSize) {
  ConnectionPool pool(3, {});
  std::set<Handle> handles;
  for (int i = 0; i < 3; ++i) handles.insert(pool.take());
  EXPECT_EQ(handles.size(), 3u);
  EXPECT_FALSE(handles.contains(ConnectionPool::kNone));
  EXPECT_EQ(pool.free_count(), 0u);
  EXPECT_EQ(pool.take(), ConnectionPool::kNone);
  EXPECT_EQ(pool.size(), 3u);
  pool.give_back(*handles.begin());
  EXPECT_EQ(pool.free_count(), 1u);
  EXPECT_EQ(pool.take(), *handles.begin());
}

TEST(ConnectionPool, ReusedConnectionRemembersNothing) {
  ConnectionPool pool(1, {});
  const Handle handle = pool.take();
  Connection& connection = pool[handle];
  connection.at.state = Connection::State::waiting;
  connection.at.after = AfterOutput::become_stream;
  connection.at.stream_reserved = true;
  connection.at.output_blocked = true;
  connection.at.topic_set = 4;
  connection.at.output_sent = 9;
  connection.input = "GET / HT";
  connection.output = "HTTP/1.1 ";
  ASSERT_GT(connection.parser.feed("GET /events HTTP/1.1\r\nHo"), 0u);
  ASSERT_TRUE(connection.parser.started());
  pool.give_back(handle);

  ASSERT_EQ(pool.take(), handle);
  EXPECT_EQ(connection.at.state, Connection::State::reading);
  EXPECT_EQ(connection.at.after, AfterOutput::next_request);
  EXPECT_FALSE(connection.at.stream_reserved);
  EXPECT_FALSE(connection.at.output_blocked);
  EXPECT_EQ(connection.at.topic_set, 0u);
  EXPECT_EQ(connection.at.output_sent, 0u);
  EXPECT_TRUE(connection.input.empty());
  EXPECT_TRUE(connection.output.empty());
  EXPECT_FALSE(connection.parser.started());
}

TEST(ConnectionPool, SerialsGoOnForEver) {
  ConnectionPool pool(300, {});  // more than are kept
  for (std::uint32_t round = 0; round < 3; ++round) {
    std::vector<Handle> handles;
    for (int i = 0; i < 300; ++i) {
      handles.push_back(pool.take());
      EXPECT_EQ(pool[handles.back()].serial, round)
          << "a late reply to an old request would be taken for one to a new";
      ++pool[handles.back()].serial;
    }
    for (const Handle handle : handles) pool.give_back(handle);
    if (round == 1) pool.release_memory();
  }
}

TEST(ConnectionPool, WaitingConnectionKeepsNoLargeBuffer) {
  ConnectionPool pool(1, {});
  const Handle handle = pool.take();
  pool[handle].input.assign(100'000, 'x');
  pool[handle].output.assign(100'000, 'x');
  pool.give_back(handle);
  EXPECT_LE(pool[handle].input.capacity(), 4096u);
  EXPECT_LE(pool[handle].output.capacity(), 4096u);
}

TEST(ConnectionPool, ReleasedConnectionsAreMadeAnew) {
  ConnectionPool pool(100, {});
  std::vector<Handle> handles;
  for (int i = 0; i < 100; ++i) handles.push_back(pool.take());
  const Handle kept = handles.front();
  for (const Handle handle : handles) {
    if (handle != kept) pool.give_back(handle);
  }
  pool[kept].input = "still here";
  pool.release_memory();
  EXPECT_EQ(pool[kept].input, "still here");
  EXPECT_EQ(pool.free_count(), 99u);
  for (int i = 0; i < 99; ++i) {
    const Handle handle = pool.take();
    ASSERT_NE(handle, ConnectionPool::kNone);
    EXPECT_TRUE(pool[handle].input.empty());
  }
  EXPECT_EQ(pool.take(), ConnectionPool::kNone);
}

TEST(ConnectionPool, ConnectionUnderADeadlineIsNotGivenBack) {
  ConnectionPool pool(1, {});
  const Handle handle = pool.take();
  pool[handle].at.deadline = Deadline::head;
  EXPECT_DEATH(pool.give_back(handle), "deadline");
}

TEST(ConnectionPool, ConnectionsDoNotMoveWhileThePoolGrows) {
  ConnectionPool pool(1000, {});
  std::vector<std::pair<Handle, Connection*>> taken;
  for (int i = 0; i < 1000; ++i) {
    const Handle handle = pool.take();
    taken.emplace_back(handle, &pool[handle]);
  }
  for (const auto& [handle, connection] : taken) ASSERT_EQ(&pool[handle], connection);
}

std::vector<Handle> members(ConnectionPool& pool, const DeadlineList& list) {
  std::vector<Handle> found;
  Handle before = ConnectionPool::kNone;
  for (Handle at = list.front(); at != ConnectionPool::kNone; at = pool[at].next) {
    EXPECT_EQ(pool[at].previous, before);
    found.push_back(at);
    before = at;
    if (found.size() > 1000) break;
  }
  return found;
}

TEST(DeadlineList, RandomJoiningAndLeavingMatchesAModel) {
  constexpr std::size_t kConnections = 50;
  std::mt19937 random(11);
  ConnectionPool pool(kConnections, {});
  DeadlineList lists[2];
  std::list<Handle> models[2];
  std::vector<int> member_of(kConnections, -1);
  for (std::size_t i = 0; i < kConnections; ++i) ASSERT_EQ(pool.take(), i);
  for (int step = 0; step < 10'000; ++step) {
    const auto handle = static_cast<Handle>(random() % kConnections);
    if (const int from = member_of[handle]; from >= 0) {
      lists[from].remove(pool, handle);
      models[from].remove(handle);
      member_of[handle] = -1;
    } else {
      const auto to = static_cast<int>(random() % 2);
      lists[to].push_back(pool, handle);
      models[to].push_back(handle);
      member_of[handle] = to;
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(lists[i].empty(), models[i].empty());
      ASSERT_EQ(members(pool, lists[i]), std::vector<Handle>(models[i].begin(), models[i].end()));
    }
  }
}

}  // namespace
}  // namespace ringcast::shard
