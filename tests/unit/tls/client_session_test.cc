#include "ringcast/tls/client_session.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "ringcast/tls/record_layer.h"
#include "ringcast/tls/session.h"

#include "record_peer.h"
#include "tls_client.h"
#include "tls_server.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

constexpr std::array<std::string_view, 3> kSuiteNames = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};

/// Trusts the authority of the common site.
ClientOptions trusting() {
  static const std::string file =
      common_site().folder.write("authority.pem", common_site().authority.certificate_pem());
  return {.server_name = "example.com", .ca_file = file};
}

std::shared_ptr<const ClientContext> make(const ClientOptions& options) {
  auto made = ClientContext::create(options, Time{0, kNowMs});
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.value();
}

/// A client's session and something that serves it, which has feed() and take_output().
template <class Server>
struct Pair {
  template <class... Arguments>
  explicit Pair(std::shared_ptr<const ClientContext> context, Arguments&&... arguments)
      : client(std::move(context)), server(std::forward<Arguments>(arguments)...) {
    converse();
  }

  /// Carries bytes in pieces until both are quiet.
  void converse(std::size_t piece_bytes = SIZE_MAX) {
    for (bool quiet = false; !quiet;) {
      const std::string to_server = client.take_output();
      server.feed(to_server, heard_by_server);
      const std::string to_client = server.take_output();
      quiet = to_server.empty() && to_client.empty();
      for (std::size_t at = 0; at < to_client.size();
           at += std::min(piece_bytes, to_client.size())) {
        client.feed(std::string_view(to_client).substr(at, piece_bytes), heard_by_client);
      }
    }
  }

  ClientSession client;
  Server server;
  std::string heard_by_client;
  std::string heard_by_server;
};

using WithSession = Pair<Session>;
using WithOpenssl = Pair<TlsServer>;

