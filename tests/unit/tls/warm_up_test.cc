#include "ringcast/tls/warm_up.h"

#include <thread>

#include <gtest/gtest.h>

#include "tls_client.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

TEST(WarmUp, EndsInAnOpenConnectionWithEachKindOfCertificate) {
  const Site site;
  for (const char* key : {"P-256", "P-384", "RSA-2048", "ED25519"}) {
    const auto warm = warm_up(site.context({{.key = key}}));
    EXPECT_TRUE(warm.ok()) << key << ": " << warm.error().message;
  }
}

TEST(WarmUp, AnyThreadMay) {
  std::thread([] { EXPECT_TRUE(warm_up(common_context()).ok()); }).join();
}

}  // namespace
