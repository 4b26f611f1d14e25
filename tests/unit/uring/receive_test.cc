#include <fstream>
#include <map>

#include "fixture.h"

namespace ringcast::uring {
namespace {

constexpr Handle handle(std::uint32_t slot, std::uint32_t generation = 1) {
  return Handle{Slot{slot}, generation};
}

using ReceiveTest = RingTest;
RC_IN_BOTH_MODES(ReceiveTest);

TEST_P(ReceiveTest, StaysArmedUntilThePeersEnd) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  for (const char* text : {"one", "two", "three"}) {
    client.write(text);
    const Seen seen = await(Operation::receive, handle(0));
    EXPECT_EQ(seen.data, text);
    EXPECT_EQ(seen.result, static_cast<int>(std::strlen(text)));
    EXPECT_TRUE(seen.more);
  }
  client.shutdown_write();
  const Seen end = await(Operation::receive, handle(0));
  EXPECT_EQ(end.operation, Operation::receive);
  EXPECT_EQ(end.result, 0);
  EXPECT_FALSE(end.more);
  EXPECT_EQ(end.data, "");
}

TEST_P(ReceiveTest, ResetIsReportedOnce) {
  const Listener listener;
  Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  ring_->wait(std::chrono::nanoseconds(0));
  client.reset();
  const Seen seen = await(Operation::receive, handle(0));
  EXPECT_EQ(seen.result, -ECONNRESET);
  EXPECT_FALSE(seen.more);
}

TEST_P(ReceiveTest, LongInputArrivesInPiecesOfOneBufferInOrder) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  std::string sent;
  for (int i = 0; sent.size() < 20'000; ++i) sent += std::to_string(i) + ',';
  client.write(sent);
  std::string received;
  while (received.size() < sent.size()) {
    const Seen seen = await(Operation::receive, handle(0));
    ASSERT_EQ(seen.operation, Operation::receive);
    if (seen.result == -ENOBUFS) {
      ring_->receive(handle(0));
      continue;
    }
    ASSERT_GT(seen.result, 0);
    ASSERT_LE(seen.data.size(), ring_->options().receive_buffer_bytes);
    received += seen.data;
    if (!seen.more) ring_->receive(handle(0));
  }
  EXPECT_EQ(received, sent);
}

TEST_P(ReceiveTest, NoFreeBufferEndsTheReceiveAndArmingAgainLosesNothing) {
  RingOptions options = small_options(GetParam());
  options.receive_buffers = 4;
  options.receive_buffer_bytes = 16;
  make_ring(options);
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  ring_->wait(std::chrono::nanoseconds(0));
  std::string sent;
  for (int i = 0; sent.size() < 4000; ++i) sent += std::to_string(i) + ',';
  client.write(sent);
  std::string received;
  int without_buffer = 0;
  while (received.size() < sent.size()) {
    // Nothing is given back while the backlog fills: the buffers run out.
    for (int i = 0; i != 4; ++i) ring_->wait(std::chrono::milliseconds(1));
    const Seen seen = next();
    ASSERT_EQ(seen.operation, Operation::receive);
    if (seen.result == -ENOBUFS) {
      EXPECT_FALSE(seen.more);
      ++without_buffer;
    } else {
      ASSERT_GT(seen.result, 0);
      received += seen.data;
    }
    if (!seen.more) ring_->receive(handle(0));
  }
  EXPECT_EQ(received, sent);
  EXPECT_GT(without_buffer, 0);
}

TEST_P(ReceiveTest, EveryBufferIsGivenBackWithTheNextCall) {
  RingOptions options = small_options(GetParam());
  options.receive_buffers = 2;
  make_ring(options);
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  // Were one buffer lost, the third round would find none.
  for (int round = 0; round != 100; ++round) {
    client.write("round");
    const Seen seen = await(Operation::receive, handle(0));
    ASSERT_EQ(seen.data, "round");
    ASSERT_EQ(ring_->receive_buffers_held(), 1u);
    Completion none;
    ASSERT_FALSE(ring_->next(none));
    ASSERT_EQ(ring_->receive_buffers_held(), 0u);
  }
}

TEST_P(ReceiveTest, EachBufferServesBeforeOneIsMissing) {
  RingOptions options = small_options(GetParam());
  options.receive_buffers = 4;
  make_ring(options);
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != 5; ++i) {
    clients.push_back(connect(listener, handle(i)));
    ring_->receive(handle(i));
  }
  ring_->wait(std::chrono::nanoseconds(0));
  for (const Client& client : clients) {
    client.write("x");
    ring_->wait(std::chrono::nanoseconds(0));  // nothing is taken, so nothing is given back
    EXPECT_TRUE(flush().empty());
  }
  for (std::uint32_t i = 0; i != 4; ++i) EXPECT_EQ(await(Operation::receive, handle(i)).data, "x");
  EXPECT_EQ(await(Operation::receive, handle(4)).result, -ENOBUFS);
}

