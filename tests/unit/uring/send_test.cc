#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "fixture.h"

namespace ringcast::uring {
namespace {

constexpr Handle handle(std::uint32_t slot, std::uint32_t generation = 1) {
  return Handle{Slot{slot}, generation};
}

std::string random_text(std::mt19937& random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

class SendTest : public RingTest {
 protected:
  /// Fills the socket until it takes nothing; the bytes that it took.
  /// Until the socket takes nothing. The peer's kernel may acknowledge later, on another CPU (RFS).
  std::string fill(Slot slot) {
    const std::string block(1 << 16, 'f');
    std::string taken;
    for (int refused = 0; refused < 3;) {
      ring_->send(slot, as_bytes(block), 0);
      const auto failures = flush();
      if (failures.empty()) {
        taken += block;
      } else if (failures[0].result == -EAGAIN) {
        ++refused;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      } else {
        EXPECT_GT(failures[0].result, 0);
        taken += block.substr(0, static_cast<std::size_t>(failures[0].result));
      }
    }
    return taken;
  }
};
RC_IN_BOTH_MODES(SendTest);

TEST_P(SendTest, FullSendIsSilent) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  for (int i = 0; i != 10; ++i) {
    ring_->send(Slot{0}, as_bytes("full"), 7);
    EXPECT_TRUE(flush().empty());
    EXPECT_EQ(client.read(4), "full");
  }
  Completion none;
  EXPECT_FALSE(ring_->next(none));
}

TEST_P(SendTest, SpansLeaveAsOneRunOfBytes) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  std::string a = "first ";
  std::string b = "second ";
  std::string c = "third";
  iovec spans[] = {{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  msghdr message{};
  message.msg_iov = spans;
  message.msg_iovlen = 3;
  ring_->send(Slot{0}, message, 0);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(client.read(18), "first second third");
}

TEST_P(SendTest, BytesThatMayWaitLeaveWithTheNext) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  const std::uint32_t segments_before = client.data_segments();
  ring_->send(Slot{0}, as_bytes("head, "), 0, Push::with_next);
  EXPECT_TRUE(flush().empty());
  ring_->send(Slot{0}, as_bytes("events"), 0);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(client.read(12), "head, events");
  EXPECT_EQ(client.data_segments(), segments_before + 1);
}

TEST_P(SendTest, BytesThatMayWaitLeaveAloneWhenNothingFollows) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->send(Slot{0}, as_bytes("head"), 0, Push::with_next);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(client.read(4), "head");
}

TEST_P(SendTest, ShortSendReportsExactlyWhatTheReaderGets) {
  const Listener listener(8192);
  const Client client = connect(listener, handle(0), 4096);
  std::mt19937 random(1);
  const std::string sent = random_text(random, 4 << 20);
  ring_->send(Slot{0}, as_bytes(sent), 42);
  const auto failures = flush();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].place, 42u);
  ASSERT_GT(failures[0].result, 0);
  const auto taken = static_cast<std::size_t>(failures[0].result);
  ASSERT_LT(taken, sent.size());
  // The end after them shows that there is no byte more.
  ring_->shutdown_write(handle(0));
  EXPECT_EQ(await(Operation::shutdown_write, handle(0)).result, 0);
  EXPECT_EQ(client.read(taken), sent.substr(0, taken));
  EXPECT_TRUE(client.sees_end());
}

TEST_P(SendTest, RefusedSendTakesNothing) {
  const Listener listener(8192);
  const Client client = connect(listener, handle(0), 4096);
  const std::string before = fill(Slot{0});
  ring_->send(Slot{0}, as_bytes("refused"), 9);
  const auto failures = flush();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].place, 9u);
  EXPECT_EQ(failures[0].result, -EAGAIN);
  ring_->shutdown_write(handle(0));
  EXPECT_EQ(await(Operation::shutdown_write, handle(0)).result, 0);
  EXPECT_EQ(client.read(before.size()), before);
  EXPECT_TRUE(client.sees_end());
}

TEST_P(SendTest, SocketThatHasRoomAgainIsWritable) {
  const Listener listener(8192);
  const Client client = connect(listener, handle(0), 4096);
  const std::string before = fill(Slot{0});
  ring_->wait_writable(handle(0));
  ring_->wait(std::chrono::nanoseconds(0));
  Completion none;
  EXPECT_FALSE(ring_->next(none));
  EXPECT_EQ(client.read(before.size()).size(), before.size());
  EXPECT_EQ(await(Operation::writable, handle(0)).result, 0);
  ring_->send(Slot{0}, as_bytes("more"), 0);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(client.read(4), "more");
}

