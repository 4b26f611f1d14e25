#include "ringcast/tls/context.h"

#include <gtest/gtest.h>

#include "tls_client.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

constexpr Time kNow{0, kNowMs};

Result<Context::Loaded> load(const Site& site, const std::vector<CertificateFiles>& files) {
  return Context::load(files, site.ticket_keys, kNow);
}

/// "" when it loads.
std::string error_of(const Site& site, const std::vector<CertificateFiles>& files) {
  const auto loaded = load(site, files);
  return loaded.ok() ? std::string() : loaded.error().message;
}

std::vector<std::string> warnings_of(const Site& site, const std::vector<CertificateFiles>& files) {
  const auto loaded = load(site, files);
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  return loaded.ok() ? loaded.value().warnings : std::vector<std::string>();
}

/// The certificate that a client gets, or null.
X509* certificate_for(const std::shared_ptr<const Context>& context, TlsClient& client) {
  Session session(context);
  converse(client, session);
  EXPECT_EQ(client.failure(), "");
  return client.connected() ? client.certificate() : nullptr;
}

bool serves(const std::shared_ptr<const Context>& context) {
  TlsClient client;
  return certificate_for(context, client) != nullptr;
}

TEST(ContextFiles, AClientVerifiesTheCertificateThatWasRead) {
  const Site site;
  for (const std::string key : {"P-256", "P-384", "P-521", "ED25519", "RSA-2048"}) {
    const auto context = site.context({{.key = key}});
    TlsClient client({.trusted = site.authority.certificate()});
    EXPECT_NE(certificate_for(context, client), nullptr) << key;
    EXPECT_EQ(client.chain_size(), 1u);
  }
}

TEST(ContextFiles, BothMayBeInOneFileInAnyOrder) {
  const Site site;
  const Issued issued = site.authority.issue();
  for (const std::string& text :
       {issued.certificate_pem() + issued.key_pem(), issued.key_pem() + issued.certificate_pem()}) {
    const std::string path = site.folder.write("both.pem", text);
    EXPECT_EQ(error_of(site, {{path, path}}), "");
  }
}

TEST(ContextFiles, TheChainIsSentToClients) {
  const Site site;
  const Authority between(
      site.authority.issue({.names = {}, .common_name = "Between", .authority = true}));
  const auto loaded = load(site, {site.write("chain", between.issue(), between.certificate_pem())});
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(loaded.value().warnings.empty());
  TlsClient client({.trusted = site.authority.certificate()});
  EXPECT_NE(certificate_for(loaded.value().context, client), nullptr);
  EXPECT_EQ(client.chain_size(), 2u);
}

