#include "ringcast/tls/session.h"

#include <random>

#include <gtest/gtest.h>

#include "tls_client.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

constexpr std::string_view kRequest = "GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A client that has shaken hands with a session.
struct Pair {
  explicit Pair(const Offer& offer = {}, const SessionLimits& limits = {})
      : client(offer), session(common_context(), limits) {
    converse(client, session);
  }
  /// What the server reads of `text`.
  std::string say(std::string_view text) {
    client.write(text);
    return converse(client, session);
  }
  /// What the client reads of `text`.
  std::string answer(std::string_view text) {
    EXPECT_TRUE(session.write(text));
    client.feed(session.take_output());
    return client.take_plaintext();
  }

  TlsClient client;
  Session session;
};

std::string record(char type, std::string_view body) {
  return std::string{type, 3, 3, static_cast<char>(body.size() >> 8),
                     static_cast<char>(body.size() & 0xff)} +
         std::string(body);
}

struct Choice {
  std::string name;
  bool tls13;
};

TEST(SessionHandshake, EveryCipherSuiteCarriesBothDirections) {
  for (const auto& [name, tls13] : std::vector<Choice>{{"TLS_AES_128_GCM_SHA256", true},
                                                       {"TLS_AES_256_GCM_SHA384", true},
                                                       {"TLS_CHACHA20_POLY1305_SHA256", true},
                                                       {"ECDHE-ECDSA-AES128-GCM-SHA256", false},
                                                       {"ECDHE-ECDSA-AES256-GCM-SHA384", false},
                                                       {"ECDHE-ECDSA-CHACHA20-POLY1305", false},
                                                       {"ECDHE-RSA-AES128-GCM-SHA256", false},
                                                       {"ECDHE-RSA-AES256-GCM-SHA384", false},
                                                       {"ECDHE-RSA-CHACHA20-POLY1305", false}}) {
    Offer offer{.trusted = common_site().authority.certificate()};
    if (tls13) {
      offer.suites = name;
    } else {
      offer.ciphers = name;
      offer.max_version = TLS1_2_VERSION;
    }
    Pair pair(offer);
    ASSERT_EQ(pair.session.state(), SessionState::open) << name << ": " << pair.session.reason();
    ASSERT_TRUE(pair.client.connected()) << pair.client.failure();
    EXPECT_EQ(pair.session.cipher(), name);
    EXPECT_EQ(pair.session.version(), tls13 ? "TLSv1.3" : "TLSv1.2");
    EXPECT_EQ(pair.say(kRequest), kRequest);
    const std::string large(50'000, 'x');
    EXPECT_EQ(pair.answer(large), large);
    EXPECT_EQ(pair.say(large), large);
    EXPECT_EQ(pair.session.state(), SessionState::open);
  }
}

TEST(SessionHandshake, TheCheapestSuiteIsTakenButForClientsThatPreferChaCha) {
  Pair usual;
  EXPECT_EQ(usual.session.cipher(), "TLS_AES_128_GCM_SHA256");
  Pair phone({.suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"});
  EXPECT_EQ(phone.session.cipher(), "TLS_CHACHA20_POLY1305_SHA256");
}

TEST(SessionHandshake, WhatIsTooOldOrUnknownIsRefusedInWords) {
  struct Case {
    Offer offer;
    std::string_view reason;
  };
  for (const auto& [offer, reason] : std::vector<Case>{
           {{.min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION}, "TLS 1.2"},
           {{.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-SHA256"}, "cipher suite"},
           {{.max_version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}, "cipher suite"},
           {{.min_version = TLS1_3_VERSION, .groups = "P-521"}, "group"},
           {{.max_version = TLS1_2_VERSION, .signatures = "ECDSA+SHA224:RSA+SHA224"}, "verify"},
           {{.signatures = "ed25519"}, "cannot verify"},
           {{.protocols = {"h2"}}, "ALPN"},
       }) {
    Pair pair(offer);
    EXPECT_EQ(pair.session.state(), SessionState::failed);
    EXPECT_EQ(pair.session.fault(), SessionFault::no_agreement) << pair.session.reason();
    EXPECT_NE(pair.session.reason().find(reason), std::string::npos) << pair.session.reason();
    // It is told why, by an alert.
    EXPECT_NE(pair.client.failure().find("alert"), std::string::npos) << pair.client.failure();
    EXPECT_EQ(pair.session.version(), "");
  }
}

TEST(SessionHandshake, OfTheProtocolsThatAreOfferedHttp11IsTaken) {
  EXPECT_EQ(Pair({.protocols = {"h2", "http/1.1"}}).client.protocol(), "http/1.1");
  EXPECT_EQ(Pair({.protocols = {"http/1.0", "http/1.1"}}).client.protocol(), "http/1.1");
  EXPECT_EQ(Pair({.protocols = {"http/1.0"}}).client.protocol(), "http/1.0");
  EXPECT_EQ(Pair({.protocols = {"http/1"}}).session.state(), SessionState::failed);
  Pair without;
  EXPECT_TRUE(without.client.connected());
  EXPECT_EQ(without.client.protocol(), "");
}

TEST(SessionHandshake, BytesMayArriveInAnyPieces) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const std::size_t piece : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 100U}) {
      TlsClient client({.max_version = version});
      Session session(common_context());
      converse(client, session, piece);
      ASSERT_EQ(session.state(), SessionState::open) << piece;
      client.write(kRequest);
      client.write(kRequest);
      EXPECT_EQ(converse(client, session, piece), std::string(kRequest) + std::string(kRequest));
    }
  }
}

TEST(SessionHandshake, NothingIsOpenBeforeTheClientHasFinished) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client({.max_version = version});
    Session session(common_context());
    EXPECT_FALSE(session.write("too early"));
    session.close();  // has nothing to say yet
    EXPECT_FALSE(session.has_output());
    const std::string hello = client.take_output();
    std::string plaintext;
    // A hello without its last byte waits; a deadline is the caller's.
    EXPECT_EQ(session.feed(std::string_view(hello).substr(0, hello.size() - 1), plaintext),
              SessionState::handshaking);
    EXPECT_FALSE(session.has_output());
    EXPECT_EQ(session.feed(hello.substr(hello.size() - 1), plaintext), SessionState::handshaking);
    EXPECT_TRUE(session.has_output());
    EXPECT_FALSE(session.write("still too early"));
    client.feed(session.take_output());
    EXPECT_EQ(session.feed(client.take_output(), plaintext), SessionState::open);
    EXPECT_EQ(plaintext, "");
  }
}

