#include <sys/resource.h>

#include "fixture.h"

namespace ringcast::uring {
namespace {

TEST(RingSetup, KeepsItsOptions) {
  RingOptions options = small_options(Descriptors::ordinary);
  options.slots = 77;
  Result<std::unique_ptr<Ring>> ring = Ring::create(options);
  ASSERT_TRUE(ring.ok()) << ring.error().message;
  EXPECT_EQ(ring.value()->options().slots, 77u);
  EXPECT_EQ(ring.value()->options().descriptors, Descriptors::ordinary);
}

TEST(RingSetup, RefusesSizesThatTheKernelCannotHaveAndNamesThem) {
  const auto message_of = [](auto change) {
    RingOptions options;
    change(options);
    Result<std::unique_ptr<Ring>> ring = Ring::create(options);
    return ring.ok() ? std::string("accepted") : ring.error().message;
  };
  EXPECT_NE(message_of([](RingOptions& o) { o.submissions = 100; }).find("submission queue"),
            std::string::npos);
  EXPECT_NE(message_of([](RingOptions& o) { o.submissions = 32768; }).find("16384"),
            std::string::npos);
  EXPECT_NE(message_of([](RingOptions& o) { o.slots = 0; }).find("connections"), std::string::npos);
  EXPECT_NE(message_of([](RingOptions& o) { o.receive_buffers = 3; }).find("receive buffers"),
            std::string::npos);
  EXPECT_EQ(message_of([](RingOptions& o) { o.submissions = 16384; }), "accepted");
}

TEST(RingSetup, MoreSlotsThanOpenFilesSaysWhichLimitToRaise) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  RingOptions options;
  options.slots = kSlotsMax;
  if (limit.rlim_max >= options.slots) GTEST_SKIP() << "no limit of open files to run into";
  Result<std::unique_ptr<Ring>> ring = Ring::create(options);
  ASSERT_FALSE(ring.ok());
  EXPECT_NE(ring.error().message.find("ulimit -n"), std::string::npos) << ring.error().message;
  options.descriptors = Descriptors::ordinary;  // bounded when accepting, not here
  EXPECT_TRUE(Ring::create(options).ok());
}

TEST(RingSetup, ManyRingsOnOneThreadAndNoDescriptorLeft) {
  const auto count_descriptors = [] {
    int count = 0;
    for (int fd = 0; fd != 1024; ++fd) {
      struct pollfd poll_fd {
        fd, 0, 0
      };
      if (::poll(&poll_fd, 1, 0) == 0) ++count;
    }
    return count;
  };
  const int before = count_descriptors();
  {
    std::vector<std::unique_ptr<Ring>> rings;
    for (int i = 0; i != 40; ++i) {  // more than a thread can register
      Result<std::unique_ptr<Ring>> ring = Ring::create(small_options(Descriptors::direct));
      ASSERT_TRUE(ring.ok()) << ring.error().message;
      rings.push_back(std::move(ring).value());
    }
    for (auto& ring : rings) {
      ring->wake_from_outside();
      ring->wait(kPatience);
      Completion completion;
      ASSERT_TRUE(ring->next(completion));
    }
  }
  EXPECT_EQ(count_descriptors(), before);
}

}  // namespace
}  // namespace ringcast::uring