TEST(ContextFiles, WhatCannotBeUsedIsSaidWithItsFile) {
  const Site site;
  const Issued good = site.authority.issue();
  const CertificateFiles files = site.write("good", good);
  const auto file = [&](std::string_view name, const std::string& text) {
    return site.folder.write(name, text);
  };
  const std::string pem = good.certificate_pem();
  std::string damaged = pem;
  damaged[damaged.size() / 2] = '!';
  std::string many;
  for (std::size_t i = 0; i <= kChainMax; ++i) many += pem;
  const Issued weak = site.authority.issue({.key = "RSA-1024"});
  const Issued strange = site.authority.issue({.key = "secp256k1"});
  const Issued other = site.authority.issue();
  std::string damaged_key = good.key_pem();
  damaged_key[damaged_key.size() / 2] = '!';

  struct Case {
    CertificateFiles files;
    std::string at_fault;  // the file that the message begins with
    std::string reason;
  };
  const std::string& crt = files.certificate;
  const std::string& key = files.private_key;
  const std::string none = site.folder.path("none.pem");
  const std::string empty = file("empty.pem", "");
  const std::string large = file("large.pem", std::string(kPemFileBytesMax + 1, ' '));
  const std::string text = file("text.pem", "just text\n");
  const std::string torn = file("torn.pem", damaged);
  const std::string torn_chain = file("torn_chain.pem", pem + damaged);
  const std::string torn_key = file("torn.key", damaged_key);
  const std::string long_chain = file("long.pem", many);
  const std::string reversed = file("reversed.pem", site.authority.certificate_pem() + pem);
  const CertificateFiles weak_files = site.write("weak", weak);
  const CertificateFiles strange_files = site.write("strange", strange);
  const std::string locked = file("locked.key", good.key_pem("passphrase"));
  const std::string other_key = file("other.key", other.key_pem());
  const std::vector<Case> cases = {
      {{none, key}, none, "No such file or directory"},
      {{crt, none}, none, "No such file or directory"},
      {{site.folder.path(), key}, site.folder.path(), "Is a directory"},
      {{empty, key}, empty, "holds no certificate"},
      {{crt, empty}, empty, "holds no private key"},
      {{text, key}, text, "holds no certificate"},
      {{crt, text}, text, "holds no private key"},
      {{crt, crt}, crt, "holds no private key"},
      {{key, key}, key, "holds no certificate"},
      {{large, key}, large, "larger than 1 MiB"},
      {{torn, key}, torn, "certificate 1 is damaged"},
      {{torn_chain, key}, torn_chain, "certificate 2 is damaged"},
      {{crt, torn_key}, torn_key, "the private key is damaged"},
      {{long_chain, key}, long_chain, "more than 10 certificates"},
      {{crt, locked}, locked, "needs a passphrase"},
      {{crt, other_key}, other_key, "does not belong to the certificate of " + crt},
      {{reversed, key}, reversed, "belongs to certificate 2"},
      {weak_files, weak_files.certificate, "1024 bits"},
      {strange_files, strange_files.certificate, "secp256k1"},
  };
  for (const Case& each : cases) {
    const std::string message = error_of(site, {each.files});
    EXPECT_TRUE(message.starts_with(each.at_fault + ": ")) << message;
    EXPECT_NE(message.find(each.reason), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    // Also behind one that is good.
    EXPECT_EQ(error_of(site, {files, each.files}), message);
  }
  EXPECT_EQ(error_of(site, {files}), "");
}

TEST(ContextFiles, ThereIsAtLeastOneAndNotTooMany) {
  const Site site;
  const CertificateFiles files = site.write("good", site.authority.issue());
  EXPECT_NE(error_of(site, {}), "");
  EXPECT_EQ(error_of(site, std::vector<CertificateFiles>(kCertificatesMax, files)), "");
  EXPECT_NE(error_of(site, std::vector<CertificateFiles>(kCertificatesMax + 1, files)), "");
}

TEST(ContextDates, AnExpiredCertificateIsUsedWithAWarning) {
  const Site site;
  const auto past = site.write(
      "past", site.authority.issue({.begins_seconds = -9 * kDaySeconds, .ends_seconds = -1}));
  const auto loaded = load(site, {past});
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.value().warnings,
            std::vector{past.certificate + ": the certificate expired on 2025-12-31 23:59:59 UTC"});
  EXPECT_TRUE(serves(loaded.value().context));

  const auto future = site.write("future", site.authority.issue({.begins_seconds = 1}));
  EXPECT_EQ(warnings_of(site, {future}),
            std::vector{future.certificate +
                        ": the certificate is valid only from 2026-01-01 00:00:01 UTC on"});
  const auto now =
      site.write("now", site.authority.issue({.begins_seconds = 0, .ends_seconds = 0}));
  EXPECT_TRUE(warnings_of(site, {now}).empty());
}

TEST(ContextDates, TheFirstExpiryIsThatOfAllCertificates) {
  const Site site;
  const auto context = site.context({{.names = {"a.example"}, .ends_seconds = 50},
                                     {.names = {"b.example"}, .ends_seconds = 20},
                                     {.names = {"c.example"}, .ends_seconds = 30}});
  EXPECT_EQ(context->first_expiry_unix_ms(), kNowMs + 20'000);
}

TEST(ContextChain, AHoleInTheChainIsAWarning) {
  const Site site;
  const Authority stranger;
  const auto files = site.write("hole", site.authority.issue(), stranger.certificate_pem());
  const auto warnings = warnings_of(site, {files});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].starts_with(files.certificate +
                                      ": certificate 2 is not the issuer of certificate 1"))
      << warnings[0];
  // With the root itself at the end there is none.
  EXPECT_TRUE(warnings_of(site, {site.write("whole", site.authority.issue(),
                                            site.authority.certificate_pem())})
                  .empty());
}

TEST(ContextNames, ACertificateThatNobodyGetsIsAWarning) {
  const Site site;
  const auto first = site.write("first", site.authority.issue());
  const auto second = site.write("second", site.authority.issue());
  const auto rsa = site.write("rsa", site.authority.issue({.key = "RSA-2048"}));
  const auto warnings = warnings_of(site, {first, second, rsa});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].starts_with(second.certificate + ": no client will get")) << warnings[0];
}

