#include "ringcast/base/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace ringcast {
namespace {

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = 5;
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(static_cast<bool>(good));
  EXPECT_EQ(good.value(), 5);

  const Result<int> bad = Error{"no"};
  EXPECT_FALSE(bad.ok());
  EXPECT_FALSE(static_cast<bool>(bad));
  EXPECT_EQ(bad.error().message, "no");
}

TEST(Result, ValueMayBeMovedOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Result, VoidIsGoodUntilItFails) {
  EXPECT_TRUE(Result<void>().ok());
  const Result<void> bad = Error{"no"};
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "no");
}

TEST(ResultDeathTest, ReadingTheSideThatIsNotThereAborts) {
  const Result<int> good = 5;
  const Result<int> bad = Error{"no"};
  const Result<void> fine;
  EXPECT_DEATH((void)good.error(), "internal error");
  EXPECT_DEATH((void)bad.value(), "internal error");
  EXPECT_DEATH((void)fine.error(), "internal error");
}

TEST(SystemError, NamesWhatAndWhy) {
  EXPECT_EQ(system_error("cannot open x", ENOENT).message,
            "cannot open x: No such file or directory (ENOENT)");
  EXPECT_EQ(system_error("cannot open x", -ENOENT).message,
            "cannot open x: No such file or directory (ENOENT)");
}

}  // namespace
}  // namespace ringcast
