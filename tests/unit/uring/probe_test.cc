#include "ringcast/uring/probe.h"

#include <sys/resource.h>

#include "fixture.h"

namespace ringcast::uring {
namespace {

TEST(ProbeKernel, ChosenDescriptorsReleaseAClosedConnectionWhileAnotherReceives) {
  Result<Descriptors> chosen = probe_kernel();
  ASSERT_TRUE(chosen.ok()) << chosen.error().message;
  Result<std::unique_ptr<Ring>> ring = Ring::create(small_options(chosen.value()));
  ASSERT_TRUE(ring.ok());
  const Listener listener;
  std::vector<Client> clients;
  std::vector<PeerAddress> peers(2);
  Completion completion;
  for (std::uint32_t i = 0; i != 2; ++i) {
    clients.emplace_back(listener.address());
    ring.value()->accept(listener.fd(), Handle{Slot{i}, 1}, peers[i]);
    ring.value()->wait(kPatience);
    ASSERT_TRUE(ring.value()->next(completion));
  }
  ring.value()->receive(Handle{Slot{0}, 1});
  ring.value()->close(Handle{Slot{1}, 1}, Closing::in_order);
  ring.value()->wait(kPatience);
  EXPECT_TRUE(clients[1].sees_end());
}

TEST(ProbeKernel, LeavesNoDescriptorOpen) {
  ASSERT_TRUE(probe_kernel().ok());
  const int before = ::dup(0);
  ::close(before);
  for (int i = 0; i != 3; ++i) ASSERT_TRUE(probe_kernel().ok());
  const int after = ::dup(0);
  ::close(after);
  EXPECT_EQ(after, before);
}

TEST(DescriptorLimit, IsRaisedToTheHardLimit) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit lowered{std::min<rlim_t>(limit.rlim_cur, 256), limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  const std::uint32_t raised = raise_descriptor_limit();
  rlimit now{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, limit.rlim_max);
  EXPECT_EQ(raised, limit.rlim_max);
}

}  // namespace
}  // namespace ringcast::uring
