#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ringcast/config/command_line.h"
#include "ringcast/config/config.h"

#include "../temporary_folder.h"
#include "../tls/certificates.h"

// [tls].
namespace ringcast::config {
namespace {

Config sound(const std::string& toml) {
  const Result<Config> result = parse(toml, "f");
  if (result) return result.value();
  ADD_FAILURE() << toml << "\nis refused:\n" << result.error().message;
  return defaults();
}

std::string errors(const std::string& toml) {
  const Result<Config> result = parse(toml, "f");
  return result ? "accepted" : result.error().message;
}

/// The value of a key as it is printed.
std::string printed(const Config& config, const std::string& key) {
  const std::string text = to_toml(config);
  const std::string front = "\n" + key + " = ";
  const std::size_t begin = text.find(front, text.find("[tls]\n")) + front.size();
  return text.substr(begin, text.find("  #", begin) - begin);
}

using Texts = std::vector<std::string>;

constexpr const char* kPair = "[tls]\ncertificate = \"c\"\nprivate_key = \"k\"\n";

TEST(TlsConfig, WithoutAnAddressThereIsNone) {
  EXPECT_TRUE(defaults().tls.listen.empty());
  EXPECT_EQ(sound("[tls]\nlisten = []\ncertificate = \"\"\nprivate_key = \"\"\n").tls,
            TlsOptions());
}

TEST(TlsConfig, OneFileIsAStringAndSeveralAreAnArray) {
  const Config one = sound("[tls]\ncertificate = \"c\"\nprivate_key = [\"k\"]\n");
  EXPECT_EQ(one.tls.certificates, Texts{"c"});
  EXPECT_EQ(one.tls.private_keys, Texts{"k"});
  EXPECT_EQ(printed(one, "certificate"), "\"c\"");
  EXPECT_EQ(printed(one, "private_key"), "\"k\"");

  const Config two = sound("[tls]\ncertificate = [\"c\", \"d\"]\nprivate_key = [\"k\", \"l\"]\n");
  EXPECT_EQ(two.tls.certificates, (Texts{"c", "d"}));
  EXPECT_EQ(two.tls.private_keys, (Texts{"k", "l"}));
  EXPECT_EQ(printed(two, "certificate"), "[\"c\", \"d\"]");
  EXPECT_EQ(printed(two, "private_key"), "[\"k\", \"l\"]");

  EXPECT_EQ(printed(defaults(), "certificate"), "\"\"");
  EXPECT_EQ(sound("tls.certificate = []").tls, TlsOptions());
}

TEST(TlsConfig, CertificatesMayShareAKeyButNoneIsThereTwice) {
  EXPECT_EQ(sound("tls.private_key = [\"k\", \"k\"]").tls.private_keys, (Texts{"k", "k"}));
  EXPECT_EQ(errors("tls.certificate = [\"c\", \"c\"]"),
            "f:1:25: tls.certificate: \"c\" is there twice");
}

TEST(TlsConfig, WhatCannotBeAFileIsRefusedWhereItStands) {
  for (const std::string key : {"certificate", "private_key"}) {
    const std::string front = "tls." + key + " = ";
    const std::string name = "tls." + key + ": ";
    EXPECT_EQ(errors(front + "1"),
              "f:1:19: " + name + "expected a string or an array of strings, found an integer");
    EXPECT_EQ(errors(front + "[1]"), "f:1:20: " + name + "expected a string, found an integer");
    EXPECT_EQ(errors(front + "[\"\"]"), "f:1:20: " + name + "the name of a file is empty");
    EXPECT_EQ(errors(front + "\"a\\u0000\""), "f:1:19: " + name + "must not contain NUL");
    std::string many;
    for (std::size_t i = 0; i <= tls::kCertificatesMax; ++i) {
      many += "\"" + std::to_string(i) + "\",";
    }
    EXPECT_EQ(errors(front + "[" + many + "]"),
              "f:1:19: " + name + "must hold at most 64 files, not 65");
  }
}

TEST(TlsConfig, AnAddressNeedsACertificateAndItsKey) {
  EXPECT_EQ(errors("tls.listen = [\"1.1.1.1:1\"]"),
            "f:1:14: tls.listen: needs a tls.certificate and its tls.private_key");
  EXPECT_EQ(errors("tls.listen = [\"1.1.1.1:1\"]\ntls.private_key = \"k\""),
            "f:1:14: tls.listen: needs a tls.certificate");
  EXPECT_EQ(errors("tls.listen = [\"1.1.1.1:1\"]\ntls.certificate = \"c\""),
            "f:2:19: tls.certificate: needs its tls.private_key");
  EXPECT_EQ(errors(std::string(kPair) + "listen = [\"1.1.1.1:1\"]"), "accepted");
}

TEST(TlsConfig, ThereAreAsManyKeysAsCertificates) {
  EXPECT_EQ(errors("[tls]\nlisten = [\"1.1.1.1:1\"]\ncertificate = [\"c\", \"d\"]\nprivate_key = "
                   "\"k\""),
            "f:4:15: tls.private_key: must name a file for each of tls.certificate, in the same "
            "order: 2, not 1");
  const auto files =
      certificate_files(sound("[tls]\nlisten = [\"1.1.1.1:1\"]\ncertificate = [\"c\", \"d\"]\n"
                              "private_key = [\"k\", \"l\"]")
                            .tls);
  EXPECT_EQ(files, (std::vector<tls::CertificateFiles>{{"c", "k"}, {"d", "l"}}));
}

TEST(TlsConfig, OneErrorDoesNotBringAnother) {
  EXPECT_EQ(errors("[tls]\nlisten = [\"1.1.1.1:1\"]\ncertificate = 1\nprivate_key = \"k\""),
            "f:3:15: tls.certificate: expected a string or an array of strings, found an integer");
}

TEST(TlsConfig, EachListenerHasAnAddressOfItsOwn) {
  const std::string tls = std::string(kPair) + "listen = [\"127.0.0.1:8080\"]\n";
  EXPECT_EQ(errors(tls), "f:4:10: tls.listen: 127.0.0.1:8080 is also in server.listen");
  EXPECT_EQ(errors("server.listen = [\"127.0.0.1:8081\"]\n" + tls), "accepted");
  EXPECT_EQ(errors(std::string(kPair) + "listen = [\"127.0.0.1:9080\"]\n"),
            "f:4:10: server.admin_listen: 127.0.0.1:9080 is also in tls.listen");
  EXPECT_EQ(errors(std::string(kPair) + "listen = [\"1.1.1.1:1\", \"1.1.1.1:1\"]\n"),
            "f:4:24: tls.listen: 1.1.1.1:1 is there twice");
  EXPECT_EQ(errors("[server]\nlisten = [\"1.1.1.1:0\"]\nadmin_listen = \"1.1.1.1:0\"\n" +
                   std::string(kPair) + "listen = [\"1.1.1.1:0\", \"1.1.1.1:0\"]\n"),
            "accepted")
      << "each gets a free one of its own";
}

TEST(TlsConfig, PlainHttpMayBeOffWhereThereIsHttps) {
  const std::string tls = std::string(kPair) + "listen = [\"1.1.1.1:1\"]\n";
  EXPECT_TRUE(sound("server.listen = []\n" + tls).server.listen.empty());
  EXPECT_EQ(printed(sound("server.listen = []\n" + tls), "listen"), "[\"1.1.1.1:1\"]");
  EXPECT_NE(errors("server.listen = []\n[tls]\nlisten = []").find("nobody could connect"),
            std::string::npos);
}

TEST(TlsConfig, ClientsAreSentToAnOriginWithHttps) {
  const std::string tls = std::string(kPair) + "listen = [\"1.1.1.1:1\"]\n";
  EXPECT_EQ(sound(tls + "redirect_to = \"HTTPS://Push.Example.com:443\"").tls.redirect_to,
            "https://push.example.com");
  EXPECT_EQ(sound(tls + "redirect_to = \"https://[::1]:8443\"").tls.redirect_to,
            "https://[::1]:8443");
  for (const std::string wrong : {"push.example.com", "http://push.example.com", "null", "https://",
                                  "https://a.example/", "https://a.example:0", "https://a b"}) {
    EXPECT_EQ(errors(tls + "redirect_to = \"" + wrong + "\""),
              "f:5:15: tls.redirect_to: must be \"https://\" and a host, as "
              "\"https://push.example.com\", with the port unless it is 443, without a path; or "
              "\"\" for none; not \"" +
                  wrong + "\"");
  }
  EXPECT_EQ(errors("tls.redirect_to = \"https://a.example\""),
            "f:1:19: tls.redirect_to: sends clients to HTTPS, but tls.listen is empty: nobody "
            "answers there");
}

TEST(TlsConfig, HandshakesHaveBounds) {
  EXPECT_EQ(sound("tls.handshake_seconds = 600").tls.connections.handshake_seconds, 600u);
  EXPECT_EQ(sound("tls.handshakes_max = 65536").tls.connections.handshakes_max, 65'536u);
  EXPECT_EQ(errors("tls.handshake_seconds = 0"),
            "f:1:25: tls.handshake_seconds: must be 1 to 600, not 0");
  EXPECT_NE(errors("tls.handshake_seconds = 601"), "accepted");
  EXPECT_EQ(errors("tls.handshakes_max = 65537"),
            "f:1:22: tls.handshakes_max: must be 1 to 65536, not 65537");
  EXPECT_NE(errors("tls.handshakes_max = 0"), "accepted");
  EXPECT_EQ(errors("tls.record_layer = \"kernel\""),
            "f:1:20: tls.record_layer: must be \"own\" or \"openssl\", not \"kernel\"");
}

class CheckCertificates : public testing::Test {
 protected:
  int check(const std::string& toml) {
    folder_.write("x.toml", toml);
    out_.str("");
    err_.str("");
    return run_check(folder_.path("x.toml"), out_, err_);
  }
  void write_pair(const tls::test::Wish& wish = {}) {
    const tls::test::Issued issued = tls::test::Authority().issue(wish);
    folder_.write("c", issued.certificate_pem());
    folder_.write("k", issued.key_pem());
  }
  [[nodiscard]] std::string front() const { return folder_.path("x.toml") + ": "; }

  const std::string toml_ = std::string(kPair) + "listen = [\"127.0.0.1:8443\"]\n";
  test::TemporaryFolder folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(CheckCertificates, AreReadFromTheFolderOfTheConfiguration) {
  // The clock of the machine is what check looks at: the certificate is good for many years.
  write_pair({.begins_seconds = -3650 * tls::test::kDaySeconds});
  EXPECT_EQ(check(toml_), 0) << err_.str();
  EXPECT_EQ(err_.str(), "");
  EXPECT_NE(out_.str().find("certificate = \"" + folder_.path("c") + "\""), std::string::npos);
  EXPECT_NE(out_.str().find("private_key = \"" + folder_.path("k") + "\""), std::string::npos);
}

TEST_F(CheckCertificates, ThatDoNotLoadAreAnError) {
  EXPECT_EQ(check(toml_), kUsageExitCode);
  EXPECT_EQ(err_.str(),
            front() + "tls: " + folder_.path("c") + ": No such file or directory (ENOENT)\n");
  EXPECT_EQ(out_.str(), "");
  write_pair();
  folder_.write("k", tls::test::Authority().issue().key_pem());
  EXPECT_EQ(check(toml_), kUsageExitCode);
  EXPECT_EQ(err_.str(), front() + "tls: " + folder_.path("k") +
                            ": the private key does not belong to the certificate of " +
                            folder_.path("c") + "\n");
}

TEST_F(CheckCertificates, ThatHaveExpiredAreAWarning) {
  write_pair({.begins_seconds = -3650 * tls::test::kDaySeconds,
              .ends_seconds = -3649 * tls::test::kDaySeconds});
  EXPECT_EQ(check(toml_), 0);
  EXPECT_EQ(err_.str(), front() + "warning: tls: " + folder_.path("c") +
                            ": the certificate expired on 2016-01-05 00:00:00 UTC\n");
  EXPECT_NE(out_.str().find("[tls]"), std::string::npos);
}

TEST_F(CheckCertificates, AreNotReadWithoutAnAddress) {
  EXPECT_EQ(check(kPair), 0) << err_.str();
  EXPECT_EQ(err_.str(), "");
}

}  // namespace
}  // namespace ringcast::config
