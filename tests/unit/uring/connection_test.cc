#include <algorithm>

#include <fcntl.h>

#include "fixture.h"

namespace ringcast::uring {
namespace {

constexpr Handle handle(std::uint32_t slot, std::uint32_t generation = 1) {
  return Handle{Slot{slot}, generation};
}

using ConnectionTest = RingTest;
RC_IN_BOTH_MODES(ConnectionTest);

TEST_P(ConnectionTest, AcceptPutsEachConnectionIntoTheChosenSlot) {
  const Listener listener;
  const Client first = connect(listener, handle(5));
  const Client second = connect(listener, handle(2));
  const Client third = connect(listener, handle(0));
  const Client last = connect(listener, handle(511));
  ring_->send(Slot{2}, as_bytes("two"), 0);
  ring_->send(Slot{5}, as_bytes("five"), 1);
  ring_->send(Slot{0}, as_bytes("nil"), 2);
  ring_->send(Slot{511}, as_bytes("last"), 3);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(first.read(4), "five");
  EXPECT_EQ(second.read(3), "two");
  EXPECT_EQ(third.read(3), "nil");
  EXPECT_EQ(last.read(4), "last");
}

TEST_P(ConnectionTest, AcceptGivesThePeersAddress) {
  const Listener listener;
  const Client client = connect(listener, handle(3));
  const PeerAddress& peer = peers_.back();
  ASSERT_EQ(peer.length, sizeof(sockaddr_in));
  sockaddr_in address{};
  std::memcpy(&address, &peer.address, sizeof address);
  EXPECT_EQ(address.sin_family, AF_INET);
  EXPECT_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
  EXPECT_EQ(ntohs(address.sin_port), client.port());
}

TEST_P(ConnectionTest, PooledAcceptsEachTakeOneConnectionWithItsOwnAddress) {
  const Listener listener;
  std::vector<PeerAddress> peers(8);
  for (std::uint32_t i = 0; i != 8; ++i) ring_->accept(listener.fd(), handle(i), peers[i]);
  ring_->wait(std::chrono::nanoseconds(0));
  std::vector<Client> clients;
  std::vector<std::uint16_t> expected;
  for (int i = 0; i != 8; ++i) {
    clients.emplace_back(listener.address());
    expected.push_back(clients.back().port());
  }
  std::vector<std::uint16_t> ports;
  for (std::uint32_t i = 0; i != 8; ++i) {
    EXPECT_EQ(await(Operation::accept, handle(i)).result, 0);
    sockaddr_in address{};
    std::memcpy(&address, &peers[i].address, sizeof address);
    ports.push_back(ntohs(address.sin_port));
  }
  std::sort(ports.begin(), ports.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(ports, expected);
}

TEST_P(ConnectionTest, CancelledAcceptCompletesOnceAndTakesNoConnection) {
  const Listener listener;
  PeerAddress peer{};
  ring_->accept(listener.fd(), handle(1), peer);
  ring_->wait(std::chrono::nanoseconds(0));
  ring_->cancel(Operation::accept, handle(1));
  EXPECT_EQ(await(Operation::cancel, handle(1)).result, 0);
  EXPECT_EQ(await(Operation::accept, handle(1)).result, -ECANCELED);
  // The slot is free for the next one.
  const Client client = connect(listener, handle(1, 2));
  ring_->send(Slot{1}, as_bytes("hello"), 0);
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(client.read(5), "hello");
}

TEST_P(ConnectionTest, CancelOfWhatIsNotArmedSaysSo) {
  ring_->cancel(Operation::receive, handle(7));
  EXPECT_EQ(await(Operation::cancel, handle(7)).result, -ENOENT);
}

TEST_P(ConnectionTest, CancelEndsOnlyTheOperationAndGenerationItNames) {
  const Listener listener;
  const Client client = connect(listener, handle(1, 9));
  ring_->receive(handle(1, 9));
  ring_->cancel(Operation::receive, handle(1, 8));
  ring_->cancel(Operation::writable, handle(1, 9));
  EXPECT_EQ(await(Operation::cancel, handle(1, 8)).result, -ENOENT);
  EXPECT_EQ(await(Operation::cancel, handle(1, 9)).result, -ENOENT);
  client.write("still armed");
  EXPECT_EQ(await(Operation::receive, handle(1, 9)).data, "still armed");
}

TEST_P(ConnectionTest, CloseReachesThePeerWhileOtherReceivesAreArmed) {
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != 20; ++i) {
    clients.push_back(connect(listener, handle(i)));
    if (i != 11) ring_->receive(handle(i));  // the oldest and the newest are armed, one is not
  }
  ring_->wait(std::chrono::nanoseconds(0));
  ring_->close(handle(11), Closing::in_order);
  EXPECT_EQ(await(Operation::close, handle(11)).result, 0);
  EXPECT_TRUE(clients[11].sees_end());
  EXPECT_FALSE(clients[10].readable(std::chrono::milliseconds(0)));
}

TEST_P(ConnectionTest, AbortCancelsTheReceiveThenClosesAndTheSlotServesTheNextConnection) {
  const Listener listener;
  for (std::uint32_t generation = 1; generation != 50; ++generation) {
    const Client client = connect(listener, handle(4, generation));
    ring_->receive(handle(4, generation));
    client.write("in");
    const Seen received = await(Operation::receive, handle(4, generation));
    ASSERT_EQ(received.data, "in");
    ASSERT_TRUE(received.more);
    ring_->cancel(Operation::receive, handle(4, generation));
    ASSERT_EQ(await(Operation::cancel, handle(4, generation)).result, 0);
    const Seen cancelled = await(Operation::receive, handle(4, generation));
    ASSERT_EQ(cancelled.result, -ECANCELED);
    ASSERT_FALSE(cancelled.more);
    ring_->close(handle(4, generation), Closing::in_order);
    ASSERT_EQ(await(Operation::close, handle(4, generation)).result, 0);
    ASSERT_TRUE(client.sees_end());
  }
}

TEST_P(ConnectionTest, AResetReachesThePeerAtOnceAndAnOrderlyEndDoesNotReset) {
  const Listener listener;
  const Client reset = connect(listener, handle(1));
  const Client ended = connect(listener, handle(2));
  ring_->close(handle(1), Closing::reset);
  ring_->close(handle(2), Closing::in_order);
  EXPECT_EQ(await(Operation::close, handle(1)).result, 0);
  EXPECT_EQ(await(Operation::close, handle(2)).result, 0);
  char byte = 0;
  EXPECT_TRUE(reset.readable(std::chrono::seconds(1)));
  EXPECT_EQ(::recv(reset.fd(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_TRUE(ended.readable(std::chrono::seconds(1)));
  EXPECT_EQ(::recv(ended.fd(), &byte, 1, 0), 0);
}

TEST_P(ConnectionTest, ShutdownEndsOurDirectionOnly) {
  const Listener listener;
  const Client client = connect(listener, handle(0));
  ring_->receive(handle(0));
  ring_->shutdown_write(handle(0));
  EXPECT_EQ(await(Operation::shutdown_write, handle(0)).result, 0);
  EXPECT_TRUE(client.sees_end());
  client.write("late");
  EXPECT_EQ(await(Operation::receive, handle(0)).data, "late");
}

TEST_P(ConnectionTest, DestructionWithEverythingArmedEndsEveryConnection) {
  const Listener listener;
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i != 30; ++i) {
    clients.push_back(connect(listener, handle(i)));
    ring_->receive(handle(i));
    ring_->wait_writable(handle(i));
  }
  PeerAddress never{};
  ring_->accept(listener.fd(), handle(100), never);
  ring_->wait(std::chrono::nanoseconds(0));
  ring_->cancel(Operation::receive, handle(3));  // prepared, and never submitted
  ring_.reset();
  for (const Client& client : clients) EXPECT_TRUE(client.sees_end());
}

TEST_P(ConnectionTest, DestructionClosesConnectionsThatNobodyAskedFor) {
  const Listener listener;
  const Client client(listener.address());
  PeerAddress& peer = peers_.emplace_back();
  ring_->accept(listener.fd(), handle(0), peer);
  ring_->wait(kPatience);  // accepted, but its completion is not taken
  ring_.reset();
  EXPECT_TRUE(client.sees_end());
}

TEST(OrdinaryDescriptors, AreNotInheritedByPrograms) {
  Result<std::unique_ptr<Ring>> ring = Ring::create(small_options(Descriptors::ordinary));
  ASSERT_TRUE(ring.ok());
  const Listener listener;
  const Client client(listener.address());
  const int next_fd = ::dup(0);
  ::close(next_fd);
  PeerAddress peer{};
  ring.value()->accept(listener.fd(), handle(0), peer);
  ring.value()->wait(kPatience);
  Completion completion;
  ASSERT_TRUE(ring.value()->next(completion));
  EXPECT_EQ(::fcntl(next_fd, F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace ringcast::uring
