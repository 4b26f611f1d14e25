#include "ringcast/base/mirrored_buffer.h"

#include <bit>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>
#include <unistd.h>

namespace ringcast {
namespace {

MirroredBuffer make(std::size_t bytes) {
  auto buffer = MirroredBuffer::create(bytes);
  EXPECT_TRUE(buffer.ok());
  return std::move(buffer).value();
}

TEST(MirroredBuffer, CapacityIsAPowerOfTwoOfAtLeastOnePage) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(make(1).capacity(), page);
  EXPECT_EQ(make(page).capacity(), page);
  EXPECT_EQ(make(page + 1).capacity(), 2 * page);
  EXPECT_EQ(make(100'000).capacity(), std::bit_ceil(std::size_t{100'000}));
}

TEST(MirroredBuffer, EachByteAppearsInBothCopies) {
  const MirroredBuffer buffer = make(8192);
  std::byte* const first = buffer.at(0);
  std::byte* const second = first + buffer.capacity();
  for (std::size_t i = 0; i < buffer.capacity(); ++i) {
    first[i] = static_cast<std::byte>(i * 7);
    ASSERT_EQ(second[i], static_cast<std::byte>(i * 7));
    second[i] = static_cast<std::byte>(i * 11);
    ASSERT_EQ(first[i], static_cast<std::byte>(i * 11));
  }
}

TEST(MirroredBuffer, RangeAcrossTheEndIsContiguous) {
  const MirroredBuffer buffer = make(1);
  const std::string_view text = "written across the end";
  const std::size_t start = buffer.capacity() - 5;
  std::memcpy(buffer.at(start), text.data(), text.size());
  EXPECT_EQ(std::memcmp(buffer.at(start), text.data(), text.size()), 0);
  EXPECT_EQ(std::memcmp(buffer.at(0), text.data() + 5, text.size() - 5), 0);
}

TEST(MirroredBuffer, PositionsGrowForeverAndWrapByTheCapacity) {
  const MirroredBuffer buffer = make(4096);
  EXPECT_EQ(buffer.at(123), buffer.at(buffer.capacity() * 1'000'003 + 123));
}

TEST(MirroredBuffer, MovingHandsTheMemoryOver) {
  MirroredBuffer buffer = make(4096);
  *buffer.at(10) = std::byte{42};
  MirroredBuffer moved = std::move(buffer);
  EXPECT_EQ(*moved.at(10), std::byte{42});
  MirroredBuffer other = make(8192);
  other = std::move(moved);
  EXPECT_EQ(other.capacity(), 4096u);
  EXPECT_EQ(*other.at(10), std::byte{42});
}

TEST(MirroredBuffer, ImpossibleSizeIsAnErrorInWords) {
  const auto buffer = MirroredBuffer::create(std::size_t{1} << 61);
  ASSERT_FALSE(buffer.ok());
  EXPECT_NE(buffer.error().message.find("for a ring: "), std::string::npos)
      << buffer.error().message;
}

}  // namespace
}  // namespace ringcast