TEST(SessionHandshake, AnEndlessHandshakeFails) {
  Session session(common_context());
  // A ClientHello that says it is 100,000 bytes long, in records of 10,000.
  std::string hello = {1, 0x01, static_cast<char>(0x86), static_cast<char>(0xa0)};
  hello.resize(10'000, '\0');
  std::string plaintext;
  EXPECT_EQ(session.feed(record(22, hello), plaintext), SessionState::handshaking);
  EXPECT_EQ(session.feed(record(22, hello), plaintext), SessionState::handshaking);
  EXPECT_EQ(session.feed(record(22, hello), plaintext), SessionState::handshaking);
  EXPECT_EQ(session.feed(record(22, hello), plaintext), SessionState::failed);
  EXPECT_EQ(session.fault(), SessionFault::protocol);
}

TEST(SessionHandshake, AClientThatDoesNotTrustTheCertificateSaysSo) {
  const Authority stranger;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Pair pair({.max_version = version, .trusted = stranger.certificate()});
    EXPECT_TRUE(pair.client.failed());
    EXPECT_EQ(pair.session.state(), SessionState::failed);
    EXPECT_EQ(pair.session.fault(), SessionFault::refused_by_client);
    EXPECT_EQ(pair.session.reason(), "the client gave up: alert \"unknown CA\"");
  }
}