TEST(ClientSession, EachSuiteOfBothVersionsCarriesBothDirections) {
  struct Choice {
    Version version;
    std::string name;
  };
  for (const auto& [version, name] :
       std::vector<Choice>{{Version::tls_1_3, std::string(kSuiteNames[0])},
                           {Version::tls_1_3, std::string(kSuiteNames[1])},
                           {Version::tls_1_3, std::string(kSuiteNames[2])},
                           {Version::tls_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"},
                           {Version::tls_1_2, "ECDHE-RSA-AES256-GCM-SHA384"},
                           {Version::tls_1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"}}) {
    ClientOptions options = trusting();
    options.version = version;
    options.cipher_suite = name;
    WithSession pair(make(options), common_context());
    ASSERT_EQ(pair.client.state(), SessionState::open) << name << ": " << pair.client.reason();
    EXPECT_EQ(pair.client.cipher(), name);
    EXPECT_EQ(pair.client.version(), version == Version::tls_1_3 ? "TLSv1.3" : "TLSv1.2");
    EXPECT_FALSE(pair.client.resumed());
    const std::string large(50'000, 'x');
    EXPECT_TRUE(pair.client.write("GET" + large));
    EXPECT_TRUE(pair.server.write(large));
    pair.converse(1000);
    EXPECT_EQ(pair.heard_by_server, "GET" + large);
    EXPECT_EQ(pair.heard_by_client, large);
    pair.client.close();
    pair.converse();
    EXPECT_EQ(pair.client.state(), SessionState::closed);
    EXPECT_EQ(pair.server.state(), SessionState::half_closed);
    EXPECT_FALSE(pair.client.write("late"));
  }
}

TEST(ClientSession, TheServersCloseEndsIt) {
  WithSession pair(make(trusting()), common_context());
  EXPECT_TRUE(pair.server.write("last"));
  pair.server.close();
  pair.converse();
  EXPECT_EQ(pair.heard_by_client, "last");
  EXPECT_EQ(pair.client.state(), SessionState::closed);
}

TEST(ClientSession, NothingCanBeWrittenBeforeTheHandshakeIsOver) {
  ClientSession client(make(trusting()));
  EXPECT_EQ(client.state(), SessionState::handshaking);
  EXPECT_TRUE(client.has_output());
  EXPECT_FALSE(client.write("early"));
  EXPECT_EQ(client.version(), "");
  RecordCipher cipher;
  EXPECT_FALSE(client.take_over(cipher).has_value());
}

TEST(ClientSessionVerifies, WhoTheServerIs) {
  struct Case {
    Wish wish;
    std::string name;
    std::string_view refusal;  // empty: accepted
  };
  for (const auto& [wish, name, refusal] : std::vector<Case>{
           {{}, "example.com", ""},
           {{.names = {"*.example.com"}}, "a.example.com", ""},
           {{}, "other.example", "hostname mismatch"},
           {{}, "192.0.2.1", "IP address mismatch"},
           {{.ends_seconds = -1}, "example.com", "expired"},
           {{.begins_seconds = kDaySeconds}, "example.com", "not yet valid"},
       }) {
    ClientOptions options = trusting();
    options.server_name = name;
    WithOpenssl pair(make(options), common_site().authority.issue(wish));
    EXPECT_EQ(pair.client.state(), refusal.empty() ? SessionState::open : SessionState::failed);
    EXPECT_EQ(pair.client.fault(), refusal.empty() ? ClientFault::none : ClientFault::certificate);
    EXPECT_NE(pair.client.reason().find(refusal), std::string::npos) << pair.client.reason();
    if (!refusal.empty()) {
      EXPECT_NE(pair.server.failure().find("alert"), std::string::npos);
      // Not so for those who do not ask.
      options.verify = false;
      options.ca_file.clear();
      WithOpenssl careless(make(options), common_site().authority.issue(wish));
      EXPECT_EQ(careless.client.state(), SessionState::open) << careless.client.reason();
    }
  }
}

TEST(ClientSessionVerifies, WhoVouchesForTheServer) {
  ClientOptions options = trusting();
  const Authority other;
  WithOpenssl unknown(make(options), other.issue());
  EXPECT_EQ(unknown.client.fault(), ClientFault::certificate);
  EXPECT_NE(unknown.client.reason().find("local issuer"), std::string::npos)
      << unknown.client.reason();
  // The authority of the tests is none of the system's.
  options.ca_file.clear();
  WithSession system(make(options), common_context());
  EXPECT_EQ(system.client.fault(), ClientFault::certificate);
  EXPECT_EQ(system.server.fault(), SessionFault::refused_by_client);
}

TEST(ClientSession, TellsTheServerItsNameButNoAddress) {
  ClientOptions options = trusting();
  WithOpenssl named(make(options), common_site().authority.issue());
  EXPECT_EQ(named.server.asked_name(), "example.com");
  EXPECT_EQ(named.server.protocol(), "http/1.1");
  options.server_name = "127.0.0.1";
  options.verify = false;
  WithOpenssl address(make(options), common_site().authority.issue());
  EXPECT_EQ(address.client.state(), SessionState::open);
  EXPECT_EQ(address.server.asked_name(), "");
}

TEST(ClientSession, WhatCannotAgreeIsSaidInWords) {
  const Issued issued = common_site().authority.issue();
  ClientOptions options = trusting();
  WithOpenssl older(make(options), issued, TLS1_2_VERSION);
  EXPECT_EQ(older.client.state(), SessionState::failed);
  EXPECT_EQ(older.client.fault(), ClientFault::refused_by_server);
  EXPECT_NE(older.client.reason().find("protocol version"), std::string::npos)
      << older.client.reason();
  options.version = Version::tls_1_2;
  options.cipher_suite = "ECDHE-RSA-AES128-GCM-SHA256";  // and the certificate is P-256
  WithOpenssl unfit(make(options), issued);
  EXPECT_EQ(unfit.client.fault(), ClientFault::refused_by_server);
  EXPECT_NE(unfit.client.reason().find("handshake failure"), std::string::npos)
      << unfit.client.reason();
}

TEST(ClientSession, AnAnswerWithoutTlsIsRecognizedAtItsFirstByte) {
  for (const std::string_view answer : {"HTTP/1.1 400 Bad Request\r\n\r\n", "S", "220 mail\r\n"}) {
    ClientSession client(make(trusting()));
    std::string plaintext;
    EXPECT_EQ(client.feed(answer, plaintext), SessionState::failed);
    EXPECT_EQ(client.fault(), ClientFault::not_tls);
    EXPECT_EQ(plaintext, "");
  }
}

TEST(ClientSession, ABrokenRecordEndsIt) {
  WithSession pair(make(trusting()), common_context());
  const std::string broken{23, 3, 3, 0, 1, 'x'};
  EXPECT_EQ(pair.client.feed(broken, pair.heard_by_client), SessionState::failed);
  EXPECT_EQ(pair.client.fault(), ClientFault::protocol);
  RecordCipher cipher;
  EXPECT_FALSE(pair.client.take_over(cipher).has_value());
}

TEST(ClientContextOptions, ThatCannotBeAreErrorsInWords) {
  const auto error_of = [](const ClientOptions& options) {
    const auto made = ClientContext::create(options, Time{0, kNowMs});
    return made.ok() ? std::string() : made.error().message;
  };
  ClientOptions options = trusting();
  EXPECT_EQ(error_of(options), "");
  options.cipher_suite = "ECDHE-RSA-AES128-GCM-SHA256";
  EXPECT_NE(error_of(options).find("TLS 1.3"), std::string::npos);
  options.version = Version::tls_1_2;
  EXPECT_EQ(error_of(options), "");
  options.cipher_suite = "TLS_AES_128_GCM_SHA256";
  EXPECT_NE(error_of(options).find("TLS 1.2"), std::string::npos);
  options = trusting();
  options.ca_file += ".none";
  EXPECT_NE(error_of(options).find("authority.pem.none"), std::string::npos);
  EXPECT_NE(error_of({}), "");
}

TEST(ClientTickets, TheNewestIsResumedUnderBothVersions) {
  for (const Version version : {Version::tls_1_2, Version::tls_1_3}) {
    ClientOptions options = trusting();
    options.version = version;
    options.resume = true;
    const auto context = make(options);
    EXPECT_FALSE(context->has_ticket());
    {
      const WithSession first(context, common_context());
      EXPECT_FALSE(first.client.resumed());
      EXPECT_FALSE(first.server.resumed());
    }
    EXPECT_TRUE(context->has_ticket());
    // Several may use the same one, also at the same time, and after sessions that were cut.
    for (int i = 0; i < 3; ++i) {
      ClientSession also(context);
      const WithSession again(context, common_context());
      EXPECT_TRUE(again.client.resumed());
      EXPECT_TRUE(again.server.resumed());
    }
  }
}

TEST(ClientTickets, AreNotKeptByThoseWhoDoNotResume) {
  const auto context = make(trusting());
  const WithSession first(context, common_context());
  EXPECT_FALSE(context->has_ticket());
  const WithSession second(context, common_context());
  EXPECT_FALSE(second.client.resumed());
}

/// The record layer that goes on for a client's session.
struct Continued {
  explicit Continued(ClientSession& client, bool keeps_key = true) : keeps_key_(keeps_key) {
    auto handover = client.take_over(cipher);
    EXPECT_TRUE(handover.has_value()) << client.reason();
    if (!handover) return;
    EXPECT_EQ(client.state(), SessionState::taken_over);
    output = client.take_output();
    layer = RecordLayer(cipher, handover->keys);
    hear(handover->half_record);
  }

  void hear(std::string_view bytes) {
    auto input = std::as_bytes(std::span(bytes));
    while (true) {
      const Incoming incoming = layer.read(cipher, half, input, keeps_key_ ? &key_ : nullptr);
      if (incoming.kind == Incoming::Kind::incomplete) return;
      ++kinds[incoming.kind];
      if (incoming.kind == Incoming::Kind::application_data) {
        heard.append(reinterpret_cast<const char*>(incoming.plaintext.data()),
                     incoming.plaintext.size());
      }
      if (incoming.kind == Incoming::Kind::refused ||
          incoming.kind == Incoming::Kind::close_notify) {
        return;
      }
    }
  }

  std::string tell(std::string_view text) {
    std::string out(layer.bytes_for(text.size()), '\0');
    const std::size_t size =
        layer.write(cipher, std::as_bytes(std::span(text)), std::as_writable_bytes(std::span(out)));
    EXPECT_GT(size, 0u);
    return out.substr(0, size);
  }

  RecordCipher cipher;
  RecordLayer layer;
  HalfRecord half;
  std::string output;
  std::string heard;
  std::map<Incoming::Kind, int> kinds;

 private:
  ReadKey key_;
  bool keeps_key_;
};

TEST(ClientTakeover, GoesOnInBothDirectionsForEachSuite) {
  for (const std::string_view suite : kSuiteNames) {
    for (const bool keeps_key : {false, true}) {
      ClientOptions options = trusting();
      options.cipher_suite = suite;
      WithSession pair(make(options), common_context());
      EXPECT_TRUE(pair.client.write("a request"));
      EXPECT_TRUE(pair.server.write("a head"));
      pair.converse();
      EXPECT_EQ(pair.heard_by_client, "a head");
      Continued continued(pair.client, keeps_key);
      const std::string large(40'000, 'x');
      EXPECT_TRUE(pair.server.write("data: one\n\n"));
      EXPECT_TRUE(pair.server.write(large));
      continued.hear(pair.server.take_output());
      EXPECT_EQ(continued.heard, "data: one\n\n" + large);
      pair.server.feed(continued.output + continued.tell("more"), pair.heard_by_server);
      EXPECT_EQ(pair.heard_by_server, "a requestmore");
      pair.server.close();
      continued.hear(pair.server.take_output());
      EXPECT_EQ(continued.kinds[Incoming::Kind::close_notify], 1);
      EXPECT_EQ(continued.kinds[Incoming::Kind::refused], 0);
    }
  }
}

TEST(ClientTakeover, TicketsMayComeBeforeItAfterItAndInHalves) {
  // Where the client stops reading itself: within the tickets, or the head behind them.
  for (std::size_t cut = 0;; ++cut) {
    ClientSession client(make(trusting()));
    Session server(common_context());
    std::string plaintext;
    server.feed(client.take_output(), plaintext);
    client.feed(server.take_output(), plaintext);
    EXPECT_EQ(client.state(), SessionState::open);
    EXPECT_TRUE(client.write("request"));
    server.feed(client.take_output(), plaintext);
    EXPECT_TRUE(server.write("head"));
    const std::string answer = server.take_output();  // two tickets and the head
    client.feed(std::string_view(answer).substr(0, cut), plaintext);
    Continued continued(client);
    if (cut < answer.size()) continued.hear(std::string_view(answer).substr(cut));
    EXPECT_EQ(plaintext + continued.heard, "requesthead") << cut;
    EXPECT_TRUE(server.write("event"));
    continued.hear(server.take_output());
    EXPECT_TRUE(continued.heard.ends_with("event")) << cut;
    EXPECT_EQ(continued.kinds[Incoming::Kind::refused], 0);
    if (cut == 0) {
      EXPECT_EQ(continued.kinds[Incoming::Kind::handshake], 2);
    }
    if (cut >= answer.size()) break;
    cut += cut % 40 == 39 ? 0 : 12;
  }
}

TEST(ClientTakeover, FollowsTheServersKeysBeforeItAndAfterIt) {
  for (const bool keeps_key : {false, true}) {
    for (int before = 0; before < 3; ++before) {
      WithOpenssl pair(make(trusting()), common_site().authority.issue());
      for (int i = 0; i < before; ++i) {
        pair.server.key_update(i == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        pair.server.write("before");
      }
      pair.converse();
      Continued continued(pair.client, keeps_key);
      // The answer that was asked for, if OpenSSL has not given it at the next change.
      EXPECT_EQ(continued.output.empty(), before != 1) << before;
      pair.server.feed(continued.output, pair.heard_by_server);
      for (int i = 0; i < 3; ++i) {
        pair.server.write("under one key ");
        pair.server.write("twice, ");
        pair.server.key_update(SSL_KEY_UPDATE_REQUESTED);
      }
      pair.server.write("the last");
      continued.hear(pair.server.take_output());
      EXPECT_EQ(continued.heard,
                "under one key twice, under one key twice, under one key twice, the last");
      EXPECT_EQ(continued.kinds[Incoming::Kind::key_update], 3);
      pair.server.feed(continued.tell("answer"), pair.heard_by_server);
      EXPECT_TRUE(pair.heard_by_server.ends_with("answer"));
      EXPECT_EQ(pair.server.failure(), "");
    }
  }
}

TEST(ClientTakeover, AResumedSessionAndAnotherGroupMakeNoDifference) {
  ClientOptions options = trusting();
  options.resume = true;
  const auto context = make(options);
  { const WithSession first(context, common_context()); }
  WithSession resumed(context, common_context());
  ASSERT_TRUE(resumed.client.resumed());
  Continued continued(resumed.client);
  EXPECT_TRUE(resumed.server.write("event"));
  continued.hear(resumed.server.take_output());
  EXPECT_EQ(continued.heard, "event");

  // The server wants a group for which the client sent no share: a HelloRetryRequest.
  WithOpenssl retried(make(trusting()), common_site().authority.issue(), TLS1_3_VERSION, "P-521");
  Continued after_retry(retried.client);
  retried.server.write("event");
  after_retry.hear(retried.server.take_output());
  EXPECT_EQ(after_retry.heard, "event");
}

TEST(ClientTakeover, IsNotPossibleUnderTls12) {
  ClientOptions options = trusting();
  options.version = Version::tls_1_2;
  WithSession pair(make(options), common_context());
  RecordCipher cipher;
  EXPECT_FALSE(pair.client.take_over(cipher).has_value());
  EXPECT_EQ(pair.client.state(), SessionState::open);
  EXPECT_TRUE(pair.server.write("event"));
  pair.converse();
  EXPECT_EQ(pair.heard_by_client, "event");
}

TEST(ClientTakeover, AfterItOfBothEndsTheLayersUnderstandEachOther) {
  std::minstd_rand random(5);
  for (int round = 0; round < 60; ++round) {
    ClientOptions options = trusting();
    options.cipher_suite = kSuiteNames[random() % 3];
    WithSession pair(make(options), common_context(),
                     SessionLimits{.records_per_key = 2 + random() % 9});
    std::string expected;
    std::string wire;
    for (std::size_t i = random() % 20; i > 0; --i) {
      const std::string text(1 + random() % (random() % 6 == 0 ? 40'000 : 100), 'a');
      EXPECT_TRUE(pair.server.write(text));
      expected += text;
    }
    EXPECT_TRUE(pair.client.write("request"));
    pair.server.feed(pair.client.take_output(), pair.heard_by_server);
    RecordCipher cipher;
    auto handover = pair.server.take_over(cipher);
    ASSERT_TRUE(handover.has_value());
    wire = pair.server.take_output();
    RecordLayer server(cipher, handover->keys);
    for (int i = 0; i < 5; ++i) {
      std::string out(server.bytes_for(6), '\0');
      out.resize(server.write(cipher, bytes_of("event "), std::as_writable_bytes(std::span(out))));
      wire += out;
      expected += "event ";
    }
    const std::size_t cut = random() % (wire.size() + 1);
    pair.client.feed(std::string_view(wire).substr(0, cut), pair.heard_by_client);
    Continued continued(pair.client, round % 2 == 0);
    for (std::size_t at = cut; at < wire.size();) {
      const std::size_t piece = 1 + random() % 5000;
      continued.hear(std::string_view(wire).substr(at, piece));
      at += std::min(piece, wire.size() - at);
    }
    EXPECT_EQ(pair.heard_by_client + continued.heard, expected) << round;
    EXPECT_EQ(continued.kinds[Incoming::Kind::refused], 0) << round;
  }
}

/// Counts how often something is derived.
class CountingCipher final : public RecordCipher {
 public:
  bool expand_label(CipherSuite suite, std::span<const std::byte> secret, std::string_view label,
                    std::span<std::byte> out) override {
    ++derived;
    return RecordCipher::expand_label(suite, secret, label, out);
  }
  int derived = 0;
};

TEST(ReadKey, SparesTheDerivationUntilTheKeyChanges) {
  WithOpenssl pair(make(trusting()), common_site().authority.issue());
  CountingCipher cipher;
  auto handover = pair.client.take_over(cipher);
  ASSERT_TRUE(handover.has_value());
  RecordLayer layer(cipher, handover->keys);
  for (int i = 0; i < 10; ++i) pair.server.write("x");
  pair.server.key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
  for (int i = 0; i < 10; ++i) pair.server.write("y");
  const std::string wire = pair.server.take_output();
  auto input = std::as_bytes(std::span(wire));
  HalfRecord half;
  ReadKey key;
  cipher.derived = 0;
  int data = 0;
  while (!input.empty()) {
    const auto kind = layer.read(cipher, half, input, &key).kind;
    EXPECT_NE(kind, Incoming::Kind::refused);
    data += kind == Incoming::Kind::application_data ? 1 : 0;
  }
  EXPECT_EQ(data, 20);
  // Key and IV twice, and the next secret.
  EXPECT_EQ(cipher.derived, 5);
}

}  // namespace
