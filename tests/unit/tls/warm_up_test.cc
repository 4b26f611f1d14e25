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
    EXPECT_TRUE(warm_up(site.context({{.key = key}}))) << key;
  }
}

TEST(WarmUp, AnyThreadMay) {
  std::thread([] { EXPECT_TRUE(warm_up(common_context())); }).join();
}

}  // namespace