TEST(SessionFirstBytes, PlainHttpIsRecognisedInAnyPieces) {
  for (const std::string method :
       {"GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT"}) {
    const std::string request = method + " /events HTTP/1.1\r\n\r\n";
    for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, request.size()}) {
      Session session(common_context());
      std::string plaintext;
      for (std::size_t at = 0; at < request.size(); at += piece) {
        session.feed(request.substr(at, piece), plaintext);
      }
      EXPECT_EQ(session.state(), SessionState::failed) << method;
      EXPECT_EQ(session.fault(), SessionFault::plain_http) << method;
      // The caller answers in clear text, so nothing of TLS may stand before.
      EXPECT_FALSE(session.has_output());
      EXPECT_EQ(plaintext, "");
    }
  }
  Session session(common_context());
  std::string plaintext;
  EXPECT_EQ(session.feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", plaintext), SessionState::failed);
  EXPECT_EQ(session.fault(), SessionFault::plain_http);
}

TEST(SessionFirstBytes, WhatMayBecomeARequestIsWaitedFor) {
  Session session(common_context());
  std::string plaintext;
  EXPECT_EQ(session.feed("GET", plaintext), SessionState::handshaking);
  EXPECT_EQ(session.feed("X", plaintext), SessionState::failed);
  EXPECT_EQ(session.fault(), SessionFault::not_tls);
}

TEST(SessionFirstBytes, OtherBytesAreNotTls) {
  using namespace std::string_literals;
  for (const std::string& bytes :
       {"SSH-2.0-x\r\n"s, "\r\n"s, "\0\0"s, "get /"s, "\x80\x2e\x01\x03\x01"s,
        "\x17\x03\x03\0\x01x"s, "\x15\x03\x03\0\x02\x01\0"s, "\x14\x03\x03\0\x01\x01"s}) {
    Session session(common_context());
    std::string plaintext;
    EXPECT_EQ(session.feed(bytes, plaintext), SessionState::failed);
    EXPECT_EQ(session.fault(), SessionFault::not_tls);
    EXPECT_FALSE(session.has_output());
  }
}

TEST(SessionBroken, RecordsThatCannotBeAreAnsweredWithAnAlert) {
  struct Case {
    std::string bytes;
    std::string_view what;
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& [bytes, what] : std::vector<Case>{
             {record(23, std::string(40, 'x')), "a bad tag"},
             {record(23, "x"), "no room for a tag"},
             {record(23, ""), "an empty body"},
             {record(99, "x"), "an unknown type"},
             {record(22, std::string(40, 'x')), "a handshake in clear"},
             {record(20, "\x01"), "a change of ciphers"},
             {std::string{23, 3, 3, static_cast<char>(0xff), static_cast<char>(0xff)}, "too long"},
             {std::string{23, 3, 3, 0x48, 0x01}, "too long by one"},
             {std::string{23, 9, 9, 0, 40} + std::string(40, 'x'), "an unknown version"},
         }) {
      Pair pair({.max_version = version});
      std::string plaintext;
      // Not even waited for where the header says it all.
      EXPECT_EQ(pair.session.feed(bytes, plaintext), SessionState::failed) << what;
      EXPECT_EQ(pair.session.fault(), SessionFault::protocol);
      EXPECT_NE(pair.session.reason(), "");
      EXPECT_EQ(plaintext, "");
      EXPECT_TRUE(pair.session.has_output());
      pair.client.feed(pair.session.take_output());
      EXPECT_TRUE(pair.client.failed()) << what;
      // What follows is dropped, and nothing more is said.
      pair.session.feed(record(22, "more"), plaintext);
      pair.session.close();
      EXPECT_FALSE(pair.session.write("more"));
      EXPECT_FALSE(pair.session.has_output());
    }
  }
}

