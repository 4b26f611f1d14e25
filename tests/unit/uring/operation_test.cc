#include "ringcast/uring/operation.h"

#include <gtest/gtest.h>

namespace ringcast::uring {
namespace {

TEST(Tag, EachFieldSurvivesAtItsLimits) {
  for (const Operation operation : {Operation::none, Operation::accept, Operation::send}) {
    for (const std::uint32_t slot : {0u, 1u, kSlotsMax - 1}) {
      for (const std::uint32_t generation : {0u, 1u, ~0u}) {
        const Tag tag = decode(encode(Tag{operation, Handle{Slot{slot}, generation}}));
        EXPECT_EQ(tag.operation, operation);
        EXPECT_EQ(tag.handle, (Handle{Slot{slot}, generation}));
      }
    }
  }
}

}  // namespace
}  // namespace ringcast::uring
