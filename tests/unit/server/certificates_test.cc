#include "certificates.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../hub/log_capture.h"
#include "../temporary_folder.h"
#include "../tls/certificates.h"

namespace ringcast::server {
namespace {

using tls::test::kDaySeconds;
using tls::test::kNowMs;

constexpr Time kNow{.mono_ns = 0, .unix_ms = kNowMs};

class InUse : public testing::Test {
 protected:
  /// Writes a pair and gives the options that name it.
  config::TlsOptions pair(const std::string& name, const tls::test::Wish& wish = {}) {
    const tls::test::Issued issued = tls::test::Authority().issue(wish);
    config::TlsOptions options;
    options.certificates = {folder_.write(name + ".pem", issued.certificate_pem())};
    options.private_keys = {folder_.write(name + ".key", issued.key_pem())};
    return options;
  }
  void use(const config::TlsOptions& options) {
    auto loaded = certificates_.load(options, kNow);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    certificates_.use(std::move(loaded).value(), options);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return folder_.path(name); }

  test::TemporaryFolder folder_;
  Certificates certificates_{kNow};
};

TEST_F(InUse, ACertificateIsUsedUntilAnotherIs) {
  EXPECT_EQ(certificates_.context(), nullptr);
  use(pair("a", {.ends_seconds = 10 * kDaySeconds}));
  const auto first = certificates_.context();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(certificates_.expiry_ms().get(), kNowMs + 10 * kDaySeconds * 1000);

  const auto second = certificates_.load(pair("b", {.ends_seconds = 20 * kDaySeconds}), kNow);
  EXPECT_TRUE(second.ok());
  EXPECT_EQ(certificates_.context(), first) << "reading changes nothing";
  EXPECT_EQ(certificates_.expiry_ms().get(), kNowMs + 10 * kDaySeconds * 1000);

  use(pair("b", {.ends_seconds = 20 * kDaySeconds}));
  EXPECT_NE(certificates_.context(), first);
  EXPECT_EQ(certificates_.expiry_ms().get(), kNowMs + 20 * kDaySeconds * 1000);
}

TEST_F(InUse, OneThatDoesNotLoadNamesItsFileAndChangesNothing) {
  use(pair("a"));
  const auto first = certificates_.context();
  const std::uint64_t expiry_ms = certificates_.expiry_ms().get();
  config::TlsOptions options = pair("b");
  options.private_keys = {file("a.key")};
  const auto failed = certificates_.load(options, kNow);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "tls: " + file("a.key") +
                                        ": the private key does not belong to the certificate of " +
                                        file("b.pem"));
  EXPECT_EQ(certificates_.context(), first);
  EXPECT_EQ(certificates_.expiry_ms().get(), expiry_ms);
}

TEST_F(InUse, TheLogSaysWhichAreInUseUntilWhen) {
  const test::LogCapture log;
  use(pair("a", {.ends_seconds = 31 * kDaySeconds}));
  EXPECT_TRUE(
      log.says("tls: " + file("a.pem") + " is in use; it expires on 2026-02-01 00:00:00 UTC"))
      << log.text();
  config::TlsOptions both = pair("b", {.ends_seconds = kDaySeconds});
  both.certificates.insert(both.certificates.begin(), file("a.pem"));
  both.private_keys.insert(both.private_keys.begin(), file("a.key"));
  use(both);
  EXPECT_TRUE(log.says("tls: " + file("a.pem") + ", " + file("b.pem") +
                       " are in use; the first of them expires on 2026-01-02 00:00:00 UTC"))
      << log.text();
}

TEST_F(InUse, WhatIsWrongWithACertificateThatLoadsIsLogged) {
  const config::TlsOptions options =
      pair("a", {.begins_seconds = -2 * kDaySeconds, .ends_seconds = -kDaySeconds});
  auto loaded = certificates_.load(options, kNow);
  ASSERT_TRUE(loaded.ok());
  const test::LogCapture log;
  certificates_.use(std::move(loaded).value(), options);
  EXPECT_TRUE(
      log.says("tls: " + file("a.pem") + ": the certificate expired on 2025-12-31 00:00:00 UTC"))
      << log.text();
}

}  // namespace
}  // namespace ringcast::server
