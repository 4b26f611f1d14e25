#include "credentials.h"

#include <gtest/gtest.h>

namespace ringcast::shard {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kForm = "application/x-www-form-urlencoded";

TEST(Credentials, AreReadFromJson) {
  const Credentials read = read_credentials("Application/JSON; charset=utf-8",
                                            R"({"username":"ann","password":"p\"w","x":[1]})");
  EXPECT_EQ(read.status, 0);
  EXPECT_EQ(read.username, "ann");
  EXPECT_EQ(read.password, "p\"w");
}

TEST(Credentials, AreReadFromAForm) {
  const Credentials read = read_credentials(kForm, "next=%2F&username=a+n&password=%C3%A9%26%3D");
  EXPECT_EQ(read.status, 0);
  EXPECT_EQ(read.username, "a n");
  EXPECT_EQ(read.password, "\xc3\xa9&=");
}

TEST(Credentials, TheMissingFieldIsNamed) {
  for (const auto& [type, body] :
       {std::pair{kJson, R"({"password":"x"})"},
        std::pair{kJson, R"({"username":"","password":"x"})"}, std::pair{kForm, "password=x"}}) {
    const Credentials read = read_credentials(type, body);
    EXPECT_EQ(read.status, 400) << body;
    EXPECT_EQ(read.fault, "username: is missing") << body;
  }
  EXPECT_EQ(read_credentials(kJson, R"({"username":"x"})").fault, "password: is missing");
  EXPECT_EQ(read_credentials(kForm, "").fault, "username: is missing");
}

TEST(Credentials, WhatIsNoTextIsRefused) {
  EXPECT_EQ(read_credentials(kJson, R"({"username":7,"password":"x"})").fault,
            "username: must be a string");
  EXPECT_EQ(read_credentials(kJson, R"({"username":"x","password":null})").fault,
            "password: must be a string");
  for (const char* body : {"", "[]", "{", "nonsense", "\"text\"", R"({"username":"a"} x)"}) {
    const Credentials read = read_credentials(kJson, body);
    EXPECT_EQ(read.status, 400) << body;
    EXPECT_EQ(read.fault, "the body is not a JSON object") << body;
  }
}

TEST(Credentials, AmbiguousFormsAreRefused) {
  EXPECT_EQ(read_credentials(kForm, "username=a&username=b&password=c").fault,
            "username: is there twice");
  EXPECT_EQ(read_credentials(kForm, "username=a&password=%zz").fault,
            "password: has a broken percent escape");
}

TEST(Credentials, OtherMediaTypesAreRefused) {
  // text/plain is what a form of another page can send without asking.
  for (const char* type :
       {"", "text/plain", "multipart/form-data; boundary=x", "application/jsonx"}) {
    EXPECT_EQ(read_credentials(type, R"({"username":"a","password":"b"})").status, 415) << type;
  }
}

}  // namespace
}  // namespace ringcast::shard