TEST_P(SendTest, ResetEndsTheWaitForRoom) {
  const Listener listener(8192);
  Client client = connect(listener, handle(0), 4096);
  fill(Slot{0});
  ring_->wait_writable(handle(0));
  ring_->wait(std::chrono::nanoseconds(0));
  client.reset();
  EXPECT_EQ(await(Operation::writable, handle(0)).operation, Operation::writable);
  ring_->send(Slot{0}, as_bytes("x"), 3);
  const auto failures = flush();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_TRUE(failures[0].result == -ECONNRESET || failures[0].result == -EPIPE);
}

TEST_P(SendTest, CancelEndsTheWaitForRoom) {
  const Listener listener(8192);
  const Client client = connect(listener, handle(0), 4096);
  fill(Slot{0});
  ring_->wait_writable(handle(0));
  ring_->cancel(Operation::writable, handle(0));
  EXPECT_EQ(await(Operation::cancel, handle(0)).result, 0);
  EXPECT_EQ(await(Operation::writable, handle(0)).result, -ECANCELED);
}

TEST_P(SendTest, GonePeerIsReportedAndRaisesNoSignal) {
  const Listener listener;
  Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  client.reset();
  EXPECT_EQ(await(Operation::receive, handle(0)).result, -ECONNRESET);
  ring_->send(Slot{0}, as_bytes("to nobody"), 5);
  const auto failures = flush();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].place, 5u);
  EXPECT_EQ(failures[0].result, -EPIPE);  // the reset itself was the receive's
}

TEST_P(SendTest, PendingResetIsReportedByTheSend) {
  const Listener listener;
  Client client = connect(listener, handle(0));
  client.reset();
  ring_->wait_writable(handle(0));
  EXPECT_EQ(await(Operation::writable, handle(0)).operation, Operation::writable);
  ring_->send(Slot{0}, as_bytes("to nobody"), 5);
  const auto failures = flush();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].result, -ECONNRESET);
}

TEST_P(SendTest, BatchLargerThanTheQueueReportsEachFailureOnceAndKeepsTheRest) {
  constexpr std::uint32_t kConnections = 330;
  RingOptions options = small_options(GetParam());
  options.submissions = 8;  // and so 32 completions: the failures overflow
  make_ring(options);
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != kConnections; ++i) {
    clients.push_back(connect(listener, handle(i)));
    if (i % 3 != 0) ring_->shutdown_write(handle(i));  // sending into it fails
  }
  for (std::uint32_t i = 0; i != kConnections; ++i) {
    if (i % 3 != 0) {
      ASSERT_EQ(await(Operation::shutdown_write, handle(i)).result, 0);
    }
  }
  for (std::uint32_t i = 0; i != kConnections; ++i) {
    ring_->send(Slot{i}, as_bytes("event"), 1000 + i);
  }
  std::set<std::uint32_t> failed;
  for (const SendFailure& failure : flush()) {
    EXPECT_EQ(failure.result, -EPIPE);
    EXPECT_TRUE(failed.insert(failure.place).second);
  }
  for (std::uint32_t i = 0; i != kConnections; ++i) {
    EXPECT_EQ(failed.count(1000 + i), i % 3 != 0 ? 1u : 0u);
    if (i % 3 == 0) {
      EXPECT_EQ(clients[i].read(5), "event");
    }
  }
  EXPECT_TRUE(flush().empty());
}

// The queue fills, so sends reach the kernel before the flush; `wait` and `next` come across their
// completions and must keep them for the flush, among those of other operations.
TEST_P(SendTest, FailuresFoundEarlyAreKeptForTheFlush) {
  RingOptions options = small_options(GetParam());
  options.submissions = 8;
  options.receive_buffers = 128;
  make_ring(options);
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != 100; ++i) {
    clients.push_back(connect(listener, handle(i)));
    ring_->receive(handle(i));
    ring_->shutdown_write(handle(i));
    ASSERT_EQ(await(Operation::shutdown_write, handle(i)).result, 0);
  }
  for (std::uint32_t i = 0; i != 100; ++i) {
    clients[i].write("input");
    ring_->send(Slot{i}, as_bytes("refused"), i);
  }
  for (int received = 0; received != 100; ++received) {
    const Seen seen = next();
    ASSERT_EQ(seen.operation, Operation::receive);
    ASSERT_EQ(seen.data, "input");
  }
  std::set<std::uint32_t> places;
  for (const SendFailure& failure : flush()) places.insert(failure.place);
  EXPECT_EQ(places.size(), 100u);
}

