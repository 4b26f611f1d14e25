#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ringcast/hub/embedded_store.h"

#include "../temporary_folder.h"

namespace ringcast::hub {
namespace {

constexpr std::uint64_t kMs = 1'700'000'000'000;

class FileHighWaterTest : public testing::Test {
 protected:
  [[nodiscard]] std::string file() const { return directory_ + "/high-water"; }
  void write(const std::string& text) const { std::ofstream(file()) << text; }
  [[nodiscard]] std::string read() const {
    std::ifstream stream(file());
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  [[nodiscard]] std::string refusal() const {
    const auto opened = FileHighWater::open(directory_);
    return opened ? "accepted" : opened.error().message;
  }

  /// Blocks until the writer's thread has done what was asked for.
  static void await(const FileHighWater& high_water, std::uint64_t ms) {
    for (int i = 0; i < 10'000 && high_water.reserved_ms() < ms; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_GE(high_water.reserved_ms(), ms);
  }

  const test::TemporaryFolder folder_;
  const std::string directory_ = folder_.path();
};

TEST_F(FileHighWaterTest, MarkSurvivesARestart) {
  {
    auto opened = FileHighWater::open(directory_);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened.value()->found_ms(), 0u);
    opened.value()->request(kMs);
    await(*opened.value(), kMs);
  }
  EXPECT_EQ(read(), std::to_string(kMs) + "\n");
  auto again = FileHighWater::open(directory_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again.value()->found_ms(), kMs);
  EXPECT_EQ(again.value()->reserved_ms(), kMs);
}

TEST_F(FileHighWaterTest, MarkIsInTheFileBeforeItCounts) {
  auto opened = FileHighWater::open(directory_);
  ASSERT_TRUE(opened);
  for (std::uint64_t ms = kMs; ms < kMs + 50; ++ms) {
    opened.value()->request(ms);
    while (opened.value()->reserved_ms() < ms) std::this_thread::yield();
    ASSERT_EQ(read(), std::to_string(ms) + "\n");
  }
}

TEST_F(FileHighWaterTest, MarkNeverSinks) {
  auto opened = FileHighWater::open(directory_);
  ASSERT_TRUE(opened);
  opened.value()->request(kMs);
  await(*opened.value(), kMs);
  opened.value()->request(kMs - 1000);
  opened.value()->request(kMs + 1);
  await(*opened.value(), kMs + 1);
  EXPECT_EQ(read(), std::to_string(kMs + 1) + "\n");
  // Also while the larger one still waits for the disk.
  for (std::uint64_t ms = kMs + 1000; ms < kMs + 20'000; ms += 1000) {
    opened.value()->request(ms);
    opened.value()->request(ms - 500);
    await(*opened.value(), ms);
  }
}

TEST_F(FileHighWaterTest, NothingIsWrittenUnasked) {
  ASSERT_TRUE(FileHighWater::open(directory_));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(FileHighWaterTest, MissingDirectoriesAreMade) {
  const std::string deep = directory_ + "/a/b/c";
  auto opened = FileHighWater::open(deep);
  ASSERT_TRUE(opened) << opened.error().message;
  opened.value()->request(kMs);
  await(*opened.value(), kMs);
  EXPECT_TRUE(std::filesystem::exists(deep + "/high-water"));
}

TEST_F(FileHighWaterTest, NumberWithAndWithoutALineEndIsRead) {
  for (const char* const text : {"1700000000000\n", "1700000000000"}) {
    write(text);
    auto opened = FileHighWater::open(directory_);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened.value()->found_ms(), kMs);
  }
}

TEST_F(FileHighWaterTest, WhatIsNoNumberIsRefusedAndLeftAlone) {
  for (const std::string text :
       {"", "\n", "garbage", "17000x", "-5\n", "+5\n", " 5\n", "5 \n", "1.5\n", "0x10\n",
        "99999999999999999999\n", "1700000000000\r\n"}) {
    write(text);
    const std::string message = refusal();
    EXPECT_NE(message.find(file()), std::string::npos) << testing::PrintToString(text) << message;
    EXPECT_NE(message.find("number of milliseconds"), std::string::npos) << message;
    EXPECT_EQ(read(), text) << "never overwritten";
  }
}

TEST_F(FileHighWaterTest, DirectoryInPlaceOfTheFileIsRefused) {
  std::filesystem::create_directory(file());
  EXPECT_NE(refusal().find(file()), std::string::npos);
}

TEST_F(FileHighWaterTest, FileInPlaceOfTheDirectoryIsRefused) {
  write("5\n");
  const auto opened = FileHighWater::open(file());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(file()), std::string::npos) << opened.error().message;
}

TEST_F(FileHighWaterTest, DirectoryThatCannotBeMadeIsNamed) {
  write("5\n");
  const auto opened = FileHighWater::open(file() + "/below");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(file() + "/below"), std::string::npos);
}

// The directory goes away under a running server, as a full or broken disk does: what was promised
// stays, nothing above it is, and once there is a directory again the promise is kept.
TEST_F(FileHighWaterTest, PromiseWaitsWhileTheDiskFails) {
  auto opened = FileHighWater::open(directory_);
  ASSERT_TRUE(opened);
  FileHighWater& high_water = *opened.value();
  high_water.request(kMs);
  await(high_water, kMs);

  const std::string aside = directory_ + ".aside";
  std::filesystem::rename(directory_, aside);
  high_water.request(kMs + 60'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(high_water.reserved_ms(), kMs);
  std::filesystem::rename(aside, directory_);
  await(high_water, kMs + 60'000);
  EXPECT_EQ(read(), std::to_string(kMs + 60'000) + "\n");
}

TEST_F(FileHighWaterTest, NoTemporaryFileIsLeft) {
  auto opened = FileHighWater::open(directory_);
  ASSERT_TRUE(opened);
  opened.value()->request(kMs);
  await(*opened.value(), kMs);
  opened = Error{"closed"};
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    files.insert(entry.path().filename());
  }
  EXPECT_EQ(files, (std::set<std::string>{"high-water", "lock"}));
}

TEST_F(FileHighWaterTest, AnOrderlyStopLowersItsOwnPromiseOnly) {
  auto first = FileHighWater::open(directory_);
  ASSERT_TRUE(first);
  first.value()->request(kMs + 60'000);
  await(*first.value(), kMs + 60'000);
  first.value()->settle(kMs + 5);
  EXPECT_EQ(read(), std::to_string(kMs + 5) + "\n");
}

TEST_F(FileHighWaterTest, NobodyLowersWhatAnotherProcessPromised) {
  auto old = FileHighWater::open(directory_);
  ASSERT_TRUE(old);
  old.value()->request(kMs + 60'000);
  await(*old.value(), kMs + 60'000);
  auto successor = FileHighWater::open(directory_);
  ASSERT_TRUE(successor);
  successor.value()->request(kMs + 120'000);
  await(*successor.value(), kMs + 120'000);
  old.value()->request(kMs + 90'000);
  await(*old.value(), kMs + 90'000);
  old.value()->settle(kMs + 1);
  EXPECT_EQ(read(), std::to_string(kMs + 120'000) + "\n");
}

TEST_F(FileHighWaterTest, ATimeBeyondTheYear9999IsRefused) {
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ + "/high-water") << "18446744073709551615\n";
  EXPECT_FALSE(FileHighWater::open(directory_));
}

TEST_F(FileHighWaterTest, StoreGoesOnBehindTheRunBefore) {
  const Time now{.mono_ns = 1, .unix_ms = kMs};
  EventId last{};
  for (int run = 0; run < 5; ++run) {
    auto opened = FileHighWater::open(directory_);
    ASSERT_TRUE(opened);
    auto store = EmbeddedStore::start(*opened.value(), now);
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_GT(store.value().floor(), last);
    last = store.value().assign(now);
  }
}

}  // namespace
}  // namespace ringcast::hub