TEST(SessionBroken, WhatWasGoodBeforeABadRecordIsRead) {
  Pair pair;
  pair.client.write(kRequest);
  std::string plaintext;
  EXPECT_EQ(
      pair.session.feed(pair.client.take_output() + record(23, std::string(40, 'x')), plaintext),
      SessionState::failed);
  EXPECT_EQ(plaintext, kRequest);
}

TEST(SessionBroken, ARecordThatArrivesTwiceOrOutOfOrderFails) {
  for (const bool twice : {true, false}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      Pair pair({.max_version = version});
      pair.client.write("one");
      const std::string one = pair.client.take_output();
      pair.client.write("two");
      const std::string two = pair.client.take_output();
      std::string plaintext;
      EXPECT_EQ(pair.session.feed(twice ? one + one : two + one, plaintext), SessionState::failed);
      EXPECT_EQ(plaintext, twice ? "one" : "");
    }
  }
}

TEST(SessionBroken, AnyChangeOfAnyByteOfAHandshakeEndsWellOrFails) {
  std::minstd_rand random(7);
  for (int round = 0; round < 300; ++round) {
    TlsClient client({.max_version = round % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION});
    Session session(common_context());
    std::string plaintext;
    std::size_t flights = 1 + random() % 2;
    for (int turn = 0; turn < 4 && !client.failed(); ++turn) {
      std::string flight = client.take_output();
      if (--flights == 0 && !flight.empty()) {
        flight[random() % flight.size()] ^= static_cast<char>(1 << random() % 8);
      }
      session.feed(flight, plaintext);
      client.feed(session.take_output());
    }
    EXPECT_EQ(plaintext, "");
    EXPECT_EQ(session.state() == SessionState::failed, session.fault() != SessionFault::none);
    EXPECT_EQ(session.state() == SessionState::failed, !session.reason().empty());
  }
}

TEST(SessionClose, EitherSideMayCloseAndTheOtherIsTold) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Pair by_server({.max_version = version});
    by_server.session.close();
    by_server.session.close();
    EXPECT_EQ(by_server.session.state(), SessionState::closed);
    EXPECT_EQ(by_server.session.fault(), SessionFault::none);
    EXPECT_FALSE(by_server.session.write("more"));
    by_server.client.feed(by_server.session.take_output());
    EXPECT_TRUE(by_server.client.closed());
    EXPECT_FALSE(by_server.client.failed());

    Pair by_client({.max_version = version});
    by_client.client.write("last words");
    by_client.client.close();
    EXPECT_EQ(converse(by_client.client, by_client.session), "last words");
    EXPECT_EQ(by_client.session.state(), SessionState::half_closed);
    EXPECT_FALSE(by_client.client.closed());
    // One direction has ended, and the client reads on (RFC 8446 section 6.1).
    EXPECT_TRUE(by_client.session.write("the answer"));
    by_client.session.close();
    EXPECT_EQ(by_client.session.state(), SessionState::closed);
    EXPECT_FALSE(by_client.session.write("more"));
    by_client.client.feed(by_client.session.take_output());
    EXPECT_EQ(by_client.client.take_plaintext(), "the answer");
    EXPECT_TRUE(by_client.client.closed());
  }
}

TEST(SessionClose, AClientThatLeavesInTheMiddleOfTheHandshakeIsAFault) {
  Session session(common_context());
  TlsClient client;
  std::string heard;
  (void)session.feed(client.take_output(), heard);
  using namespace std::string_view_literals;
  EXPECT_EQ(session.feed("\x15\x03\x03\x00\x02\x01\x00"sv, heard), SessionState::failed);
  EXPECT_EQ(session.fault(), SessionFault::left);
}

