#include <random>

#include <gtest/gtest.h>

#include "ringcast/tls/record_layer.h"
#include "ringcast/tls/session.h"

#include "record_peer.h"
#include "tls_client.h"

namespace {

using namespace ringcast;
using namespace ringcast::tls;
using namespace ringcast::tls::test;

/// The record layer that goes on for a session, with OpenSSL as the client.
struct Continued {
  Continued(Session& session, TlsClient& client) {
    auto handover = session.take_over(cipher);
    EXPECT_TRUE(handover.has_value());
    if (!handover) return;
    // What the session has said comes before what the layer says.
    client.feed(session.take_output());
    layer = RecordLayer(cipher, handover->keys);
    half_record = handover->half_record;
  }

  /// What the client reads when the layer writes `text`.
  std::string tell(TlsClient& client, std::string_view text) {
    std::string out(layer.bytes_for(text.size()), '\0');
    const std::size_t size =
        layer.write(cipher, std::as_bytes(std::span(text)), std::as_writable_bytes(std::span(out)));
    EXPECT_GT(size, 0u);
    client.feed(std::string_view(out).substr(0, size));
    EXPECT_EQ(client.failure(), "");
    return client.take_plaintext();
  }

  /// What the layer reads of all that the client has sent.
  std::string hear(TlsClient& client) {
    const std::string input = std::exchange(half_record, {}) + client.take_output();
    const Heard heard = ringcast::tls::test::hear(layer, cipher, std::as_bytes(std::span(input)));
    EXPECT_NE(heard.end, Incoming::Kind::refused);
    end = heard.end;
    return {reinterpret_cast<const char*>(heard.data.data()), heard.data.size()};
  }

