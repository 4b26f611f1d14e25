// With the allocator that the server is linked with; not under sanitizers, which bring their own.
#include "ringcast/base/memory.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

using Block = std::unique_ptr<std::byte[]>;

constexpr std::array<std::size_t, 12> kSizes = {16,  32,  48,  64,  96,  128,
                                                160, 192, 256, 320, 448, 640};
constexpr std::size_t kBurstBytes = 1 << 20;  // of each size
constexpr std::size_t kPageBytes = 64 << 10;  // of the allocator

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("Rss:")) continue;
    std::size_t kilobytes = 0;
    std::istringstream(line.substr(4)) >> kilobytes;
    return kilobytes * 1024;
  }
  ADD_FAILURE() << "no Rss";
  return 0;
}

void burst() {
  std::vector<Block> blocks;
  for (const std::size_t size : kSizes) {
    for (std::size_t bytes = 0; bytes < kBurstBytes; bytes += size) {
      blocks.push_back(std::make_unique<std::byte[]>(size));
    }
  }
}

/// What a burst leaves behind in a thread that has one small block of each size that stays.
std::size_t left_by_burst(bool new_heap) {
  std::size_t left = 0;
  std::thread([&] {
    std::vector<Block> lasting;
    for (const std::size_t size : kSizes) lasting.push_back(std::make_unique<std::byte[]>(size));
    if (new_heap) begin_new_heap();
    const std::size_t before = resident_bytes();
    burst();
    for (int i = 0; i < 3; ++i) {
      give_back_memory();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const std::size_t after = resident_bytes();
    left = after > before ? after - before : 0;
  }).join();
  return left;
}

TEST(Memory, ABurstInANewHeapLeavesNextToNothing) {
  give_back_memory_early();
  const std::size_t apart = left_by_burst(true);
  const std::size_t among = left_by_burst(false);
  EXPECT_LT(apart, among / 2);
  EXPECT_LT(apart, kSizes.size() * kPageBytes / 2);
}

TEST(Memory, BlocksOfTheOldHeapAreFreedAsBefore) {
  std::thread([] {
    std::vector<Block> old;
    for (const std::size_t size : kSizes) old.push_back(std::make_unique<std::byte[]>(size));
    begin_new_heap();
    old.clear();
    burst();
    begin_new_heap();  // and again
    burst();
  }).join();
}

}  // namespace
}  // namespace ringcast
