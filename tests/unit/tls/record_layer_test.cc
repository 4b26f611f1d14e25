#include "ringcast/tls/record_layer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "record_peer.h"

namespace ringcast::tls {
namespace {

using namespace test;
using Kind = Incoming::Kind;
using Sizes = std::vector<std::size_t>;

Heard end_with(Kind end, Alert alert = Alert::close_notify) {
  return {.end = end, .alert = alert};
}

/// The two ends of a connection.
struct Ends {
  explicit Ends(CipherSuite suite_value, std::uint64_t ours_sequence = 0) : suite(suite_value) {
    Takeover taken = takeover(suite);
    taken.write.sequence = ours_sequence;
    ours = RecordLayer(cipher, taken);
    theirs = RecordLayer(cipher, other_end(taken));
  }
  Ends() : Ends(CipherSuite::aes_128_gcm_sha256) {}

  CipherSuite suite;
  RecordCipher cipher;
  RecordLayer ours;
  RecordLayer theirs;
};

/// Our end, and a peer that can do everything wrong.
struct Exposed {
  RecordCipher cipher;
  Takeover taken = takeover(CipherSuite::aes_128_gcm_sha256);
  RecordLayer layer{cipher, taken};
  RecordPeer peer{taken.suite, taken.read};
};

class EachSuite : public testing::TestWithParam<CipherSuite> {};
INSTANTIATE_TEST_SUITE_P(RecordLayer, EachSuite, testing::ValuesIn(kSuites), NameOfSuite());

// Writing

TEST_P(EachSuite, TheOtherEndReadsWhatWasWrittenInAnyPieces) {
  Ends ends(GetParam());
  const Bytes text = some_bytes(40'000, 7);
  for (const std::size_t bytes : Sizes{1, 15, 16, 120, 2048, 2049, 16'384, 16'385, 40'000}) {
    // Small and large ones in turn, since they are sealed in different ways.
    for (const auto& lengths : {Sizes{1}, Sizes{17}, Sizes{1000}, Sizes{50'000}, Sizes{2047, 2048},
                                Sizes{100, 5000, 50, 60, 3000}}) {
      std::vector<iovec> pieces = {piece_of({})};
      for (std::size_t at = 0, turn = 0; at < bytes; ++turn) {
        const std::size_t length = std::min(lengths[turn % lengths.size()], bytes - at);
        pieces.push_back(piece_of(std::span(text).subspan(at, length)));
        pieces.push_back(piece_of({}));
        at += length;
      }
      Bytes out(ends.ours.bytes_for(bytes));
      ASSERT_EQ(ends.ours.write(ends.cipher, pieces, out), out.size());
      const Heard heard = hear(ends.theirs, ends.cipher, out);
      EXPECT_TRUE(std::equal(heard.data.begin(), heard.data.end(), text.begin(),
                             text.begin() + static_cast<std::ptrdiff_t>(bytes)))
          << bytes << " in pieces of " << lengths[0];
      EXPECT_EQ(heard.data_records, (bytes + 16'383) / 16'384);
    }
  }
}

TEST(RecordLayer, ARecordIs22BytesLongerThanItsContent) {
  Ends ends;
  EXPECT_EQ(write(ends.ours, ends.cipher, some_bytes(120, 1)).size(), 142U);
  EXPECT_EQ(write(ends.ours, ends.cipher, some_bytes(16'384, 1)).size(), 16'406U);
  EXPECT_EQ(write(ends.ours, ends.cipher, some_bytes(16'385, 1)).size(), 16'385U + 44);
}

TEST(RecordLayer, WriteTakesAllOrNothing) {
  Ends ends;
  const Bytes text = some_bytes(20'000, 3);
  Bytes out(ends.ours.bytes_for(text.size()));
  for (const std::size_t room : Sizes{0, 21, 16'406, out.size() - 1}) {
    EXPECT_EQ(ends.ours.write(ends.cipher, text, std::span(out).first(room)), 0U);
  }
  EXPECT_TRUE(ends.ours.writable());
  // Nothing was counted: the next record is the one that the peer waits for.
  ASSERT_EQ(ends.ours.write(ends.cipher, text, out), out.size());
  EXPECT_EQ(hear(ends.theirs, ends.cipher, out).data, text);
}

TEST(RecordLayer, NothingToWriteIsNoRecord) {
  Ends ends;
  Bytes out(100);
  EXPECT_EQ(ends.ours.bytes_for(0), 0U);
  EXPECT_EQ(ends.ours.write(ends.cipher, std::span<const iovec>(), out), 0U);
  EXPECT_TRUE(ends.ours.writable());
}

TEST(RecordLayer, WritesNothingBehindAnAlert) {
  Ends ends;
  const Bytes all = joined(
      {write(ends.ours, ends.cipher, "last"), alert(ends.ours, ends.cipher, Alert::close_notify)});
  EXPECT_FALSE(ends.ours.writable());
  EXPECT_TRUE(write(ends.ours, ends.cipher, "more").empty());
  EXPECT_TRUE(key_update(ends.ours, ends.cipher).empty());
  EXPECT_TRUE(alert(ends.ours, ends.cipher, Alert::internal_error).empty());
  const Heard heard = hear(ends.theirs, ends.cipher, all);
  EXPECT_EQ(heard.data, bytes_of("last"));
  EXPECT_EQ(heard.end, Kind::close_notify);
}

TEST(RecordLayer, FatalAlertsArriveWithTheirReason) {
  Ends ends;
  const Bytes record = alert(ends.ours, ends.cipher, Alert::internal_error);
  EXPECT_EQ(hear(ends.theirs, ends.cipher, record), end_with(Kind::alert, Alert::internal_error));
}

// Changing keys

TEST_P(EachSuite, DataIsReadAcrossKeyUpdatesOfBothEnds) {
  Ends ends(GetParam());
  for (int i = 0; i < 100; ++i) {
    const Bytes there =
        joined({write(ends.ours, ends.cipher, "to"), key_update(ends.ours, ends.cipher),
                write(ends.ours, ends.cipher, "gether")});
    const Heard heard = hear(ends.theirs, ends.cipher, there);
    EXPECT_EQ(heard.data, bytes_of("together"));
    EXPECT_EQ(heard.key_updates, 1U);

    const Bytes back =
        joined({key_update(ends.theirs, ends.cipher), write(ends.theirs, ends.cipher, "back")});
    EXPECT_EQ(hear(ends.ours, ends.cipher, back).data, bytes_of("back"));
  }
}

TEST_P(EachSuite, TheKeyIsChangedBeforeTheLimitOfRecords) {
  const Takeover taken = [] {
    Takeover near = takeover(GetParam());
    near.write.sequence = kRecordsPerKey - 3;
    return near;
  }();
  RecordCipher cipher;
  RecordLayer ours(cipher, taken);
  RecordLayer theirs(cipher, other_end(taken));
  for (const std::size_t updates : Sizes{0, 0, 1, 0, 0}) {
    const std::size_t need = ours.bytes_for(1);
    EXPECT_EQ(need, 23 + updates * kKeyUpdateRecordBytes);
    const Bytes record = write(ours, cipher, "x");
    EXPECT_EQ(record.size(), need);
    const Heard heard = hear(theirs, cipher, record);
    EXPECT_EQ(heard.key_updates, updates);
    EXPECT_EQ(heard.data, bytes_of("x"));
  }
}

TEST(RecordLayer, TheKeyIsChangedBetweenTheRecordsOfOneWrite) {
  for (std::uint64_t before = 0; before < 5; ++before) {
    Ends ends(CipherSuite::aes_256_gcm_sha384, kRecordsPerKey - 1 - before);
    const Bytes text = some_bytes(3 * 16'384, 9);
    Bytes small(ends.ours.bytes_for(text.size()) - 1);
    EXPECT_EQ(ends.ours.write(ends.cipher, text, small), 0U);
    const Heard heard = hear(ends.theirs, ends.cipher, write(ends.ours, ends.cipher, text));
    EXPECT_EQ(heard.data, text);
    EXPECT_EQ(heard.key_updates, before < 3 ? 1U : 0U);
  }
}

TEST(RecordLayer, AKeyThatIsPastItsLimitWritesNoMoreDataThanItsChange) {
  Ends ends(CipherSuite::chacha20_poly1305_sha256, 5 * kRecordsPerKey);
  const Heard heard = hear(ends.theirs, ends.cipher, write(ends.ours, ends.cipher, "x"));
  EXPECT_EQ(heard.key_updates, 1U);
  EXPECT_EQ(heard.data, bytes_of("x"));
}

TEST(RecordLayer, ARequestedKeyUpdateIsAnsweredBeforeTheNextData) {
  Ends ends;
  const Bytes request = key_update(ends.theirs, ends.cipher, UpdateRequest::requested);
  EXPECT_FALSE(ends.ours.answer_due());
  EXPECT_EQ(hear(ends.ours, ends.cipher, request).key_updates, 1U);
  EXPECT_TRUE(ends.ours.answer_due());

  const Bytes answer = write(ends.ours, ends.cipher, "x");
  EXPECT_FALSE(ends.ours.answer_due());
  const Heard heard = hear(ends.theirs, ends.cipher, answer);
  EXPECT_EQ(heard.key_updates, 1U);
  EXPECT_EQ(heard.data, bytes_of("x"));
  EXPECT_FALSE(ends.theirs.answer_due()) << "an answer asks for no answer";
}

TEST(RecordLayer, ManyRequestsAreAnsweredOnce) {
  Ends ends;
  for (int i = 0; i < 3; ++i) {
    const Bytes request = key_update(ends.theirs, ends.cipher, UpdateRequest::requested);
    static_cast<void>(hear(ends.ours, ends.cipher, request));
  }
  EXPECT_TRUE(ends.ours.answer_due());
  EXPECT_EQ(hear(ends.theirs, ends.cipher, key_update(ends.ours, ends.cipher)).key_updates, 1U);
  EXPECT_FALSE(ends.ours.answer_due());
}

TEST(RecordLayer, KeyUpdatesThatComeFasterThanDataLeavesAreRefused) {
  Ends ends;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kKeyUpdatesMax; ++i) {
      ASSERT_EQ(hear(ends.ours, ends.cipher, key_update(ends.theirs, ends.cipher)).key_updates, 1U);
    }
    if (round == 0) {
      ASSERT_FALSE(write(ends.ours, ends.cipher, "x").empty());
    }
  }
  EXPECT_EQ(hear(ends.ours, ends.cipher, key_update(ends.theirs, ends.cipher)),
            end_with(Kind::refused, Alert::unexpected_message));
}

// Reading

TEST(RecordLayer, RecordsMayArriveInAnyPieces) {
  RecordCipher cipher;
  const Takeover taken = takeover(CipherSuite::aes_256_gcm_sha384);
  RecordPeer peer(taken.suite, taken.read);
  const Bytes input = joined({peer.data("first"), peer.key_update(),
                              peer.record(ContentType::application_data, some_bytes(3000, 5), 200),
                              peer.data(""), peer.close_notify()});
  RecordLayer whole(cipher, taken);
  const Heard expected = hear(whole, cipher, input);
  ASSERT_EQ(expected.data_records, 3U);
  ASSERT_EQ(expected.data.size(), 3005U);
  ASSERT_EQ(expected.key_updates, 1U);
  ASSERT_EQ(expected.end, Kind::close_notify);
  for (const std::size_t piece_bytes : Sizes{1, 2, 3, 4, 5, 6, 7, 21, 22, 27, 28, 60, 1000}) {
    RecordLayer layer(cipher, taken);
    EXPECT_EQ(hear(layer, cipher, input, piece_bytes), expected) << piece_bytes;
  }
}

TEST(RecordLayer, AHalfRecordIsKeptOnlyWhileItIsHalf) {
  Exposed end;
  HalfRecord half;
  const Bytes record = end.peer.data("text");
  for (const std::size_t split : Sizes{3, 5, 10}) {
    Exposed fresh;
    std::span<const std::byte> first = std::span(record).first(split);
    EXPECT_EQ(fresh.layer.read(fresh.cipher, half, first).kind, Kind::incomplete);
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(half.size(), split);
    HalfRecord moved = std::move(half);
    EXPECT_TRUE(half.empty());  // NOLINT(bugprone-use-after-move): it may be used again
    std::span<const std::byte> rest = std::span(record).subspan(split);
    EXPECT_EQ(fresh.layer.read(fresh.cipher, moved, rest).kind, Kind::application_data);
    EXPECT_TRUE(moved.empty());
  }
}

TEST(RecordLayer, WhatIsLongerThanTheCallerKeepsIsRefusedByItsHeader) {
  Exposed end;
  const Bytes fits = end.peer.data(std::string(64 - 22, 'x'));
  const Bytes longer = end.peer.data(std::string(65 - 22, 'x'));
  EXPECT_EQ(hear(end.layer, end.cipher, fits, SIZE_MAX, HalfRecord(64)).data_records, 1U);
  EXPECT_EQ(hear(end.layer, end.cipher, std::span(longer).first(5), SIZE_MAX, HalfRecord(64)),
            end_with(Kind::refused, Alert::record_overflow));
}

TEST(RecordLayer, NothingIsReadBehindTheEnd) {
  Exposed end;
  ASSERT_EQ(hear(end.layer, end.cipher, end.peer.close_notify()).end, Kind::close_notify);
  EXPECT_EQ(hear(end.layer, end.cipher, end.peer.data("late")), end_with(Kind::close_notify));
  // Each direction ends for itself.
  EXPECT_FALSE(write(end.layer, end.cipher, "still").empty());
}

TEST(RecordLayer, ARefusalIsForGood) {
  Exposed end;
  Bytes bad = end.peer.data("text");
  bad.back() ^= std::byte{1};
  const Heard refused = end_with(Kind::refused, Alert::bad_record_mac);
  EXPECT_EQ(hear(end.layer, end.cipher, bad), refused);
  bad.back() ^= std::byte{1};
  EXPECT_EQ(hear(end.layer, end.cipher, bad), refused);
  // The reason can still be told to the peer.
  EXPECT_FALSE(alert(end.layer, end.cipher, Alert::bad_record_mac).empty());
}

TEST(RecordLayer, EveryChangedBitIsNoticed) {
  const Bytes record = Exposed().peer.data("text");
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    Exposed end;
    Bytes changed = record;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const Heard heard = hear(end.layer, end.cipher, changed);
    EXPECT_EQ(heard.data_records, 0U) << "bit " << bit;
    // A greater length waits for more.
    if (bit < 24 || bit >= 40) {
      EXPECT_EQ(heard.end, Kind::refused) << "bit " << bit;
    }
  }
}

TEST(RecordLayer, RecordsOutOfOrderAreRefused) {
  {
    Exposed end;
    const Bytes record = end.peer.data("once");
    EXPECT_EQ(hear(end.layer, end.cipher, joined({record, record})).end, Kind::refused);
  }
  {
    Exposed end;
    const Bytes first = end.peer.data("first");
    EXPECT_EQ(hear(end.layer, end.cipher, joined({end.peer.data("second"), first})).end,
              Kind::refused);
  }
  {
    Exposed end;
    end.peer.skip_sequence();
    EXPECT_EQ(hear(end.layer, end.cipher, end.peer.data("lost one")).end, Kind::refused);
  }
}

TEST(RecordLayer, TheOldKeyIsRefusedAfterAKeyUpdate) {
  Exposed end;
  RecordPeer old = end.peer;
  old.skip_sequence();
  const Bytes update = end.peer.key_update();
  EXPECT_EQ(hear(end.layer, end.cipher, joined({update, old.data("old")})).end, Kind::refused);
}

TEST(RecordLayer, WhatMayNotArriveAfterAHandshakeIsRefusedWithItsAlert) {
  struct Case {
    const char* what;
    Bytes (*record)(RecordPeer&);
    Alert alert;
  };
  const std::array cases = {
      Case{"a plain alert", [](RecordPeer&) { return from_hex("15030300020100"); },
           Alert::unexpected_message},
      Case{"a plain ChangeCipherSpec", [](RecordPeer&) { return from_hex("140303000101"); },
           Alert::unexpected_message},
      Case{"a plain ClientHello", [](RecordPeer&) { return from_hex("1603010005010000010303"); },
           Alert::unexpected_message},
      Case{"plain HTTP", [](RecordPeer&) { return bytes_of("GET / HTTP/1.1\r\n\r\n"); },
           Alert::unexpected_message},
      Case{
          "a sealed record of another type outside",
          [](RecordPeer& peer) { return peer.record_of(from_hex("6117"), ContentType::handshake); },
          Alert::unexpected_message},
      Case{"more than a record may have", [](RecordPeer&) { return from_hex("1703034101"); },
           Alert::record_overflow},
      Case{"no room for a tag",
           [](RecordPeer&) {
             return joined({from_hex("170303000f"), Bytes(15)});
           },
           Alert::bad_record_mac},
      Case{"nothing but a tag", [](RecordPeer& peer) { return peer.record_of({}); },
           Alert::bad_record_mac},
      Case{"content above 16 KB",
           [](RecordPeer& peer) {
             return peer.record(ContentType::application_data, Bytes(16'385, std::byte{'x'}));
           },
           Alert::record_overflow},
      Case{"padding beyond 16 KB",
           [](RecordPeer& peer) {
             return peer.record(ContentType::application_data, bytes_of("x"), 16'384);
           },
           Alert::record_overflow},
      Case{"nothing but padding", [](RecordPeer& peer) { return peer.record_of(Bytes(30)); },
           Alert::unexpected_message},
      Case{"a sealed ChangeCipherSpec",
           [](RecordPeer& peer) {
             return peer.record(ContentType::change_cipher_spec, from_hex("01"));
           },
           Alert::unexpected_message},
      Case{"an unknown type inside",
           [](RecordPeer& peer) { return peer.record(ContentType{24}, from_hex("01")); },
           Alert::unexpected_message},
      Case{"an alert of one byte",
           [](RecordPeer& peer) { return peer.record(ContentType::alert, from_hex("01")); },
           Alert::decode_error},
      Case{"two alerts in one record",
           [](RecordPeer& peer) { return peer.record(ContentType::alert, from_hex("01000100")); },
           Alert::decode_error},
      Case{"an empty handshake record",
           [](RecordPeer& peer) { return peer.record(ContentType::handshake, {}); },
           Alert::unexpected_message},
      Case{"a KeyUpdate of another length",
           [](RecordPeer& peer) {
             return peer.record(ContentType::handshake, from_hex("18 000002 0000"));
           },
           Alert::decode_error},
      Case{"half a KeyUpdate",
           [](RecordPeer& peer) { return peer.record(ContentType::handshake, from_hex("180000")); },
           Alert::unexpected_message},
      Case{"a KeyUpdate with more behind it",
           [](RecordPeer& peer) {
             return peer.record(ContentType::handshake, from_hex("18 000001 00 18 000001 00"));
           },
           Alert::unexpected_message},
      Case{"a KeyUpdate that asks for what does not exist",
           [](RecordPeer& peer) {
             return peer.record(ContentType::handshake, from_hex("18 000001 02"));
           },
           Alert::illegal_parameter},
  };
  for (const Case& each : cases) {
    Exposed end;
    EXPECT_EQ(hear(end.layer, end.cipher, each.record(end.peer)),
              end_with(Kind::refused, each.alert))
        << each.what;
  }
}

TEST(RecordLayer, TheLargestRecordIsRead) {
  Exposed end;
  const Bytes text = some_bytes(16'384, 4);
  const Bytes full = end.peer.record(ContentType::application_data, text);
  const Bytes padded = end.peer.record(ContentType::application_data, bytes_of("x"), 16'383);
  EXPECT_EQ(hear(end.layer, end.cipher, full).data, text);
  EXPECT_EQ(hear(end.layer, end.cipher, padded).data, bytes_of("x"));
}

// The end

TEST(RecordLayer, AnEmptyLayerDoesNothing) {
  RecordCipher cipher;
  RecordLayer layer;
  EXPECT_FALSE(layer.writable());
  EXPECT_TRUE(write(layer, cipher, "x").empty());
  EXPECT_TRUE(key_update(layer, cipher).empty());
  EXPECT_EQ(hear(layer, cipher, Exposed().peer.data("x")), end_with(Kind::close_notify));
}

TEST(RecordLayer, AMovedLayerGoesOnAndLeavesNothing) {
  Ends ends;
  const Bytes before = write(ends.ours, ends.cipher, "be");
  RecordLayer moved = std::move(ends.ours);
  EXPECT_FALSE(ends.ours.writable());  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(write(ends.ours, ends.cipher, "x").empty());
  const Bytes all = joined({before, write(moved, ends.cipher, "fore")});
  EXPECT_EQ(hear(ends.theirs, ends.cipher, all).data, bytes_of("before"));
}

TEST(RecordLayer, ItsMemoryHoldsNoSecretAfterTheEnd) {
  RecordCipher cipher;
  const Takeover taken = takeover(CipherSuite::aes_256_gcm_sha384);
  const std::span write_secret = std::span(taken.write.bytes).first(48);
  Bytes key(32);
  Bytes iv(12);
  ASSERT_TRUE(cipher.expand_label(taken.suite, write_secret, "key", key));
  ASSERT_TRUE(cipher.expand_label(taken.suite, write_secret, "iv", iv));
  const std::array<Bytes, 4> secrets = {Bytes(write_secret.begin(), write_secret.end()),
                                        Bytes(taken.read.bytes.begin(), taken.read.bytes.end()),
                                        key, iv};

  alignas(RecordLayer) std::array<std::byte, sizeof(RecordLayer)> memory{};
  const auto found = [&memory](const Bytes& secret) {
    return std::search(memory.begin(), memory.end(), secret.begin(), secret.end()) != memory.end();
  };
  auto* const layer = new (memory.data()) RecordLayer(cipher, taken);
  for (const Bytes& secret : secrets) EXPECT_TRUE(found(secret));
  RecordLayer moved = std::move(*layer);
  for (const Bytes& secret : secrets) EXPECT_FALSE(found(secret)) << "after a move";
  *layer = std::move(moved);
  for (const Bytes& secret : secrets) EXPECT_TRUE(found(secret));
  layer->~RecordLayer();
  for (const Bytes& secret : secrets) EXPECT_FALSE(found(secret)) << "after the end";
}

TEST(RecordCipher, ForgetsThePlaintextAndGoesOn) {
  Exposed end;
  HalfRecord half;
  const Bytes record = end.peer.data("nobody's business");
  std::span<const std::byte> input = record;
  const Incoming incoming = end.layer.read(end.cipher, half, input);
  ASSERT_EQ(Bytes(incoming.plaintext.begin(), incoming.plaintext.end()),
            bytes_of("nobody's business"));
  end.cipher.forget();
  EXPECT_EQ(Bytes(incoming.plaintext.begin(), incoming.plaintext.end()), Bytes(17));
  EXPECT_EQ(hear(end.layer, end.cipher, end.peer.data("again")).data, bytes_of("again"));
  EXPECT_FALSE(write(end.layer, end.cipher, "and back").empty());
}

}  // namespace
}  // namespace ringcast::tls
