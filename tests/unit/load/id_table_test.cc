#include "load/id_table.h"

#include <string>

#include <gtest/gtest.h>

namespace ringcast::load {
namespace {

TEST(IdTable, RemembersEachStreamsLastId) {
  IdTable ids{3};
  EXPECT_EQ(ids.of(0), "");
  ids.set(0, "a");
  ids.set(1, "b");
  ids.set(0, "c");
  EXPECT_EQ(ids.of(0), "c");
  EXPECT_EQ(ids.of(1), "b");
  EXPECT_EQ(ids.of(2), "");
  ids.set(1, "");
  EXPECT_EQ(ids.of(1), "");
}

TEST(IdTable, KeepsAnIdOnceHoweverManyStreamsHaveIt) {
  constexpr std::uint32_t kStreams = 100;
  IdTable ids{kStreams, "first"};
  EXPECT_EQ(ids.of(7), "first");
  for (std::uint32_t event = 0; event < 50; ++event) {
    for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
      ids.set(stream, std::to_string(event));
    }
    EXPECT_EQ(ids.distinct(), 1U);
  }
  EXPECT_EQ(ids.of(99), "49");
}

TEST(IdTable, TellsIdsApartThatEachStreamHasForItself) {
  constexpr std::uint32_t kStreams = 1'000;
  IdTable ids{kStreams};
  const auto id = [](std::uint32_t stream, std::uint32_t event) {
    return std::string(stream % 50, '\xff') + std::to_string(stream) + ':' + std::to_string(event);
  };
  for (std::uint32_t event = 0; event < 3; ++event) {
    for (std::uint32_t stream = 0; stream < kStreams; ++stream) ids.set(stream, id(stream, event));
  }
  EXPECT_EQ(ids.distinct(), kStreams);
  for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
    EXPECT_EQ(ids.of(stream), id(stream, 2));
  }
}

}  // namespace
}  // namespace ringcast::load