TEST(SessionRenegotiation, AClientThatAsksForItIsEnded) {
  Pair pair({.max_version = TLS1_2_VERSION});
  ASSERT_EQ(SSL_renegotiate(pair.client.ssl()), 1);
  EXPECT_LT(SSL_do_handshake(pair.client.ssl()), 1);
  EXPECT_EQ(converse(pair.client, pair.session), "");
  EXPECT_EQ(pair.session.state(), SessionState::failed);
  EXPECT_EQ(pair.session.reason(), "the client asks for a renegotiation");
  EXPECT_TRUE(pair.client.failed());  // by no_renegotiation
}

TEST(SessionKeyUpdate, BothSidesMayChangeTheirKeys) {
  Pair pair({}, {.records_per_key = 4});
  for (int round = 0; round < 10; ++round) {
    pair.client.key_update(round % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
                                          : SSL_KEY_UPDATE_NOT_REQUESTED);
    EXPECT_EQ(pair.say("from the client"), "from the client");
    EXPECT_EQ(pair.answer("from the server"), "from the server");
  }
  EXPECT_EQ(pair.session.state(), SessionState::open);
}

TEST(SessionKeyUpdate, AClientMayNotChangeItsKeyForEver) {
  Pair pair({}, {.key_updates = 3});
  for (int round = 0; round < 3; ++round) {
    pair.client.key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
    EXPECT_EQ(pair.say("x"), "x");
  }
  pair.client.key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
  EXPECT_EQ(converse(pair.client, pair.session), "");
  EXPECT_EQ(pair.session.state(), SessionState::failed);
}

/// How many KeyUpdate messages a client reads.
void count_key_updates(int writing, int /*version*/, int type, const void* bytes,
                       std::size_t /*size*/, SSL* /*ssl*/, void* count) {
  if (writing == 0 && type == SSL3_RT_HANDSHAKE &&
      *static_cast<const unsigned char*>(bytes) == SSL3_MT_KEY_UPDATE) {
    ++*static_cast<int*>(count);
  }
}

TEST(SessionKeyUpdate, TheServerChangesItsKeyBeforeItIsUsedUp) {
  Pair pair({}, {.records_per_key = 10});
  int changes = 0;
  SSL_set_msg_callback(pair.client.ssl(), count_key_updates);
  SSL_set_msg_callback_arg(pair.client.ssl(), &changes);
  // Two tickets went under the first key already; a change is itself a record under the old one.
  for (int record = 0; record < 8; ++record) EXPECT_EQ(pair.answer("x"), "x");
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(pair.answer("x"), "x");
  EXPECT_EQ(changes, 1);
  const std::string large(25 * kPlaintextBytesMax, 'x');
  EXPECT_EQ(pair.answer(large), large);
  EXPECT_EQ(changes, 3);
}

TEST(SessionKeyUpdate, UnderTls12TheSessionClosesWhenItsKeyIsUsedUp) {
  Pair pair({.max_version = TLS1_2_VERSION}, {.records_per_key = 3});
  for (int record = 0; record < 3; ++record) EXPECT_EQ(pair.answer("x"), "x");
  EXPECT_FALSE(pair.session.write("x"));
  EXPECT_EQ(pair.session.state(), SessionState::closed);
  pair.client.feed(pair.session.take_output());
  EXPECT_TRUE(pair.client.closed());
}

// Tickets.

/// What came of a handshake in which `client` brings its newest ticket.
struct Return {
  bool resumed = false;
  std::size_t tickets = 0;  // new ones
};

std::string ticket_of(const SSL_SESSION* session) {
  const unsigned char* ticket = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket(session, &ticket, &size);
  return {reinterpret_cast<const char*>(ticket), size};
}

Return come_back(TlsClient& before, const std::shared_ptr<const Context>& context, int version) {
  if (before.ticket() == nullptr) return {};
  TlsClient client({.max_version = version, .resumes = before.ticket()});
  Session session(context);
  converse(client, session);
  EXPECT_EQ(session.state(), SessionState::open) << session.reason();
  EXPECT_EQ(session.resumed(), client.resumed());
  client.write(kRequest);
  EXPECT_EQ(converse(client, session), kRequest);
  // Of a ticket that replaces another, OpenSSL tells its user under TLS 1.3 only.
  std::size_t tickets = client.tickets();
  if (tickets == 0 && ticket_of(SSL_get_session(client.ssl())) != ticket_of(before.ticket())) {
    tickets = 1;
  }
  return {session.resumed(), tickets};
}

