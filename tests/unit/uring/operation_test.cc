#include "ringcast/uring/operation.h"

#include <cstdint>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace ringcast::uring {
namespace {

constexpr Operation kOperations[] = {
    Operation::none,     Operation::accept, Operation::receive,
    Operation::writable, Operation::cancel, Operation::shutdown_write,
    Operation::close,    Operation::wake,   Operation::send};

void expect_same(Tag tag) {
  const Tag back = decode(encode(tag));
  EXPECT_EQ(back.operation, tag.operation);
  EXPECT_EQ(back.handle, tag.handle);
}

TEST(Operation, ExtremesOfEachPartSurvive) {
  for (const Operation operation : kOperations) {
    for (const std::uint32_t slot : {0u, 1u, kSlotsMax - 1}) {
      for (const std::uint32_t generation : {0u, 1u, 0x8000'0000u, 0xffff'ffffu}) {
        expect_same({operation, {Slot{slot}, generation}});
      }
    }
  }
}

TEST(Operation, RandomTagsSurvive) {
  std::mt19937 random(3);
  for (int i = 0; i < 10'000; ++i) {
    expect_same({kOperations[random() % std::size(kOperations)],
                 {Slot{static_cast<std::uint32_t>(random() % kSlotsMax)},
                  static_cast<std::uint32_t>(random())}});
  }
}

TEST(Operation, EachPartHasBitsOfItsOwn) {
  const Handle handle{Slot{0x123456}, 0x89abcdef};
  EXPECT_EQ(encode({Operation::accept, handle}), 0x01'123456'89abcdefu);
  EXPECT_EQ(encode({Operation::none, {}}), 0u);
}

TEST(Operation, TagsThatDifferAreEncodedDifferently) {
  std::set<std::uint64_t> seen;
  for (const Operation operation : kOperations) {
    for (std::uint32_t slot = 0; slot < 20; ++slot) {
      for (std::uint32_t generation = 0; generation < 20; ++generation) {
        EXPECT_TRUE(seen.insert(encode({operation, {Slot{slot}, generation}})).second);
      }
    }
  }
}

#ifndef NDEBUG
TEST(OperationDeathTest, SlotBeyondTheTableIsABug) {
  EXPECT_DEATH((void)encode({Operation::close, {Slot{kSlotsMax}, 0}}), "internal error");
}
#endif

}  // namespace
}  // namespace ringcast::uring