TEST(ContextNames, AClientGetsTheCertificateForTheNameThatItAsksFor) {
  const Site site;
  std::vector<Issued> issued;
  std::vector<CertificateFiles> files;
  for (const std::vector<std::string>& names : {std::vector<std::string>{"first.example"},
                                                {"*.example.com", "example.com"},
                                                {"www.example.com"},
                                                {"A.Deep.Name.Example"}}) {
    issued.push_back(site.authority.issue({.names = names}));
    files.push_back(site.write(std::to_string(files.size()), issued.back()));
  }
  const auto loaded = load(site, files);
  ASSERT_TRUE(loaded.ok());
  const auto& context = loaded.value().context;
  struct Case {
    std::string name;
    std::size_t expected;
  };
  for (const auto& [name, expected] : std::vector<Case>{{"first.example", 0},
                                                        {"example.com", 1},
                                                        {"api.example.com", 1},
                                                        {"API.Example.COM", 1},
                                                        {"www.example.com", 2},
                                                        {"WWW.example.com", 2},
                                                        {"a.deep.name.example", 3},
                                                        {"deep.name.example", 0},
                                                        {"a.b.example.com", 0},
                                                        {"com", 0},
                                                        {"elsewhere.org", 0},
                                                        {"", 0}}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient client({.server_name = name, .max_version = version});
      X509* const got = certificate_for(context, client);
      ASSERT_NE(got, nullptr) << name;
      EXPECT_EQ(X509_cmp(got, issued[expected].certificate.get()), 0) << name;
    }
  }
}

TEST(ContextNames, TheCommonNameCountsWhereThereIsNoOther) {
  const Site site;
  const Issued first = site.authority.issue();
  const Issued old = site.authority.issue({.names = {}, .common_name = "old.example"});
  const Issued bare = site.authority.issue({.names = {}});
  const auto loaded =
      load(site, {site.write("bare", bare), site.write("old", old), site.write("first", first)});
  ASSERT_TRUE(loaded.ok());
  for (const auto& [name, expected] :
       {std::pair{"old.example", &old}, {"example.com", &first}, {"x.example", &bare}}) {
    TlsClient client({.server_name = name});
    EXPECT_EQ(
        X509_cmp(certificate_for(loaded.value().context, client), expected->certificate.get()), 0)
        << name;
  }
}

std::string kind_for(const std::shared_ptr<const Context>& context, const Offer& offer) {
  TlsClient client(offer);
  X509* const certificate = certificate_for(context, client);
  if (certificate == nullptr) return "none";
  return EVP_PKEY_get0_type_name(X509_get0_pubkey(certificate));
}

TEST(ContextKinds, AClientGetsTheCheapestKindThatItCanVerify) {
  const Site site;
  // In an order that is not the one that is expected.
  const auto context = site.context({{.key = "RSA-2048"}, {.key = "ED25519"}, {.key = "P-256"}});
  X509* const trusted = site.authority.certificate();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto kind = [&](const std::string& signatures) {
      Offer offer{.max_version = version, .signatures = signatures};
      // The chain is signed with ECDSA, so a client without it cannot verify that.
      if (signatures.empty() || signatures.find("ECDSA") != std::string::npos) {
        offer.trusted = trusted;
      }
      return kind_for(context, offer);
    };
    EXPECT_EQ(kind(""), "EC");
    EXPECT_EQ(kind("RSA-PSS+SHA256:ed25519:ECDSA+SHA256"), "EC");
    EXPECT_EQ(kind("RSA-PSS+SHA256:ed25519"), "ED25519");
    EXPECT_EQ(kind("RSA-PSS+SHA256"), "RSA");
  }
  EXPECT_EQ(kind_for(context, {.max_version = TLS1_2_VERSION, .ciphers = "ECDHE+aRSA+AESGCM"}),
            "RSA");
  EXPECT_EQ(kind_for(context, {.max_version = TLS1_2_VERSION, .signatures = "RSA+SHA256"}), "RSA");
}

TEST(ContextKinds, AKindMayComeFromTheExactNameAndAnotherFromAWildcard) {
  const Site site;
  const auto context = site.context({{.names = {"elsewhere.org"}},
                                     {.names = {"*.example.com"}, .key = "RSA-2048"},
                                     {.names = {"www.example.com"}, .key = "P-256"}});
  const auto kind = [&](const std::string& name, const std::string& signatures) {
    return kind_for(context, {.server_name = name, .signatures = signatures});
  };
  EXPECT_EQ(kind("www.example.com", ""), "EC");
  EXPECT_EQ(kind("www.example.com", "RSA-PSS+SHA256"), "RSA");
  EXPECT_EQ(kind("api.example.com", ""), "RSA");
  // What no certificate of the name fits is refused, not given a certificate of another name.
  TlsClient client({.server_name = "api.example.com", .signatures = "ECDSA+SHA256"});
  Session session(context);
  converse(client, session);
  EXPECT_TRUE(client.failed());
  EXPECT_EQ(session.fault(), SessionFault::no_agreement);
}

TEST(ContextReload, ASessionKeepsTheContextThatItBeganWith) {
  const Site site;
  auto context = site.context();
  Session session(context);
  TlsClient client({.trusted = site.authority.certificate()});
  const std::weak_ptr<const Context> old = context;
  context = site.context();
  converse(client, session);
  EXPECT_TRUE(client.connected());
  EXPECT_FALSE(old.expired());
  RecordCipher cipher;
  EXPECT_TRUE(session.take_over(cipher).has_value());
  EXPECT_TRUE(old.expired());
}

}  // namespace