TEST(SessionTickets, AClientResumesOnAnyContextThatSharesTheKeys) {
  const Site site;
  const auto first = site.context();
  const auto second = site.context({{.names = {"other.example"}}, {.key = "RSA-2048"}});
  Site stranger;
  const auto elsewhere = stranger.context();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client({.max_version = version});
    Session session(first);
    converse(client, session);
    EXPECT_FALSE(session.resumed());
    EXPECT_EQ(client.tickets(), version == TLS1_3_VERSION ? 2u : 1u);
    EXPECT_TRUE(come_back(client, first, version).resumed);
    EXPECT_TRUE(come_back(client, second, version).resumed);
    // Other keys: a full handshake, not a failure.
    EXPECT_FALSE(come_back(client, elsewhere, version).resumed);
  }
}

TEST(SessionTickets, ATicketOfAnOlderKeyIsTakenAndReplaced) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Site site;
    const auto context = site.context();
    Time now{.mono_ns = 0, .unix_ms = kNowMs};
    const auto advance = [&] {
      now.mono_ns += kTicketKeySeconds * kNsPerSecond;
      EXPECT_TRUE(site.ticket_keys->advance(now));
    };
    TlsClient client({.max_version = version});
    Session session(context);
    converse(client, session);
    // TLS 1.3 uses a ticket once, so that each resumption brings a new one; TLS 1.2 keeps it.
    const Return at_once = come_back(client, context, version);
    EXPECT_TRUE(at_once.resumed);
    EXPECT_EQ(at_once.tickets, version == TLS1_3_VERSION ? 1u : 0u);
    for (int turn = 0; turn < 2; ++turn) {
      advance();
      const Return later = come_back(client, context, version);
      EXPECT_TRUE(later.resumed);
      EXPECT_EQ(later.tickets, 1u);
    }
    advance();
    EXPECT_FALSE(come_back(client, context, version).resumed);
  }
}

TEST(SessionTickets, NothingIsKeptForAClientThatTakesNoTickets) {
  const Pair pair({.max_version = TLS1_2_VERSION, .options = SSL_OP_NO_TICKET});
  EXPECT_TRUE(pair.client.connected());
  // Not even a session ID to come back with.
  EXPECT_EQ(pair.client.ticket(), nullptr);
}

TEST(SessionTickets, ATicketThatWasChangedIsNotTaken) {
  const Site site;
  const auto context = site.context();
  TlsClient client;
  Session session(context);
  converse(client, session);
  ASSERT_NE(client.ticket(), nullptr);
  // Through its serialised form, the only way to touch one.
  unsigned char* form = nullptr;
  const int size = i2d_SSL_SESSION(client.ticket(), &form);
  ASSERT_GT(size, 0);
  const std::string ticket = ticket_of(client.ticket());
  const std::string whole(reinterpret_cast<char*>(form), static_cast<std::size_t>(size));
  OPENSSL_free(form);
  const std::size_t place = whole.find(ticket);
  ASSERT_NE(place, std::string::npos);
  for (std::size_t at = 0; at < ticket.size(); at += 13) {
    std::string changed = whole;
    changed[place + at] ^= 1;
    const auto* bytes = reinterpret_cast<const unsigned char*>(changed.data());
    const ResumptionHandle forged(d2i_SSL_SESSION(nullptr, &bytes, size));
    ASSERT_NE(forged, nullptr);
    TlsClient again({.resumes = forged.get()});
    Session other(context);
    converse(again, other);
    EXPECT_EQ(other.state(), SessionState::open) << other.reason();
    EXPECT_FALSE(other.resumed()) << at;
  }
}

}  // namespace
