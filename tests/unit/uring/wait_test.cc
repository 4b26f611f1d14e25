#include "fixture.h"

namespace ringcast::uring {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr Handle kHandle{Slot{0}, 1};

using WaitTest = RingTest;
RC_IN_BOTH_MODES(WaitTest);

TEST_P(WaitTest, SleepsForAboutTheTimeLimitWhenNothingHappens) {
  const auto start = Clock::now();
  // A wait may return early with nothing; then it is called again.
  while (Clock::now() - start < milliseconds(30)) {
    ring_->wait(milliseconds(30) - (Clock::now() - start));
  }
  EXPECT_LT(Clock::now() - start, milliseconds(500));
  Completion none;
  EXPECT_FALSE(ring_->next(none));
}

TEST_P(WaitTest, OneCallSleepsToItsLimit) {
  int early = 0;
  for (int i = 0; i != 5; ++i) {
    const auto start = Clock::now();
    ring_->wait(milliseconds(10));
    if (Clock::now() - start < milliseconds(9)) ++early;
  }
  EXPECT_EQ(early, 0);
}

TEST_P(WaitTest, ZeroSubmitsAndDoesNotSleep) {
  const Listener listener;
  const Client client(listener.address());
  PeerAddress peer{};
  ring_->accept(listener.fd(), kHandle, peer);
  const auto start = Clock::now();
  ring_->wait(std::chrono::nanoseconds(0));
  ring_->wait(std::chrono::nanoseconds(-5));
  EXPECT_LT(Clock::now() - start, milliseconds(500));
  Completion completion;
  ASSERT_TRUE(ring_->next(completion));
  EXPECT_EQ(completion.operation, Operation::accept);
}

TEST_P(WaitTest, WithoutLimitEndsWithACompletion) {
  const Listener listener;
  const Client client = connect(listener, kHandle);
  ring_->receive(kHandle);
  client.write("here");
  ring_->wait(std::nullopt);
  Completion completion;
  ASSERT_TRUE(ring_->next(completion));
  EXPECT_EQ(as_text(completion.data), "here");
}

TEST_P(WaitTest, ReturnsAtOnceForACompletionThatAFlushFound) {
  const Listener listener;
  const Client client = connect(listener, kHandle);
  ring_->receive(kHandle);
  ring_->wait(std::chrono::nanoseconds(0));
  client.write("found by the flush");
  ring_->send(kHandle.slot, as_bytes("x"), 0);
  EXPECT_TRUE(flush().empty());
  const auto start = Clock::now();
  ring_->wait(kPatience);
  EXPECT_LT(Clock::now() - start, kPatience / 2);
  Completion completion;
  ASSERT_TRUE(ring_->next(completion));
  EXPECT_EQ(as_text(completion.data), "found by the flush");
}

TEST_P(WaitTest, SubmitsMoreThanTheQueueHolds) {
  RingOptions options = small_options(GetParam());
  options.submissions = 4;
  make_ring(options);
  const Listener listener;
  std::vector<PeerAddress> peers(100);
  for (std::uint32_t i = 0; i != 100; ++i) {
    ring_->accept(listener.fd(), Handle{Slot{i}, 1}, peers[i]);
  }
  ring_->wait(std::chrono::nanoseconds(0));
  for (std::uint32_t i = 0; i != 100; ++i) ring_->cancel(Operation::accept, Handle{Slot{i}, 1});
  for (std::uint32_t i = 0; i != 100; ++i) {
    EXPECT_EQ(await(Operation::cancel, Handle{Slot{i}, 1}).result, 0);
    EXPECT_EQ(await(Operation::accept, Handle{Slot{i}, 1}).result, -ECANCELED);
  }
}

}  // namespace
}  // namespace ringcast::uring