TEST_P(SendTest, OtherCompletionsSurviveAFlushInTheirOrder) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  const Client other = connect(listener, handle(1));
  ring_->receive(handle(0));
  ring_->wait(std::chrono::nanoseconds(0));
  std::string expected;
  for (int i = 0; i != 20; ++i) {
    const std::string part = std::to_string(i) + ';';
    client.write(part);
    expected += part;
    ring_->send(Slot{1}, as_bytes("."), 0);
    EXPECT_TRUE(flush().empty());
  }
  std::string received;
  while (received.size() < expected.size()) {
    const Seen seen = await(Operation::receive, handle(0));
    ASSERT_GT(seen.result, 0);
    received += seen.data;
  }
  EXPECT_EQ(received, expected);
}

// What the shard does with many slow readers, on random sizes: continue each stream where the
// report says, and in the end every reader has every byte once.
TEST_P(SendTest, ResumingFromReportsDeliversEveryByteOnceToEveryReader) {
  struct Stream {
    Client client;
    std::string text;
    std::string received;
    std::size_t sent = 0;
    std::size_t attempt = 0;
    bool blocked = false;
  };
  constexpr std::uint32_t kStreams = 12;
  std::mt19937 random(20240607);
  const Listener listener(8192);
  std::vector<Stream> streams(kStreams);
  for (std::uint32_t i = 0; i != kStreams; ++i) {
    streams[i].client = connect(listener, handle(i), 4096);
    streams[i].text = random_text(random, 300'000 + random() % 200'000);
  }
  int shorts = 0;
  std::vector<std::array<iovec, 3>> spans(kStreams);
  std::vector<msghdr> messages(kStreams);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (std::size_t done = 0; done != kStreams;) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    for (std::uint32_t i = 0; i != kStreams; ++i) {
      Stream& stream = streams[i];
      const std::size_t left = stream.text.size() - stream.sent;
      // A blocked stream is now and then tried all the same, which a refusal must not disturb.
      if (left == 0 || (stream.blocked && random() % 8 != 0)) continue;
      stream.attempt = std::min<std::size_t>(left, 3 + random() % 40'000);
      char* begin = stream.text.data() + stream.sent;
      const std::size_t third = stream.attempt / 3;
      spans[i] = {iovec{begin, third}, iovec{begin + third, third},
                  iovec{begin + 2 * third, stream.attempt - 2 * third}};
      messages[i] = msghdr{};
      messages[i].msg_iov = spans[i].data();
      messages[i].msg_iovlen = 3;
      if (random() % 2 == 0) {
        ring_->send(Slot{i}, messages[i], i);
      } else {
        ring_->send(Slot{i}, as_bytes(std::string_view(begin, stream.attempt)), i);
      }
    }
    for (const SendFailure& failure : flush()) {
      Stream& stream = streams[failure.place];
      if (failure.result == -EAGAIN) {
        stream.attempt = 0;
      } else {
        ++shorts;
        ASSERT_GT(failure.result, 0);
        ASSERT_LT(static_cast<std::size_t>(failure.result), stream.attempt);
        stream.attempt = static_cast<std::size_t>(failure.result);
      }
      if (!stream.blocked) ring_->wait_writable(handle(failure.place));
      stream.blocked = true;
    }
    for (Stream& stream : streams) stream.sent += std::exchange(stream.attempt, 0);
    done = 0;
    for (Stream& stream : streams) {
      if (random() % 3 != 0) stream.received += stream.client.read_available();
      if (stream.received.size() >= stream.text.size()) ++done;
    }
    ring_->wait(std::chrono::nanoseconds(0));
    Completion completion;
    while (ring_->next(completion)) {
      ASSERT_EQ(completion.operation, Operation::writable);
      streams[to_index(completion.handle.slot)].blocked = false;
    }
  }
  for (const Stream& stream : streams) EXPECT_EQ(stream.received, stream.text);
  EXPECT_GT(shorts, 0);
}

}  // namespace
}  // namespace ringcast::uring
