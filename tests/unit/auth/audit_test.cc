#include "ringcast/auth/audit.h"

#include <gtest/gtest.h>

namespace ringcast::auth {
namespace {

TEST(Audit, EveryActionHasANameOfItsOwn) {
  EXPECT_EQ(to_string(AuditAction::login), "login");
  EXPECT_EQ(to_string(AuditAction::login_failed), "login-failed");
  EXPECT_EQ(to_string(AuditAction::logout), "logout");
  EXPECT_EQ(to_string(AuditAction::token_refused), "token-refused");
  EXPECT_EQ(to_string(AuditAction::origin_refused), "origin-refused");
  EXPECT_EQ(to_string(AuditAction::forbidden), "forbidden");
}

TEST(Audit, RequestIdIsSixteenHexadecimalDigits) {
  EXPECT_EQ(request_id_text(0), "0000000000000000");
  EXPECT_EQ(request_id_text(1), "0000000000000001");
  EXPECT_EQ(request_id_text(0x0123456789abcdef), "0123456789abcdef");
  EXPECT_EQ(request_id_text(UINT64_MAX), "ffffffffffffffff");
}

}  // namespace
}  // namespace ringcast::auth
