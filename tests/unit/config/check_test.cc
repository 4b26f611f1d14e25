#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "ringcast/config/command_line.h"

namespace ringcast::config {
namespace {

TEST(Check, PrintsTheEffectiveConfiguration) {
  const std::string path = testing::TempDir() + "ringcast_check_test.toml";
  std::ofstream(path) << "server.shards = 7\n";
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run_check(path, out, err), 0);
  EXPECT_EQ(err.str(), "");
  const auto again = parse(out.str(), "printed");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again.value(), load(path).value());
  EXPECT_NE(out.str().find("shards = 7"), std::string::npos);
  std::remove(path.c_str());
}

TEST(Check, PrintsTheErrorsAndNothingElse) {
  const std::string path = testing::TempDir() + "ringcast_check_errors_test.toml";
  std::ofstream(path) << "server.shards = -7\nx = 1\n";
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run_check(path, out, err), 2);
  EXPECT_EQ(out.str(), "");
  EXPECT_EQ(err.str(),
            path + ":1:17: server.shards: must be 0 to 256 (0 = one for each CPU), not -7\n" +
                path + ":2:1: unknown key x\n");
  std::remove(path.c_str());
}

class CheckFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ringcast_check_files";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  int check(const std::string& toml) {
    write("x.toml", toml);
    out_.str("");
    err_.str("");
    return run_check(folder_ + "/x.toml", out_, err_);
  }

  std::string folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(CheckFiles, WhatIsNamedIsReadFromTheFolderOfTheConfiguration) {
  write("s", std::string(32, 's') + "\n");
  write("u", "# nobody yet\n");
  EXPECT_EQ(check("[auth]\nsecret_file = \"s\"\nusers_file = \"u\"\n"), 0) << err_.str();
  EXPECT_EQ(err_.str(), "");
  EXPECT_NE(out_.str().find("secret_file = \"" + folder_ + "/s\""), std::string::npos);
  EXPECT_NE(out_.str().find("users_file = \"" + folder_ + "/u\""), std::string::npos);
}

TEST_F(CheckFiles, EachFileThatCannotBeUsedIsAnError) {
  write("short", "secret");
  write("u", "alice:password\n");
  EXPECT_EQ(check("[auth]\nsecret_file = \"short\"\nusers_file = \"u\"\n"), 2);
  EXPECT_EQ(out_.str(), "");
  std::istringstream lines(err_.str());
  std::string line;
  for (const char* file : {"/short", "/u"}) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_TRUE(line.starts_with(folder_ + "/x.toml: auth")) << line;
    EXPECT_NE(line.find(folder_ + file), std::string::npos) << line;
  }
  EXPECT_FALSE(std::getline(lines, line)) << line;
}

TEST_F(CheckFiles, AFileThatIsNotThereIsAnErrorAndIsNotMade) {
  for (const char* key :
       {"secret_file = \"n\"", "jwks_file = \"n\"", "key_files = [\"n\"]", "users_file = \"n\""}) {
    EXPECT_EQ(check("[auth]\n" + std::string(key)), 2) << key;
    EXPECT_NE(err_.str().find(folder_ + "/n"), std::string::npos) << err_.str();
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/n"));
  }
}

TEST_F(CheckFiles, WhatTheServerWouldMakeIsNotMissed) {
  EXPECT_EQ(check("server.state_directory = \"state\""), 0) << err_.str();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/state"));
  EXPECT_NE(out_.str().find("state_directory = \"" + folder_ + "/state\""), std::string::npos);
}

TEST_F(CheckFiles, NothingIsReadWhereNobodySignsIn) {
  EXPECT_EQ(check("[auth]\nrequired = false\nsecret_file = \"n\"\nusers_file = \"n\""), 0)
      << err_.str();
}

}  // namespace
}  // namespace ringcast::config