  RecordCipher cipher;
  RecordLayer layer;
  std::string half_record;
  Incoming::Kind end = Incoming::Kind::incomplete;
};

void expect_both_ways(Continued& continued, TlsClient& client) {
  EXPECT_EQ(continued.tell(client, "data: one\n\n"), "data: one\n\n");
  const std::string large(40'000, 'x');
  EXPECT_EQ(continued.tell(client, large), large);
  client.write("from the client");
  EXPECT_EQ(continued.hear(client), "from the client");
}

Offer offer_of(std::string_view suite) {
  return {.min_version = TLS1_3_VERSION, .suites = std::string(suite)};
}

constexpr std::array<std::string_view, 3> kSuiteNames = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};

TEST(Takeover, TheClientNoticesNothingForEachSuite) {
  for (std::size_t i = 0; i < kSuiteNames.size(); ++i) {
    TlsClient client(offer_of(kSuiteNames[i]));
    Session session(common_context());
    converse(client, session);
    client.write("a request");
    EXPECT_EQ(converse(client, session), "a request");
    EXPECT_TRUE(session.write("a response"));
    client.feed(session.take_output());
    EXPECT_EQ(client.take_plaintext(), "a response");

    Continued continued(session, client);
    expect_both_ways(continued, client);
    EXPECT_EQ(continued.end, Incoming::Kind::incomplete);
    client.close();
    EXPECT_EQ(continued.hear(client), "");
    EXPECT_EQ(continued.end, Incoming::Kind::close_notify);
  }
}

TEST(Takeover, OutputThatWasNotTakenYetComesFirst) {
  TlsClient client;
  Session session(common_context());
  std::string plaintext;
  session.feed(client.take_output(), plaintext);
  client.feed(session.take_output());
  client.write("GET");
  session.feed(client.take_output(), plaintext);
  EXPECT_EQ(plaintext, "GET");
  EXPECT_TRUE(session.write("head"));
  // Two tickets and the head have not left when the layer takes over.
  Continued continued(session, client);
  EXPECT_EQ(client.take_plaintext(), "head");
  EXPECT_EQ(client.tickets(), 2u);
  expect_both_ways(continued, client);
}

TEST(Takeover, AResumedSessionIsTakenOverAsWell) {
  TlsClient first;
  Session before(common_context());
  converse(first, before);
  for (const std::string_view suite : kSuiteNames) {
    Offer offer = offer_of(suite);
    offer.resumes = first.ticket();
    TlsClient client(offer);
    Session session(common_context());
    converse(client, session);
    // The ticket is of a suite with SHA-256.
    EXPECT_EQ(session.resumed(), suite != "TLS_AES_256_GCM_SHA384");
    Continued continued(session, client);
    expect_both_ways(continued, client);
  }
}

TEST(Takeover, AHelloRetryRequestChangesNothing) {
  TlsClient client({.min_version = TLS1_3_VERSION, .groups = "P-521:P-256"});
  Session session(common_context());
  converse(client, session);
  Continued continued(session, client);
  expect_both_ways(continued, client);
}

TEST(Takeover, KeyUpdatesBeforeAreFollowed) {
  for (const std::string_view suite : kSuiteNames) {
    for (int ours = 0; ours < 3; ++ours) {
      for (int theirs = 0; theirs < 3; ++theirs) {
        TlsClient client(offer_of(suite));
        Session session(common_context(), {.records_per_key = 5});
        converse(client, session);
        // Two tickets, and then one change for each five records.
        for (int record = 0; record < 3 + 5 * ours - 4 * (ours == 0); ++record) {
          EXPECT_TRUE(session.write("x"));
        }
        for (int i = 0; i < theirs; ++i) {
          client.key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
          client.write("y");
        }
        EXPECT_EQ(converse(client, session), std::string(static_cast<std::size_t>(theirs), 'y'));
        (void)client.take_plaintext();
        Continued continued(session, client);
        expect_both_ways(continued, client);
      }
    }
  }
}

TEST(Takeover, ARequestedKeyUpdateIsAnsweredBeforeTheLayerWrites) {
  TlsClient client;
  Session session(common_context());
  converse(client, session);
  client.key_update(SSL_KEY_UPDATE_REQUESTED);
  std::string plaintext;
  session.feed(client.take_output(), plaintext);
  EXPECT_FALSE(session.has_output());  // OpenSSL waits for something to say
  RecordCipher cipher;
  const auto handover = session.take_over(cipher);
  ASSERT_TRUE(handover.has_value());
  EXPECT_EQ(handover->keys.write.sequence, 0u);
  EXPECT_EQ(handover->keys.read.sequence, 0u);
  const std::string answer = session.take_output();
  EXPECT_EQ(answer.size(), kKeyUpdateRecordBytes);
  client.feed(answer);
  RecordLayer layer(cipher, handover->keys);
  std::array<std::byte, 64> out{};
  const std::size_t size = layer.write(cipher, bytes_of("next"), out);
  client.feed({reinterpret_cast<const char*>(out.data()), size});
  EXPECT_EQ(client.failure(), "");
  EXPECT_EQ(client.take_plaintext(), "next");
}

TEST(Takeover, AHalfReadRecordIsHandedOver) {
  std::string whole;
  for (std::size_t cut = 0;; ++cut) {
    TlsClient client;
    Session session(common_context());
    converse(client, session);
    client.write("read by the session");
    const std::string first = client.take_output();
    client.write("read by the layer");
    const std::string second = client.take_output();
    std::string plaintext;
    session.feed(first + second.substr(0, cut), plaintext);
    if (cut == second.size()) {
      EXPECT_EQ(plaintext, "read by the sessionread by the layer");
      EXPECT_GT(cut, 30u);
      break;
    }
    EXPECT_EQ(plaintext, "read by the session");
    Continued continued(session, client);
    EXPECT_EQ(continued.half_record, second.substr(0, cut));
    continued.half_record += second.substr(cut);
    EXPECT_EQ(continued.hear(client), "read by the layer") << cut;
    expect_both_ways(continued, client);
  }
}

TEST(Takeover, ItIsNotPossibleBeforeTheEndOfTheHandshake) {
  RecordCipher cipher;
  TlsClient client;
  Session session(common_context());
  EXPECT_FALSE(session.take_over(cipher).has_value());
  std::string plaintext;
  session.feed(client.take_output(), plaintext);
  EXPECT_FALSE(session.take_over(cipher).has_value());
  client.feed(session.take_output());
  EXPECT_EQ(session.feed(client.take_output(), plaintext), SessionState::open);
  EXPECT_TRUE(session.take_over(cipher).has_value());
}

TEST(Takeover, Tls12AndShortRecordsStayWithTheSession) {
  for (const Offer& offer :
       {Offer{.max_version = TLS1_2_VERSION}, Offer{.max_fragment = TLSEXT_max_fragment_length_512},
        Offer{.max_fragment = TLSEXT_max_fragment_length_4096}}) {
    TlsClient client(offer);
    Session session(common_context());
    converse(client, session);
    RecordCipher cipher;
    EXPECT_FALSE(session.take_over(cipher).has_value());
    EXPECT_EQ(session.state(), SessionState::open);
    const std::string large(10'000, 'x');
    EXPECT_TRUE(session.write(large));
    client.feed(session.take_output());
    EXPECT_EQ(client.take_plaintext(), large);
    client.write("request");
    EXPECT_EQ(converse(client, session), "request");
  }
}

TEST(Takeover, NothingIsLeftToTheSessionAfterwards) {
  TlsClient client;
  Session session(common_context());
  converse(client, session);
  const Continued continued(session, client);
  EXPECT_EQ(session.state(), SessionState::taken_over);
  RecordCipher cipher;
  EXPECT_FALSE(session.take_over(cipher).has_value());
  EXPECT_FALSE(session.write("x"));
  session.close();
  std::string plaintext;
  client.write("x");
  EXPECT_EQ(session.feed(client.take_output(), plaintext), SessionState::taken_over);
  EXPECT_EQ(plaintext, "");
  EXPECT_FALSE(session.has_output());
  EXPECT_EQ(session.version(), "");
  EXPECT_EQ(session.cipher(), "");
  EXPECT_FALSE(session.resumed());
}

TEST(Takeover, NotAfterAFailureOrAClose) {
  RecordCipher cipher;
  TlsClient client;
  Session closed(common_context());
  converse(client, closed);
  closed.close();
  EXPECT_FALSE(closed.take_over(cipher).has_value());

  TlsClient other;
  Session failed(common_context());
  converse(other, failed);
  std::string plaintext;
  const std::string broken{23, 3, 3, 0, 1, 'x'};
  EXPECT_EQ(failed.feed(broken, plaintext), SessionState::failed);
  EXPECT_FALSE(failed.take_over(cipher).has_value());
}

/// A client that fails to derive its next key.
class BrokenCipher final : public RecordCipher {
 public:
  bool expand_label(CipherSuite /*suite*/, std::span<const std::byte> /*secret*/,
                    std::string_view /*label*/, std::span<std::byte> /*out*/) override {
    return false;
  }
};

TEST(Takeover, WhenItFailsInTheMiddleTheSessionIsOver) {
  TlsClient client;
  Session session(common_context());
  converse(client, session);
  client.key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
  converse(client, session);
  BrokenCipher cipher;
  EXPECT_FALSE(session.take_over(cipher).has_value());
  EXPECT_EQ(session.state(), SessionState::failed);
  EXPECT_FALSE(session.write("under no key"));
}

TEST(Takeover, AnyConversationBeforeLeavesTheNumbersRight) {
  std::minstd_rand random(11);
  for (int round = 0; round < 150; ++round) {
    TlsClient client(offer_of(kSuiteNames[random() % 3]));
    Session session(common_context(), {.records_per_key = 3 + random() % 20});
    converse(client, session, 1 + random() % 300);
    std::string expected_by_client;
    std::string expected_by_server;
    std::string said;
    const std::size_t steps = random() % 30;
    for (std::size_t step = 0; step < steps; ++step) {
      const std::string text(1 + random() % (random() % 8 == 0 ? 40'000 : 100),
                             static_cast<char>('a' + random() % 26));
      switch (random() % 5) {
        case 0:
          client.write(text);
          expected_by_server += text;
          break;
        case 1:
          client.key_update(random() % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
                                              : SSL_KEY_UPDATE_NOT_REQUESTED);
          break;
        case 2:
          said += converse(client, session, 1 + random() % 5000);
          break;
        default:
          ASSERT_TRUE(session.write(text));
          expected_by_client += text;
      }
    }
    // What is under way is cut anywhere.
    const std::string last = client.take_output();
    const std::size_t cut = random() % (last.size() + 1);
    session.feed(std::string_view(last).substr(0, cut), said);
    Continued continued(session, client);
    ASSERT_EQ(session.state(), SessionState::taken_over) << session.reason();
    continued.half_record += last.substr(cut);
    said += continued.hear(client);
    EXPECT_EQ(said, expected_by_server) << round;
    EXPECT_EQ(client.take_plaintext(), expected_by_client) << round;
    expect_both_ways(continued, client);
  }
}

}  // namespace