/// Pages of this process that are in memory.
std::size_t resident_pages() {
  std::size_t all = 0;
  std::size_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> all >> resident;
  return resident;
}

TEST_P(ReceiveTest, MemoryOfBuffersIsGivenBackAndTakenAgain) {
  constexpr std::uint32_t kBuffers = 1024;
  RingOptions options = small_options(GetParam());
  options.receive_buffers = kBuffers;
  options.receive_buffer_bytes = 4096;  // so that each word takes a page
  make_ring(options);
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  const auto say = [&](int times) {
    for (int i = 0; i < times; ++i) {
      client.write("word");
      ASSERT_EQ(await(Operation::receive, handle(0)).data, "word");
    }
  };
  say(kBuffers);
  const std::size_t before = resident_pages();
  ASSERT_TRUE(ring_->release_receive_memory());
  EXPECT_LE(resident_pages() + kBuffers * 3 / 4, before) << "others may have come meanwhile";
  say(kBuffers + 1);
}

TEST_P(ReceiveTest, MemoryOfBuffersStaysWhileACompletionWaits) {
  make_ring(small_options(GetParam()));
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  client.write("kept");
  ring_->wait(kPatience);
  EXPECT_FALSE(ring_->release_receive_memory());
  EXPECT_EQ(await(Operation::receive, handle(0)).data, "kept");
  EXPECT_TRUE(ring_->release_receive_memory()) << "what the completion showed is given back too";
}

TEST_P(ReceiveTest, EndAndErrorsHoldNoBuffer) {
  RingOptions options = small_options(GetParam());
  options.receive_buffers = 2;
  make_ring(options);
  const Listener listener;
  for (std::uint32_t i = 0; i != 12; ++i) {
    Client client = connect(listener, handle(i));
    ring_->receive(handle(i));
    ring_->wait(std::chrono::nanoseconds(0));
    if (i % 3 == 0) client.close();
    if (i % 3 == 1) client.reset();
    if (i % 3 == 2) ring_->cancel(Operation::receive, handle(i));
    const Seen seen = await(Operation::receive, handle(i));
    const int expected[] = {0, -ECONNRESET, -ECANCELED};
    EXPECT_EQ(seen.result, expected[i % 3]);
    EXPECT_EQ(ring_->receive_buffers_held(), 0u);
  }
  const Client client = connect(listener, handle(50));
  ring_->receive(handle(50));
  client.write("x");
  EXPECT_EQ(await(Operation::receive, handle(50)).data, "x");
}

// The completion queue of 32 entries overflows into the kernel's list, and both into the backlog.
TEST_P(ReceiveTest, ManyMoreCompletionsThanTheQueueHoldsAreAllDeliveredOnce) {
  constexpr std::uint32_t kConnections = 300;
  RingOptions options = small_options(GetParam());
  options.submissions = 8;
  options.receive_buffers = 512;
  make_ring(options);
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != kConnections; ++i) {
    clients.push_back(connect(listener, handle(i)));
    ring_->receive(handle(i));
  }
  ring_->wait(std::chrono::nanoseconds(0));
  for (const bool with_flushes : {false, true}) {
    for (std::uint32_t i = 0; i != kConnections; ++i) clients[i].write(std::to_string(i));
    for (int i = 0; i != 40; ++i) {
      ring_->wait(std::chrono::nanoseconds(0));
      if (with_flushes) {
        EXPECT_TRUE(flush().empty());
      }
    }
    std::map<std::uint32_t, std::string> seen;
    for (std::uint32_t i = 0; i != kConnections; ++i) {
      const Seen one = next();
      ASSERT_EQ(one.operation, Operation::receive);
      // What overflows ends its receive, with the data.
      if (!one.more) ring_->receive(one.handle);
      ASSERT_TRUE(seen.emplace(to_index(one.handle.slot), one.data).second);
    }
    for (const auto& [slot, data] : seen) EXPECT_EQ(data, std::to_string(slot));
    Completion none;
    EXPECT_FALSE(ring_->next(none));
  }
}

}  // namespace
}  // namespace ringcast::uring
