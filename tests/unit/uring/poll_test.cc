#include <cerrno>

#include <fcntl.h>

#include "fixture.h"

namespace ringcast::uring {
namespace {

// A slot beyond the ring's table: the handle of a poll is only a name.
constexpr Handle kRead{Slot{kSlotsMax - 2}, 7};
constexpr Handle kWrite{Slot{kSlotsMax - 1}, 7};

/// Two ends of a connection that the ring knows nothing of.
class Pair {
 public:
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_), 0); }
  ~Pair() {
    close(0);
    close(1);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  [[nodiscard]] int end(int which) const { return ends_[which]; }
  void close(int which) {
    if (ends_[which] >= 0) ::close(std::exchange(ends_[which], -1));
  }
  /// Until the socket takes no more.
  void fill(int which) const {
    const std::string block(4096, 'x');
    while (::send(ends_[which], block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
  }
  void drain(int which) const {
    std::string block(65'536, '\0');
    while (::recv(ends_[which], block.data(), block.size(), 0) > 0) {
    }
  }

 private:
  int ends_[2] = {-1, -1};
};

using PollTest = RingTest;
RC_IN_BOTH_MODES(PollTest);

TEST_P(PollTest, TellsThatAForeignDescriptorIsReadableOnceForEachCall) {
  const Pair pair;
  ring_->poll(pair.end(0), POLLIN, kRead);
  ring_->wait(std::chrono::nanoseconds(0));
  Completion none;
  EXPECT_FALSE(ring_->next(none));

  ASSERT_EQ(::send(pair.end(1), "a", 1, 0), 1);
  const Seen seen = next();
  EXPECT_EQ(seen.operation, Operation::poll);
  EXPECT_EQ(seen.handle, kRead);
  EXPECT_EQ(seen.result & POLLIN, POLLIN);

  ASSERT_EQ(::send(pair.end(1), "b", 1, 0), 1);
  ring_->wait(std::chrono::milliseconds(5));
  EXPECT_FALSE(ring_->next(none));
  ring_->poll(pair.end(0), POLLIN, kRead);
  EXPECT_EQ(next().result & POLLIN, POLLIN);
}

TEST_P(PollTest, ReadingAndWritingAreToldApartByTheirHandles) {
  const Pair pair;
  pair.fill(0);
  ring_->poll(pair.end(0), POLLIN, kRead);
  ring_->poll(pair.end(0), POLLOUT, kWrite);
  ring_->wait(std::chrono::nanoseconds(0));
  Completion none;
  EXPECT_FALSE(ring_->next(none));

  pair.drain(1);
  const Seen writable = next();
  EXPECT_EQ(writable.handle, kWrite);
  EXPECT_EQ(writable.result & POLLOUT, POLLOUT);

  ASSERT_EQ(::send(pair.end(1), "a", 1, 0), 1);
  const Seen readable = next();
  EXPECT_EQ(readable.handle, kRead);
  EXPECT_EQ(readable.result & POLLIN, POLLIN);
}

TEST_P(PollTest, TellsThatThePeerHasGone) {
  Pair pair;
  ring_->poll(pair.end(0), POLLIN, kRead);
  ring_->wait(std::chrono::nanoseconds(0));
  pair.close(1);
  EXPECT_NE(next().result & POLLHUP, 0);
}

TEST_P(PollTest, ADescriptorThatIsNoneIsAnError) {
  Pair pair;
  const int gone = pair.end(0);
  pair.close(0);
  ring_->poll(gone, POLLIN, kRead);
  EXPECT_EQ(next().result, -EBADF);
}

TEST_P(PollTest, CancelEndsOneOfTwoPollsOfADescriptor) {
  const Pair pair;
  pair.fill(0);
  ring_->poll(pair.end(0), POLLIN, kRead);
  ring_->poll(pair.end(0), POLLOUT, kWrite);
  ring_->cancel(Operation::poll, kRead);
  EXPECT_EQ(await(Operation::cancel, kRead).result, 0);
  EXPECT_EQ(await(Operation::poll, kRead).result, -ECANCELED);
  pair.drain(1);
  EXPECT_EQ(await(Operation::poll, kWrite).result & POLLOUT, POLLOUT);
}

TEST_P(PollTest, CancelledBeforeTheCloseThePeerSeesTheEnd) {
  Pair pair;
  ring_->poll(pair.end(0), POLLIN, kRead);
  ring_->wait(std::chrono::nanoseconds(0));
  ring_->cancel(Operation::poll, kRead);
  pair.close(0);
  EXPECT_EQ(await(Operation::poll, kRead).result, -ECANCELED);
  char byte = 0;
  EXPECT_EQ(::recv(pair.end(1), &byte, 1, 0), 0);
}

}  // namespace
}  // namespace ringcast::uring
